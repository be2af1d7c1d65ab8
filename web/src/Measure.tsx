// What is pinned or put together, measured as one: run alone, and left out. Effects of single edges need not add up.
import { JobState, Said, saidOf, timeOf, useAsking } from "./Jobs";
import { isActive, type Job, submit, useJobs } from "./jobs";
import { isKey, parse, together } from "./names";
import type { Labels, Run } from "./server";
import type { View } from "./view";
import { decimal, interval, noInterval, percent, plural, token } from "./words";

/** Nodes among what is pinned and locked, a supernode's members for it; an edge is none. */
export function selected(view: View, supernodes: Labels["supernodes"]): string[] {
  const members = (name: string) => supernodes.find((known) => together(known.name) === parse(name).node)?.members ?? [name];
  const names = [...view.pins, view.sel].filter((name) => name && !name.includes(">")).flatMap(members);
  return [...new Set(names)].filter((name) => isKey(name) && ["head", "mlp", "input"].includes(parse(name).kind));
}

export function Measure({ run, labels, view }: { run: Run; labels: Labels; view: View }) {
  const { jobs } = useJobs();
  const { busy, error, ask } = useAsking();
  const nodes = [...new Set(selected(view, labels.supernodes).map((name) => parse(name).node))].filter((name) => parse(name).kind !== "input");
  const before = jobs.filter((job) => job.request.verb === "measure" && job.request.run === run.id);
  if (!nodes.length) return null;
  const on = run.test_pairs ? "test" : "own";
  return (
    <section className="measure" aria-label="Measure this selection">
      <div className="go">
        <button disabled={busy || before.some(isActive)} title={`${nodes.join(", ")}, at every position, on ${on === "test" ? "the test split" : "the run's own prompts"}: alone, and left out of the model`} onClick={() => void ask(() => submit({ verb: "measure", run: run.id, nodes, on }))}>
          Measure {nodes.length > 1 ? `these ${plural(nodes.length, "node")} together` : "this node"}
        </button>
        {before[0] && isActive(before[0]) && <JobState job={before[0]} />}
      </div>
      <Said error={error ?? (before[0]?.last.problem ? saidOf(before[0].last.problem) : null)} />
      <ul aria-label="What was measured">
        {before.map((job) => (
          <Outcome key={job.id} job={job} />
        ))}
      </ul>
    </section>
  );
}

function Outcome({ job }: { job: Job }) {
  const found = job.last.measured;
  if (!found) return null;
  const bounds = (value: [number, number] | null | undefined) => (value ? ` (95% ${interval(value)})` : "");
  return (
    <li data-testid="measured" title={timeOf(job)}>
      <b>{found.nodes.join(", ")}</b>: alone, with {plural(found.edges, "edge")} of the circuit, faithfulness <b>{decimal(found.alone)}</b>
      {bounds(found.alone_interval)}; without them <b>{decimal(found.lost)}</b> of the metric is lost{bounds(found.lost_interval)}. The answer has {percent(found.probability.model!)} in the model, {percent(found.probability.alone!)} with them alone, {percent(found.probability.without!)} without them (next token “{token(found.top.model!)}” → “{token(found.top.without!)}”);{" "}
      {found.alone_interval ? `n = ${found.n}` : noInterval(found.n)}, {found.split === "test" ? "test split" : "its own prompts"}.
    </li>
  );
}
