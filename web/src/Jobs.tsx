// What the machine is asked to do: the queue with its progress, and what can be done with each job.
import { useState } from "react";
import { cancel, drop, isActive, type Job, type JobRequest, resume, submit, useJobs } from "./jobs";
import { ApiError } from "./server";
import type { View } from "./view";
import { count, percent, plural, quoted, timeLeft } from "./words";

/** Where a job's result is shown: a run, and what of it. */
export type Opens = (run: string, at: Partial<View>) => void;

/** What went wrong with the last thing that was asked of the server, and how to ask. */
export function useAsking(): { busy: boolean; error: ApiError | null; ask: (what: () => Promise<unknown>) => Promise<boolean> } {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<ApiError | null>(null);
  const ask = async (what: () => Promise<unknown>) => {
    setBusy(true);
    setError(null);
    try {
      await what();
      return true;
    } catch (error) {
      setError(error instanceof ApiError ? error : new ApiError(String(error), "Reload the page."));
      return false;
    } finally {
      setBusy(false);
    }
  };
  return { busy, error, ask };
}

export function Said({ error, before = "" }: { error: ApiError | null; before?: string }) {
  if (!error) return null;
  return (
    <p className="said" role="alert">
      {before}
      {error.said} {error.advice && <b>{error.advice[0]!.toUpperCase() + error.advice.slice(1).replace(/\.$/, "")}.</b>}
    </p>
  );
}

/** Changes in words; of many, the first. */
function changesInWords(changes: Extract<JobRequest, { verb: "intervene" }>["changes"]): string {
  const words = changes.slice(0, NAMED).map(({ node, how, factor }) => (how === "ablate" ? `without ${node}` : how === "scale" ? `${node} × ${factor}` : `${node} patched`));
  return `${words.join(", ")}${changes.length > NAMED ? ` and ${changes.length - NAMED} more` : ""}`;
}
const NAMED = 8;

/** What a job does to what, beyond its title. */
export function aboutJob(request: JobRequest): string {
  switch (request.verb) {
    case "intervene":
      return changesInWords(request.changes);
    case "generate":
      return `${changesInWords(request.changes)}${request.temperature ? `; temperature ${request.temperature}, seed ${request.seed}` : ""}`;
    case "measure":
      return `${request.nodes.join(", ")}, ${request.on === "test" ? "on the test split" : "on its own prompts"}`;
    case "look":
      return `why ${request.head} looks there, from token ${request.query}`;
    case "neuron":
      return `${request.neuron} in running text`;
    case "verify":
      return request.on === "given" && request.pair ? `on ${quoted(request.pair.prompt, request.pair.answer)}` : request.on === "test" ? "on the test split" : "on its own prompts";
    case "explain":
      return request.only?.join(", ") ?? "";
    case "import":
      return request.model ?? "";
    default:
      return [request.pair ? `against “${request.pair.counterfactual}”` : "", request.model, request.goal === "complete" ? "complete" : ""].filter(Boolean).join("; ");
  }
}

/** When a job was requested, as this machine's clock says it. */
export const timeOf = (job: Job): string => new Date(job.created).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" });

/** Where a job's result is; null where it is in the list of jobs alone. */
function resultOf({ request, last }: Job): [string, Partial<View>] | null {
  if (last.state !== "done") return null;
  switch (request.verb) {
    case "intervene":
    case "generate":
      return [request.run, { tab: "change" }];
    case "measure":
      return [request.run, { tab: "circuit", pins: request.nodes }];
    case "look":
      return [request.run, { tab: "circuit", sel: request.head, prompt: request.prompt ?? 0 }];
    case "verify":
      return [request.run, { tab: "proof", on: request.on === "given" && request.pair ? quoted(request.pair.prompt, request.pair.answer) : request.on === "test" ? "test split" : "" }];
    case "explain":
      return [request.run, { tab: request.only?.length && !request.only.includes("lens") ? "circuit" : "layers" }];
    default:
      return last.run ? [last.run, { tab: "circuit" }] : null;
  }
}

/** A button that asks for a job, and the state of the last such job. */
export function AskFor({ asked, words, done }: { asked: JobRequest; words: string; done?: string }) {
  const { busy, error, ask } = useAsking();
  const { jobs } = useJobs();
  const same = (request: object) => Object.entries(asked).every(([key, value]) => JSON.stringify((request as Record<string, unknown>)[key]) === JSON.stringify(value));
  const job = jobs.find(({ request }) => same(request));
  return (
    <div className="go">
      <button disabled={busy || (job && isActive(job))} onClick={() => void ask(() => submit(asked))}>
        {words}
      </button>
      {job && <JobState job={job} />}
      {done && job?.last.state === "done" && <small>{done}</small>}
      <Said error={error ?? (job?.last.problem ? saidOf(job.last.problem) : null)} />
    </div>
  );
}

/** In a few words, for the button that leads here. */
export function jobsInWords(jobs: Job[]): string {
  const active = jobs.filter(isActive);
  const now = active.find((job) => job.last.state === "running");
  if (!active.length) return "";
  return `${now ? now.last.stage : "waiting"}${active.length > 1 ? ` · ${active.length - 1} more` : ""}`;
}

export function JobList({ open }: { open: Opens }) {
  const { jobs, folder, trouble } = useJobs();
  const { error, ask } = useAsking();
  return (
    <section className="jobs" aria-label="Jobs">
      <h2>Jobs</h2>
      <Said error={trouble ?? error} />
      {!jobs.length && <p className="note">None yet. One runs at a time, others wait; each can be stopped, and goes on in the background while you look at other circuits.</p>}
      <ul>
        {jobs.map((job) => (
          <JobRow key={job.id} job={job} ask={ask} open={open} />
        ))}
      </ul>
      {folder && (
        <p className="note" title={folder}>
          New runs go to the folder “{folder.split(/[\\/]/).at(-1)}”.
        </p>
      )}
    </section>
  );
}

function JobRow({ job, ask, open }: { job: Job; ask: (what: () => Promise<unknown>) => unknown; open: Opens }) {
  const { last } = job;
  const result = resultOf(job);
  return (
    <li className={`job ${last.state}`} data-testid="job">
      <p className="job-title" title={job.title}>
        {job.title}
      </p>
      <p className="note" title={aboutJob(job.request)}>
        {timeOf(job)} {aboutJob(job.request)}
      </p>
      <div className="job-state">
        <JobState job={job} />
        <span className="spring" />
        {isActive(job) && (
          <button aria-label={`Cancel ${job.title}`} onClick={() => ask(() => cancel(job))}>
            Cancel
          </button>
        )}
        {result && (
          <button className="main" aria-label={`Open ${job.title}`} onClick={() => open(...result)}>
            Open
          </button>
        )}
        {["failed", "interrupted", "cancelled"].includes(last.state) && (
          <button aria-label={`${last.state === "failed" ? "Try again" : "Resume"} ${job.title}`} onClick={() => ask(() => resume(job))}>
            {last.state === "failed" ? "Try again" : "Resume"}
          </button>
        )}
        {!isActive(job) && (
          <button className="quiet" aria-label={`Remove ${job.title}`} title="Remove from the list; what it made stays" onClick={() => ask(() => drop(job))}>
            ×
          </button>
        )}
      </div>
      {last.problem && <Said error={saidOf(last.problem)} />}
    </li>
  );
}

export const saidOf = (problem: NonNullable<Job["last"]["problem"]>): ApiError => {
  const said = problem.got ? `Expected ${problem.expected}; got ${problem.got}` : problem.detail;
  return new ApiError(`${said[0]?.toUpperCase() ?? ""}${said.slice(1)}.`, problem.do);
};

/** Units beyond which a share says more than a count, such as bytes. */
const COUNTED = 100_000;

/** The state of a job: in words, and as a bar where it runs. */
export function JobState({ job }: { job: Job }) {
  const { state, stage, done = 0, total, left } = job.last;
  if (state === "queued") return <small>waiting{job.ahead ? `, ${plural(job.ahead, "job")} before it` : ""}</small>;
  if (state === "running")
    return (
      <label className="job-progress">
        <small>
          {stage}
          {total ? `, ${total > COUNTED ? percent(done / total) : `${count(done)} of ${count(total)}`}` : ""}
          {left && left >= 1 ? `, ${timeLeft(left)} left` : ""}
        </small>
        <progress max={1} {...(total ? { value: Math.min(1, done / total) } : {})} />
      </label>
    );
  return <small>{state === "interrupted" ? `interrupted${stage ? `: ${stage}` : ""}` : state}</small>;
}
