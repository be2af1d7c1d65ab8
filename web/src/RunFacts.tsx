// What a run is: its prompts, how it was made, what it lacks, its figures.
import { AskFor } from "./Jobs";
import { ModelAnswers } from "./ModelAnswers";
import { Command } from "./Selection";
import { circuitAddress, figureAddress, type Run } from "./server";
import { Term } from "./Term";
import { count, token } from "./words";

export function RunFacts({ run }: { run: Run }) {
  const seconds = Object.values(run.timings).reduce((sum, taken) => sum + taken, 0);
  const made = run.missing.flatMap(({ section }) => (section ? [section] : []));
  const facts: [string, string][] = [
    ["model", `${run.model.id}${run.model.title ? ` (${run.model.title})` : ""}, ${run.model.layers} layers of ${run.model.heads} heads; weights ${run.model.sha256.slice(0, 12)}…`],
    ["method", run.settings.faithfulness === undefined ? String(run.settings.method) : `${String(run.settings.method)}, goal ${String(run.settings.goal ?? "sufficient")}${run.settings.both_ways ? ", both ways," : ""} at ${String(run.settings.faithfulness)}`],
    ["ablation, metric", `${String(run.settings.ablation)}; ${String(run.settings.metric)}${run.unit ? ` in ${run.unit}` : ""}`],
    ["circuits run", `${count(run.evaluations)}, in ${count(seconds)} s`],
    ["seed", String(run.seed)],
    ["made", `${run.created.slice(0, 16).replace("T", " ")} UTC by Wheatstone ${run.versions.wheatstone ?? ""}`],
    ["folder", run.example ? "in the package, read-only" : run.path],
  ];
  return (
    <div className="facts">
      <h2>Prompts</h2>
      <ul className="pairs">
        {run.prompts.slice(0, 12).map((prompt, i) => (
          <li key={i}>
            <p>
              {prompt.tokens.map((text, at) => (
                <span key={at} className={text === prompt.counterfactual_tokens[at] ? "tok" : "tok differs"}>
                  {token(text)}
                </span>
              ))}{" "}
              → <b className="answer">{prompt.answers.map(token).join(" or ")}</b>
            </p>
            <p>
              {prompt.counterfactual_tokens.map((text, at) => (
                <span key={at} className={text === prompt.tokens[at] ? "tok" : "tok differs"}>
                  {token(text)}
                </span>
              ))}{" "}
              → <b className="distractor">{prompt.distractors.map(token).join(" or ")}</b>
            </p>
          </li>
        ))}
      </ul>
      {run.prompts.length > 12 && <p className="note">and {run.prompts.length - 12} more</p>}
      {run.model_answers && (
        <>
          <h2>What the model itself says</h2>
          <ModelAnswers answers={run.model_answers} />
        </>
      )}
      <h2>How it was made</h2>
      <dl>
        {facts.map(([name, words]) => (
          <div key={name}>
            <dt>
              <Term>{name}</Term>
            </dt>
            <dd>{words}</dd>
          </div>
        ))}
      </dl>
      {run.notes.map((note) => (
        <p key={note} className="note">
          {note}
        </p>
      ))}
      {run.missing.length > 0 && (
        <>
          <h2>Not in this run</h2>
          {run.missing.map((missing) => (
            <p key={missing.what} className="note">
              {missing.what} {missing.command && <Command text={missing.command} />}
            </p>
          ))}
          {!run.example && made.length > 0 && <AskFor asked={{ verb: "explain", run: run.id, only: made }} words="Make it here" done="Reload shows it." />}
        </>
      )}
      <h2>Files</h2>
      <ul className="links">
        <li>
          <a href={circuitAddress(run.id)} download={`${run.title}.circuit.json`}>
            circuit.json
          </a>
        </li>
        {run.figures.map((name) => (
          <li key={name}>
            Figure {name}:{" "}
            {["svg", "png"].map((format) => (
              <a key={format} href={figureAddress(run.id, name, format)} download={`${name}.${format}`}>
                {format.toUpperCase()}
              </a>
            ))}
          </li>
        ))}
      </ul>
    </div>
  );
}
