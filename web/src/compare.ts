// Two circuits together: which edges are in which, by a measure that both have.
import { type Edge, type EdgeList, type Measure, measureOf, shownEdges, strongest } from "./graph";
import { parse } from "./names";
import type { Drawn } from "./spans";

export type Side = "a" | "b" | "both";

/** What the comparison needs to know of a run. */
interface Compared {
  run: Drawn & { title: string; unit: string; metric: string };
  list: EdgeList;
}

export interface Comparison {
  a: Edge[];
  b: Edge[];
  by: Measure;
  /** Why the edges are compared by this measure and not by a better one; "" where there is none. */
  why: string;
}

/** The side of a compared edge; null for any other. */
export const sideOf = (edge: Edge): Side | null => (edge.in ? (edge.in.a && edge.in.b ? "both" : edge.in.a ? "a" : "b") : null);

/** The edges of two views that are to be compared, and the measure that they share. */
export function comparison(ours: Compared, theirs: Compared, mode: string, n: number): Comparison {
  const [a, b] = [ours, theirs].map(({ list }) => shownEdges(list, mode, n)) as [Edge[], Edge[]];
  const [spanned, also] = [ours, theirs].map(({ run }) => run.spans.length > 0);
  if (spanned !== also)
    return { a: whole(a), b: whole(b), by: "name", why: "Only one of the runs distinguishes positions, so that sizes cannot be compared: only names are." };
  const exact = [a, b].map((edges) => measureOf(edges, mode) === "effect");
  const words = [ours.run.effect_words, theirs.run.effect_words];
  if (exact[0] && exact[1] && words[0] === words[1]) return { a, b, by: "effect", why: "" };
  const [here, there] = [ours.run, theirs.run].map((run) => `${run.metric}${run.unit && ` in ${run.unit}`}`);
  const lacking = [ours, theirs].filter((_, i) => !exact[i]).map(({ run }) => `“${run.title}”`);
  const remedy = lacking.length ? ` Exact effects of ${lacking.join(" and ")} were not measured: discover it with the method “verified” to compare them.` : ` Exact effects are “${words[0]}” in one and “${words[1]}” in the other.`;
  if (here === there) return { a, b, by: "score", why: mode === "circuit" ? `Compared by score, an estimate.${remedy}` : "" };
  return { a, b, by: "name", why: `Scores are ${here} in one and ${there} in the other: only names are compared.${mode === "circuit" ? remedy : ""}` };
}

/** The edges of both, each once. */
export function compare(a: Edge[], b: Edge[], by: Measure): Edge[] {
  const found = new Map<string, NonNullable<Edge["in"]>>();
  for (const edge of a) found.set(edge.key, { a: edge });
  for (const edge of b) found.set(edge.key, { ...found.get(edge.key), b: edge });
  return strongest(
    [...found.values()].map((ends) => ({ ...(ends.a ?? ends.b)!, in: ends })),
    by,
  );
}

/** Edges without their places in the prompt, each once. */
function whole(edges: Edge[]): Edge[] {
  const found = new Map<string, Edge>();
  for (const edge of edges) {
    const key = `${edge.from.node}>${edge.receiver}`;
    if (!found.has(key)) found.set(key, { ...edge, key, sender: edge.from.node, from: parse(edge.from.node), place: "", unit: key });
  }
  return [...found.values()];
}
