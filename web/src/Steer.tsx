// A text that the model writes as it is, next to the one it writes with nodes changed; both grow token by token.
import { useState } from "react";
import type { components } from "./api";
import { aboutJob, JobState, Said, saidOf, timeOf, useAsking } from "./Jobs";
import { cancel, isActive, type Job, submit, useJobs } from "./jobs";
import { token } from "./words";

type Schemas = components["schemas"];
const FIELDS: ["tokens" | "temperature" | "seed", string, number, number, string][] = [
  ["tokens", "tokens", 1, 200, "most tokens that are written"],
  ["temperature", "temperature", 0, 10, "0 takes the likeliest token each time"],
  ["seed", "seed", 0, 2 ** 32 - 1, "the same draws for both texts; without effect at temperature 0"],
];

export function Steer({ run, prompt, changes }: { run: string; prompt: number; changes: Schemas["Change"][] }) {
  const [asked, setAsked] = useState({ tokens: "30", temperature: "0", seed: "0" });
  const { jobs } = useJobs();
  const { busy, error, ask } = useAsking();
  const mine = jobs.filter((job) => job.request.verb === "generate" && job.request.run === run);
  const active = mine.find(isActive);
  const numbers = { tokens: Number(asked.tokens), temperature: Number(asked.temperature), seed: Number(asked.seed) };
  const fits = FIELDS.every(([name, , least, most]) => asked[name] !== "" && numbers[name] >= least && numbers[name] <= most && (name === "temperature" || Number.isInteger(numbers[name])));
  return (
    <section className="steer" aria-label="Continuation">
      <h2>Continue the text</h2>
      <div className="go">
        {FIELDS.map(([name, words, least, most, title]) => (
          <label key={name} title={title}>
            {words} <input type="number" min={least} max={most} step={name === "temperature" ? "any" : 1} value={asked[name]} onChange={(event) => setAsked({ ...asked, [name]: event.target.value })} />
          </label>
        ))}
        <button className="main" disabled={!changes.length || !fits || busy || Boolean(active)} onClick={() => void ask(() => submit({ verb: "generate", run, prompt, changes, ...numbers }))}>
          Continue
        </button>
        {active && <button onClick={() => void ask(() => cancel(active))}>Stop</button>}
        {active && <JobState job={active} />}
      </div>
      <Said error={error} />
      {mine.map((job) => (
        <Texts key={job.id} job={job} />
      ))}
    </section>
  );
}

function Texts({ job }: { job: Job }) {
  const { generated, problem, state } = job.last;
  const { request } = job;
  if (request.verb !== "generate") return null;
  const failed = problem && <Said error={saidOf(problem)} before={`${aboutJob(request)}: `} />;
  const stopped = !isActive(job) && state !== "done";
  if (!generated) return failed ?? (stopped ? <p className="note">{`${aboutJob(request)}: ${state}`}</p> : null);
  const { original, changed } = generated;
  const first = changed.findIndex((text, i) => text !== original[i]);
  const same = first < 0 && state === "done" && original.length === changed.length;
  return (
    <figure className="texts" data-testid="generated" aria-label={`Continuation: ${aboutJob(request)}`} aria-busy={isActive(job)}>
      <figcaption>
        {aboutJob(request)} <small>{timeOf(job)}{stopped && `, ${state}`}</small>
      </figcaption>
      <div className="beside">
        {(
          [
            ["as it is", original],
            ["changed", changed],
          ] as const
        ).map(([name, tokens]) => (
          <p key={name}>
            <small>{name}</small>
            <span className="soft">{generated.prompt}</span>
            {tokens.map((text, i) => (
              <span key={i} title={token(text)} className={first >= 0 && i >= first ? "differs" : ""}>
                {text}
              </span>
            ))}
          </p>
        ))}
      </div>
      {same && <p className="note">The two texts are the same.</p>}
      {failed}
    </figure>
  );
}
