// How the circuit holds: beside the model, what is left without it, random circuits and nothing; with n and intervals.
import { Fetching } from "./Fetching";
import { AskFor } from "./Jobs";
import type { ByCondition, Run, Verification } from "./server";
import { Term } from "./Term";
import type { Fetched } from "./use";
import { show, type View } from "./view";
import { decimal, interval, intervalNote, percent, plural, quoted, token } from "./words";

const CONDITIONS = ["model", "circuit", "complement", "random", "empty"] as const;
const WORDS: Record<(typeof CONDITIONS)[number], string> = {
  model: "whole model",
  circuit: "circuit alone",
  complement: "without it",
  random: "random circuits",
  empty: "nothing kept",
};
/** Long names of prompts, short. */
const SPLITS: Record<string, string> = { "the prompts it was found on": "its own prompts", "prompt and counterfactual swapped": "swapped prompts", test: "test split" };

/** A name for each of a run's verifications: what it was measured on, a single pair by its prompt. No two are equal. */
export function namesOf(verifications: Verification[]): string[] {
  const names = verifications.map(({ split, prompts }) => (split === "given prompts" && prompts.length === 1 ? quoted(prompts[0]!.prompt, prompts[0]!.answer) : (SPLITS[split] ?? split)));
  return names.map((name, i) => {
    const before = names.slice(0, i).filter((known) => known === name).length;
    return before ? `${name} (${before + 1})` : name;
  });
}

interface Props {
  run: Run;
  verifications: Fetched<Verification[]>;
  view: View;
}

export function Proof({ run, verifications, view }: Props) {
  return (
    <Fetching of={verifications} what="the verification">
      {(all) => <Verified run={run} verifications={all} on={view.on} />}
    </Fetching>
  );
}

function Verified({ run, verifications, on }: { run: Run; verifications: Verification[]; on: string }) {
  const names = namesOf(verifications);
  const chosen = Math.max(0, names.lastIndexOf(on));
  const result = verifications[chosen];
  if (!result) return <p className="note">This run was not verified. Run <code>wheatstone verify {run.path}</code>.</p>;
  const measures: [keyof Verification & keyof Verification["ci95"], string, number][] = [
    ["metric_value", `${result.metric}${run.unit ? ` (${run.unit})` : ""}`, 2],
    ["kl", "KL (nats)", 2],
    ["hit_at_1", "Hit@1", 2],
    ["hit_at_10", "Hit@10", 2],
  ];
  return (
    <div className="proof">
      <div className="choice" role="group" aria-label="Prompts it was verified on">
        {verifications.map((known, i) => (
          <button key={i} title={names[i] === known.split ? known.split : `${names[i]}: ${known.split}`} aria-pressed={i === chosen} onClick={() => show({ on: i ? names[i]! : "" })}>
            {names[i]}
          </button>
        ))}
      </div>
      <dl className="big">
        <div>
          <dt>
            <Term>faithfulness</Term>
          </dt>
          <dd>
            <b>{decimal(result.faithfulness)}</b> <small>{interval(result.ci95.faithfulness)}</small>
          </dd>
        </div>
        <div>
          <dt>
            <Term>completeness</Term>
          </dt>
          <dd>
            <b>{decimal(result.completeness)}</b> <small>{interval(result.ci95.completeness)}</small>
          </dd>
        </div>
      </dl>
      <p className="note">
        {intervalNote(result.n)}; {result.ablation} ablation; {plural(result.random_draws, "random circuit")}.
      </p>
      <div className="scroll" tabIndex={0} role="region" aria-label="Conditions">
        <table>
          <thead>
            <tr>
              <th scope="col">kept</th>
              {measures.map(([key, words]) => (
                <th key={key} scope="col">
                  <Term>{words}</Term>
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {CONDITIONS.map((condition) => (
              <tr key={condition} className={condition === "circuit" ? "chosen" : ""}>
                <th scope="row">
                  <Term>{WORDS[condition]}</Term>
                </th>
                {measures.map(([key, , digits]) => (
                  <td key={key}>
                    {decimal((result[key] as ByCondition)[condition], digits)}
                    <small>{interval((result.ci95[key] as Record<string, [number, number] | null> | undefined)?.[condition], digits)}</small>
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {run.test_pairs > 0 && !run.example && !verifications.some((known) => known.split === "test") && (
        <AskFor asked={{ verb: "verify", run: run.id, on: "test", allow_weak: false }} words={`Verify on the test split (${plural(run.test_pairs, "pair")})`} />
      )}
      <details open={result.n <= 3}>
        <summary>Prompt by prompt ({result.prompts.length})</summary>
        <div className="scroll" tabIndex={0} role="region" aria-label="Prompts">
          <table className="prompts">
            <thead>
              <tr>
                <th scope="col">prompt</th>
                {(["model", "circuit", "complement"] as const).map((condition) => (
                  <th key={condition} scope="col">
                    <Term>{WORDS[condition]}</Term>
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {result.prompts.map((row, i) => (
                <tr key={i}>
                  <th scope="row">
                    {row.prompt} <b>{row.answer}</b>
                  </th>
                  {(["model", "circuit", "complement"] as const).map((condition) => (
                    <td key={condition}>
                      {token(row[condition].top)}
                      <small>
                        answer: rank {row[condition].rank}, {percent(row[condition].probability)}
                      </small>
                    </td>
                  ))}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      </details>
    </div>
  );
}
