// The server's jobs: the list, followed as it happens by one stream of events, and what can be asked of it.
import { useSyncExternalStore } from "react";
import type { components } from "./api";
import { type ApiError, request } from "./server";

type Schemas = components["schemas"];
export type Job = Schemas["Job"];
export type JobEvent = Schemas["JobEvent"];
export type JobRequest = Schemas["Job"]["request"];
export type Pair = Schemas["Pair"];
export type Draft = Required<Schemas["Draft"]>;
export type DraftTokens = Schemas["DraftTokens"];

interface Known {
  jobs: Job[];
  /** Where new runs go. */
  folder: string;
  trouble: ApiError | null;
  /** Jobs that have ended since the page was opened. */
  ended: number;
}

export const isActive = (job: Job): boolean => job.last.state === "queued" || job.last.state === "running";

let known: Known = { jobs: [], folder: "", trouble: null, ended: 0 };
let stream: { id: string; source: EventSource } | null = null;
const listeners = new Set<() => void>();

function learn(patch: Partial<Known>): void {
  known = { ...known, ...patch };
  listeners.forEach((listener) => listener());
}

export const useJobs = (): Known =>
  useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => known,
  );

async function send<T>(method: string, path: string, body?: unknown): Promise<T> {
  const response = await request(path, { method, ...(body === undefined ? {} : { headers: { "content-type": "application/json" }, body: JSON.stringify(body) }) });
  return (response.status === 204 ? undefined : await response.json()) as T;
}

/** Reads the list again, and follows the job that is next to change. */
export async function rereadJobs(): Promise<void> {
  try {
    const { jobs, folder } = (await (await request("jobs")).json()) as Schemas["JobList"];
    learn({ jobs, folder, trouble: null });
    follow();
  } catch (error) {
    learn({ trouble: error as ApiError });
  }
}

/** One stream only, and none from a hidden page: a browser opens few connections to one server. */
function follow(): void {
  const next = document.hidden ? undefined : known.jobs.filter(isActive).sort((a, b) => a.ahead - b.ahead || (a.last.state === "running" ? -1 : 1))[0];
  if (stream?.id === next?.id) return;
  stream?.source.close();
  stream = null;
  if (!next) return;
  const source = new EventSource(`api/v1/jobs/${encodeURIComponent(next.id)}/events?after=${next.last.id}`);
  stream = { id: next.id, source };
  source.onmessage = (message: MessageEvent<string>) => {
    const last = JSON.parse(message.data) as JobEvent;
    learn({ jobs: known.jobs.map((job) => (job.id === next.id ? { ...job, last } : job)) });
    if (last.state === "queued" || last.state === "running") return;
    source.close();
    stream = null;
    learn({ ended: known.ended + 1 });
    void rereadJobs();
  };
  source.onerror = () => {
    if (source.readyState !== EventSource.CLOSED) return; // the browser tries again by itself
    stream = null;
    learn({ jobs: known.jobs.filter((job) => job.id !== next.id) });
    void rereadJobs();
  };
}

document.addEventListener("visibilitychange", () => void (document.hidden ? follow() : rereadJobs()));
void rereadJobs();

const then = async <T,>(done: Promise<T>): Promise<T> => {
  const value = await done;
  await rereadJobs();
  return value;
};
const at = (job: Job) => `jobs/${encodeURIComponent(job.id)}`;

export const submit = (asked: JobRequest) => then(send<Job>("POST", "jobs", asked));
/** Sends a file and asks for its import. */
export const sendFile = (file: File, name: string, model: string) =>
  then(request(`imports?${new URLSearchParams({ name, model })}`, { method: "POST", headers: { "content-type": "application/json" }, body: file }));
export const cancel = (job: Job) => then(send<Job>("POST", `${at(job)}/cancel`));
export const resume = (job: Job) => then(send<Job>("POST", `${at(job)}/resume`));
export const drop = (job: Job) => then(send<void>("DELETE", at(job)));
export const draftTokens = (draft: Draft) => send<DraftTokens>("POST", "tokens", draft);
