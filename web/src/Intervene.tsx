// Changing nodes as the model runs, and what it says then: silence, scale or patch what is pinned, on a prompt of the run.
import { useState } from "react";
import type { components } from "./api";
import { aboutJob, JobState, Said, timeOf, useAsking } from "./Jobs";
import { isActive, type Job, submit, useJobs } from "./jobs";
import { selected } from "./Measure";
import { Field } from "./Naming";
import { isKey } from "./names";
import { PromptChoice } from "./Selection";
import { ApiError, type Labels, type Run } from "./server";
import { wordsOf } from "./spans";
import { Steer } from "./Steer";
import { show, type View } from "./view";
import { decimal, percent, signed, token } from "./words";

type Schemas = components["schemas"];
type How = Schemas["Change"]["how"];
const HOWS: [How, string][] = [
  ["ablate", "silence"],
  ["scale", "scale"],
  ["patch", "patch from the counterfactual"],
];

interface Props {
  /** The run, and which of its prompts. */
  run: string;
  prompt: number;
  /** What is changed, and each in words. */
  nodes: string[];
  words: (node: string) => string;
  /** Whether a name may be pinned. */
  known: (name: string) => boolean;
  /** Whether there is a counterfactual to patch from. */
  patches?: boolean;
  view: View;
}

export function Intervene({ run, labels, view }: { run: Run; labels: Labels; view: View }) {
  return (
    <div className="intervene">
      <p className="note">Change what nodes write while the model reads the prompt, and see what it says next. Lock a node on the map, or pin several ( p ).</p>
      <PromptChoice run={run} view={view} />
      <Changing
        run={run.id}
        prompt={Math.min(view.prompt, run.prompts.length - 1)}
        nodes={selected(view, labels.supernodes)}
        words={(node) => wordsOf(run, node)}
        known={(name) => isKey(name) && !name.includes(">") && selected({ ...view, pins: [name], sel: "" }, labels.supernodes).length > 0}
        view={view}
      />
    </div>
  );
}

/** What is done to some nodes, and what the model says then: its next token, or a text. */
export function Changing({ run, prompt, nodes, words, known, patches = true, view }: Props) {
  const [chosen, choose] = useState<Record<string, Done>>({});
  const of = (node: string) => chosen[node] ?? USUAL;
  const changes = nodes.map((node) => ({ node, how: of(node).how, factor: Number(of(node).factor) || 0 }));
  return (
    <>
      <ul className="changes" aria-label="Changes">
        {nodes.length > 2 && <Line node="all of them" title="" done={USUAL} patches={patches} change={(done) => choose(Object.fromEntries(nodes.map((node) => [node, done])))} />}
        {nodes.map((node) => (
          <Line key={node} node={node} title={words(node)} done={of(node)} patches={patches} change={(done) => choose({ ...chosen, [node]: done })} />
        ))}
        {!nodes.length && <li className="note">No node is locked or pinned.</li>}
      </ul>
      <Field label="Pin a node or neuron, such as m29.n392" value="" most={60} save={(name) => known(name) && !view.pins.includes(name) && show({ pins: [...view.pins, name] })} action="Pin" />
      <NextToken run={run} prompt={prompt} changes={changes} />
      <Steer run={run} prompt={prompt} changes={changes} />
    </>
  );
}

type Change = Schemas["Change"];
interface Done {
  how: How;
  factor: string;
}
const USUAL: Done = { how: "ablate", factor: "2" };

function Line({ node, title, done, patches, change }: { node: string; title: string; done: Done; patches: boolean; change: (done: Done) => void }) {
  return (
    <li>
      <b title={title}>{node}</b>
      <select aria-label={`What to do to ${node}`} value={done.how} onChange={(event) => change({ ...done, how: event.target.value as How })}>
        {HOWS.map(([how, words]) => (
          <option key={how} value={how} disabled={how === "patch" && !patches}>
            {words}
          </option>
        ))}
      </select>
      {done.how === "scale" && (
        <label>
          × <input type="number" aria-label={`Factor of ${node}`} min="-100" max="100" step="any" value={done.factor} onChange={(event) => change({ ...done, factor: event.target.value })} />
        </label>
      )}
    </li>
  );
}

function NextToken({ run, prompt, changes }: { run: string; prompt: number; changes: Change[] }) {
  const { jobs } = useJobs();
  const { busy, error, ask } = useAsking();
  const [mine, ...earlier] = jobs.filter((job) => job.request.verb === "intervene" && job.request.run === run);
  return (
    <section aria-label="Next token">
      <div className="go">
        <button className="main" disabled={!changes.length || busy || (mine && isActive(mine))} onClick={() => void ask(() => submit({ verb: "intervene", run, prompt, changes }))}>
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
    </section>
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
