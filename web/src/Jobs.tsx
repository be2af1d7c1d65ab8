// What the machine is asked to do: the queue with its progress, and what can be done with each job.
import { useState } from "react";
import { cancel, drop, isActive, type Job, type JobRequest, resume, submit, useJobs } from "./jobs";
import { ApiError } from "./server";
import { plural } from "./words";

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

export function Said({ error }: { error: ApiError | null }) {
  if (!error) return null;
  return (
    <p className="said" role="alert">
      {error.said} {error.advice && <b>{error.advice[0]!.toUpperCase() + error.advice.slice(1)}.</b>}
    </p>
  );
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

export function JobList({ open }: { open: (run: string) => void }) {
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

function JobRow({ job, ask, open }: { job: Job; ask: (what: () => Promise<unknown>) => unknown; open: (run: string) => void }) {
  const { last } = job;
  const run = last.run;
  return (
    <li className={`job ${last.state}`} data-testid="job">
      <p className="job-title" title={job.title}>
        {job.title}
      </p>
      <div className="job-state">
        <JobState job={job} />
        <span className="spring" />
        {isActive(job) && (
          <button aria-label={`Cancel ${job.title}`} onClick={() => ask(() => cancel(job))}>
            Cancel
          </button>
        )}
        {last.state === "done" && run && (
          <button className="main" aria-label={`Open ${job.title}`} onClick={() => open(run)}>
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

const saidOf = (problem: NonNullable<Job["last"]["problem"]>): ApiError => {
  const said = problem.got ? `Expected ${problem.expected}; got ${problem.got}` : problem.detail;
  return new ApiError(`${said[0]?.toUpperCase() ?? ""}${said.slice(1)}.`, problem.do);
};

/** The state of a job: in words, and as a bar where it runs. */
export function JobState({ job }: { job: Job }) {
  const { state, stage, done = 0, total } = job.last;
  if (state === "queued") return <small>waiting{job.ahead ? `, ${plural(job.ahead, "job")} before it` : ""}</small>;
  if (state === "running")
    return (
      <label className="job-progress">
        <small>{stage}</small>
        <progress max={1} {...(total ? { value: Math.min(1, done / total) } : {})} />
      </label>
    );
  return <small>{state === "interrupted" ? `interrupted${stage ? `: ${stage}` : ""}` : state}</small>;
}
