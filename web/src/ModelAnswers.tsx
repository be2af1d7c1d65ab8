// What the model itself says at a run's prompts, or at a pair that is being typed: ranks, probabilities, first choice.
import type { components } from "./api";
import { count, decimal, token } from "./words";

type Schemas = components["schemas"];
type Answers = Schemas["ModelAnswers"];
const SHOWN = 12;

const chance = (p: number): string => (p > 0 && p < 0.0001 ? "< 0.0001" : p >= 0.1 ? p.toFixed(2) : p.toPrecision(1));

/** The warnings of a headline; nothing where the model gives the answer. */
export function Warnings({ answers }: { answers: Answers | null | undefined }) {
  return answers?.warnings.map((warning) => (
    <p key={warning} className="said weak" role="note">
      {warning}
    </p>
  ));
}

export function ModelAnswers({ answers }: { answers: Answers }) {
  const rows = [...answers.prompts].sort((a, b) => Number(b.weak) - Number(a.weak)).slice(0, SHOWN);
  return (
    <section aria-label="What the model itself says" data-testid="model-answers">
      {answers.warnings.length ? <Warnings answers={answers} /> : <p>{answers.summary}</p>}
      <div className="scroll" tabIndex={0} role="region" aria-label="Ranks and probabilities">
        <table>
          <thead>
            <tr>
              {answers.n > 1 && <th scope="col">prompt</th>}
              <th scope="col">scored token</th>
              <th scope="col">rank</th>
              <th scope="col">p</th>
              <th scope="col">first choice</th>
              {answers.metric && <th scope="col">{answers.metric}, ablated</th>}
            </tr>
          </thead>
          <tbody>
            {rows.flatMap((row, i) =>
              [row.answer, row.distractor].map(
                (scored, side) =>
                  scored && (
                    <tr key={`${i} ${side}`}>
                      {answers.n > 1 && <td>{side ? "" : row.prompt.slice(-40)}</td>}
                      <th scope="row" className={side ? "distractor" : "answer"}>
                        {token(scored.token)} <small>{scored.tokens > 1 ? `first of ${scored.tokens} tokens of “${scored.text.trim()}”, ` : ""}id {scored.id}</small>
                      </th>
                      <td>{count(scored.rank)}</td>
                      <td>{chance(scored.probability)}</td>
                      <td>{side ? "" : `${token(row.first.token)} (${chance(row.first.probability)})`}</td>
                      {answers.metric && <td>{side || row.clean === null || row.ablated === null ? "" : `${decimal(row.clean, 2)} → ${decimal(row.ablated, 2)}`}</td>}
                    </tr>
                  ),
              ),
            )}
          </tbody>
        </table>
      </div>
      {answers.n > SHOWN && <p className="note">and {answers.n - SHOWN} more prompts</p>}
    </section>
  );
}
