// The server's API: documents typed by its OpenAPI schema, tables as Arrow columns.
import { tableFromIPC } from "@uwdata/flechette";
import type { components } from "./api";
import type { Columns } from "./graph";

type Schemas = components["schemas"];
export type RunSummary = Schemas["RunSummary"];
export type RunList = Schemas["RunList"];
export type Run = Schemas["Run"];
export type Verification = Schemas["VerificationResult"];
export type ByCondition = Schemas["ByCondition"];
export type Labels = Schemas["Labels"];
export type Graph = Schemas["GraphDocument"];
export type GraphNode = Schemas["GraphNode"];
export type Sentence = Schemas["Sentence"];
export type Portable = Schemas["Portable"];
export type Row = Record<string, unknown>;

/** What the server, or the way to it, says went wrong. */
export class ApiError extends Error {
  constructor(
    readonly said: string,
    readonly advice: string,
    readonly status = 0,
  ) {
    super(said);
  }
}

async function answered(address: string, init?: RequestInit): Promise<Response> {
  const response = await fetch(address, init).catch(() => {
    throw new ApiError("The studio's server does not answer.", "Start `wheatstone studio` again, then reload this page.");
  });
  if (!response.ok) {
    const problem: Partial<Schemas["Problem"]> = await response.json().catch(() => ({}));
    const said = problem.got ? `Expected ${problem.expected}; got ${problem.got}.` : (problem.detail ?? response.statusText);
    throw new ApiError(said, problem.do ?? "", response.status);
  }
  return response;
}

export const request = (path: string, init?: RequestInit): Promise<Response> => answered(`api/v1/${path}`, init);
/** A file of the app itself. */
export const fetchAsset = async (name: string): Promise<string> => (await answered(`./${name}`)).text();

const json = async <T,>(path: string): Promise<T> => (await request(path)).json() as Promise<T>;
const columns = async (path: string) => tableFromIPC(await (await request(path)).arrayBuffer());
const run = (id: string) => `runs/${encodeURIComponent(id)}`;

export const fetchTasks = () => json<string[]>("tasks");
/** Corpus scans of the neurons of a run's model. */
export const fetchScans = (id: string) => json<RunSummary[]>(`${run(id)}/scans`);
export const fetchRuns = () => json<RunList>("runs");
export const fetchRun = (id: string) => json<Run>(run(id));
export const fetchContents = (id: string) => json<Schemas["Contents"]>(`${run(id)}/contents`);
export const fetchChance = (a: number, b: number, both: number, total: number) => json<Schemas["Chance"]>(`chance?a=${a}&b=${b}&both=${both}&total=${total}`);
export const fetchGraph = (id: string) => json<Graph>(`${run(id)}/graph`);
export const fetchPortable = (id: string) => json<Portable>(`${run(id)}/portable`);
export async function fetchLabels(id: string): Promise<{ labels: Labels; etag: string }> {
  const response = await request(`${run(id)}/labels`);
  return { labels: (await response.json()) as Labels, etag: response.headers.get("etag") ?? "" };
}
/** Saves them if they are still those that were read; gives their new entity tag. */
export async function saveLabels(id: string, labels: Labels, etag: string): Promise<string> {
  const headers = { "content-type": "application/json", "if-match": etag };
  return (await request(`${run(id)}/labels`, { method: "PUT", headers, body: JSON.stringify(labels) })).headers.get("etag") ?? "";
}
export const fetchStory = (id: string) => json<Sentence[]>(`${run(id)}/story`);
export const fetchVerifications = (id: string) => json<Verification[]>(`${run(id)}/verifications`);
export async function fetchEdges(id: string) {
  const table = await columns(`${run(id)}/edges`);
  const column = (name: keyof Columns) => table.getChild(name);
  const about = table.schema.metadata;
  return {
    columns: { sender: column("sender"), receiver: column("receiver"), score: column("score"), effect: column("effect"), removed_with: column("removed_with"), circuit: column("circuit"), rank: column("rank") } as Columns,
    rows: table.numRows,
    about: { total: Number(about?.get("edges")), weight: Number(about?.get("weight")) },
  };
}
export const fetchRows = async (id: string, table: string) => (await columns(`${run(id)}/tables/${table}`)).toArray() as Row[];
export const figureAddress = (id: string, name: string, format: string) => `api/v1/${run(id)}/figures/${name}.${format}`;
/** The page of a run of any verb. */
export const reportAddress = (id: string) => `api/v1/${run(id)}/report`;
export const circuitAddress = (id: string) => `api/v1/${run(id)}/circuit.json`;
