// Changing nodes as the model runs, and what it says then: silence, scale or patch what is pinned, on a prompt of the run.
import { useState } from "react";
import type { components } from "./api";
import { aboutJob, JobState, Said, timeOf, useAsking } from "./Jobs";
import { isActive, type Job, submit, useJobs } from "./jobs";
import { selected } from "./Measure";
import { inWords } from "./names";
import { PromptChoice } from "./Selection";
import { ApiError, type Labels, type Run } from "./server";
import { spanWords } from "./spans";
import type { View } from "./view";
import { decimal, percent, signed, token } from "./words";

type Schemas = components["schemas"];
type How = Schemas["Change"]["how"];
const HOWS: [How, string][] = [
  ["ablate", "silence"],
  ["scale", "scale"],
  ["patch", "patch from the counterfactual"],
];

export function Intervene({ run, labels, view }: { run: Run; labels: Labels; view: View }) {
  const nodes = selected(view, labels.supernodes);
  const [chosen, choose] = useState<Record<string, { how: How; factor: string }>>({});
  const { jobs } = useJobs();
  const { busy, error, ask } = useAsking();
  const [mine, ...earlier] = jobs.filter((job) => job.request.verb === "intervene" && job.request.run === run.id);
  const prompt = Math.min(view.prompt, run.prompts.length - 1);
  const of = (node: string) => chosen[node] ?? { how: "ablate" as How, factor: "2" };
  const go = () => {
    const changes = nodes.map((node) => ({ node, how: of(node).how, factor: Number(of(node).factor) || 0 }));
    return submit({ verb: "intervene", run: run.id, prompt, changes });
  };
  return (
    <div className="intervene">
      <p className="note">Change what nodes write while the model reads the prompt, and see what it says next. Lock a node on the map, or pin several ( p ).</p>
      <PromptChoice run={run} view={view} />
      <ul className="changes">
        {nodes.map((node) => (
          <li key={node}>
            <b title={inWords(node, (span) => spanWords(run, span))}>{node}</b>
            <select aria-label={`What to do to ${node}`} value={of(node).how} onChange={(event) => choose({ ...chosen, [node]: { ...of(node), how: event.target.value as How } })}>
              {HOWS.map(([how, words]) => (
                <option key={how} value={how}>
                  {words}
                </option>
              ))}
            </select>
            {of(node).how === "scale" && (
              <label>
                ×{" "}
                <input type="number" aria-label={`Factor of ${node}`} min="-100" max="100" step="any" value={of(node).factor} onChange={(event) => choose({ ...chosen, [node]: { ...of(node), factor: event.target.value } })} />
              </label>
            )}
          </li>
        ))}
        {!nodes.length && <li className="note">No node is locked or pinned.</li>}
      </ul>
      <div className="go">
        <button className="main" disabled={!nodes.length || busy || (mine && isActive(mine))} onClick={() => void ask(go)}>
          Run
        </button>
        {mine && isActive(mine) && <JobState job={mine} />}
      </div>
      <Said error={error} />
      {mine && <Outcome job={mine} />}
      {earlier.length > 0 && (
        <details>
          <summary>Earlier changes ({earlier.length})</summary>
          {earlier.map((job) => (
            <Outcome key={job.id} job={job} />
          ))}
        </details>
      )}
    </div>
  );
}

function Outcome({ job }: { job: Job }) {
  const { changed, problem, state } = job.last;
  if (problem) return <Said error={new ApiError(problem.detail, problem.do)} />;
  if (!changed) return isActive(job) ? null : <p className="note">The last one was {state}.</p>;
  return (
    <section aria-label="What changed" data-testid="changed">
      <h2>
        “{changed.prompt}” {aboutJob(job.request)}
      </h2>
      <p className="note">{timeOf(job)}</p>
      <div className="scroll" tabIndex={0} role="region" aria-label="Next tokens">
        <table>
          <thead>
            <tr>
              <th scope="col">next token</th>
              <th scope="col">as it is</th>
              <th scope="col">changed</th>
              <th scope="col">logit</th>
            </tr>
          </thead>
          <tbody>
            {changed.tokens.map((row, i) => (
              <tr key={i}>
                <th scope="row" className={row.role}>
                  {token(row.token)} {row.role && <small>{row.role}</small>}
                </th>
                {[row.before, row.after].map((probability, side) => (
                  <td key={side}>
                    {percent(probability)}
                    <span className={`bar ${side ? "now" : ""}`} style={{ width: `${60 * probability}px` }} />
                  </td>
                ))}
                <td>{signed(row.logit_after - row.logit_before, 2)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <p className="note">
        n = 1 prompt. KL from what it says as it is: {decimal(changed.kl)} nats. Silence is nothing written at all, which the model has never seen; patching from the counterfactual stays closer to what it knows.
      </p>
    </section>
  );
}
