// The edges of a run, and which of them a view shows.
import { type Name, parse } from "./names";
import type { Row } from "./server";
import { type Drawn, spanWords } from "./spans";
import { count, decimal } from "./words";

export interface Edge {
  key: string;
  sender: string;
  receiver: string;
  from: Name;
  to: Name;
  score: number;
  /** The score with the sign by which it supports the behaviour: under KL a negative score does. */
  support: number;
  /** The exact effect, in the run's `effect_words`; null where it was not measured. */
  effect: number | null;
  /** The edges that the effect was measured with; the edge itself where it was removed alone. */
  unit: string;
  circuit: boolean;
  /** Nodes whose input this is: one head for its query, all of a group for its keys and values. */
  into: string[];
  /** In the ranking by |score|, 1 the strongest. */
  rank: number;
  /** Where in the prompt, in words; "" where positions are not distinguished. */
  place: string;
  /** The edges that were merged into this one, of a supernode. */
  parts?: Edge[];
  /** The edge in each of two compared circuits. */
  in?: { a?: Edge; b?: Edge };
}

export interface EdgeList {
  /** Sorted by rank. */
  edges: Edge[];
  /** How many the model has. */
  total: number;
  /** Σ |score| of all of them. */
  weight: number;
  /** cumulative[i]: Σ |score| of the first i + 1. */
  cumulative: Float64Array;
}

interface Column<T> {
  at(i: number): T | undefined;
}

/** A table of edges, its columns Arrow's or arrays. */
export interface Columns {
  sender: Column<string>;
  receiver: Column<string>;
  score: Column<number>;
  effect: Column<number | null>;
  removed_with: Column<string | null>;
  circuit: Column<boolean>;
  rank: Column<number>;
}

export function edgeList(columns: Columns, rows: number, about: { total: number; weight: number }, run: Drawn & { score_sign: number }): EdgeList {
  const { sender, receiver, score, effect, removed_with, circuit, rank } = columns;
  const { model, score_sign } = run;
  const edges: Edge[] = [];
  const cumulative = new Float64Array(rows);
  let sum = 0;
  for (let i = 0; i < rows; i++) {
    const [from, to] = [sender.at(i)!, receiver.at(i)!];
    edges.push({
      key: `${from}>${to}`,
      sender: from,
      receiver: to,
      from: parse(from),
      to: parse(to),
      score: score.at(i)!,
      support: score_sign * score.at(i)!,
      effect: effect.at(i) ?? null,
      unit: removed_with.at(i) ?? `${from}>${to}`,
      circuit: circuit.at(i)!,
      into: readers(parse(to), model.heads / model.kv_groups),
      rank: rank.at(i)!,
      place: parse(from).span && spanWords(run, parse(from).span),
    });
    sum += Math.abs(edges[i]!.score);
    cumulative[i] = sum;
  }
  return { edges, total: about.total, weight: about.weight, cumulative };
}

/** Edges of the ranking that can be shown: those that were sent, less the circuit's that follow them. */
export const ranked = (list: EdgeList): number => list.edges.findLastIndex((edge, i) => edge.rank === i + 1) + 1;

/** What the edges of a view are drawn and sorted by, all by the same: exact effects, scores, or nothing but their names. */
export type Measure = "effect" | "score" | "name";

/** Exact effects where every edge of a found circuit has one. */
export const measureOf = (edges: Edge[], mode: string): Measure => (mode === "circuit" && edges.length > 0 && edges.every((edge) => edge.effect !== null) ? "effect" : "score");

/** An edge's size by that measure, positive where it supports; of a compared edge, the larger of its two. */
export function weightOf(edge: Edge, by: Measure): number {
  if (by === "name") return 1;
  if (!edge.in) return by === "effect" ? (edge.effect ?? 0) : edge.support;
  const [a, b] = [edge.in.a, edge.in.b].map((inside) => (inside ? weightOf(inside, by) : 0)) as [number, number];
  return Math.abs(b) > Math.abs(a) ? b : a;
}

/** What `weightOf` is, in words. */
export const weightWords = (run: { score_sign: number; effect_words: string }, by: Measure): string =>
  by === "effect" ? run.effect_words : by === "name" ? "names only" : run.score_sign < 0 ? "score (estimate, positive supports)" : "score (estimate)";

export function shownEdges(list: EdgeList, mode: string, n: number): Edge[] {
  if (mode === "ranking") return list.edges.slice(0, Math.min(n, ranked(list)));
  const edges = list.edges.filter((edge) => edge.circuit);
  return strongest(edges, measureOf(edges, mode));
}

export const strongest = (edges: Edge[], by: Measure): Edge[] => edges.sort((a, b) => Math.abs(weightOf(b, by)) - Math.abs(weightOf(a, by)));

/** Share of all scores, by size, that some edges hold. */
export const shareOf = (list: EdgeList, edges: Edge[]): number =>
  edges.reduce((sum, edge) => sum + Math.abs(edge.score), 0) / (list.weight || 1);

const readers = (to: Name, share: number): string[] =>
  to.kind === "group" ? Array.from({ length: share }, (_, i) => `a${to.layer}.h${to.index * share + i}`) : [to.node];

/** Whether keys or values are read, wherever in the prompt the head itself is. */
export const moves = (edge: Edge): boolean => edge.to.reads === "k" || edge.to.reads === "v";

/** Whether an edge is the locked one, or enters or leaves the locked node. */
export function touches(edge: Edge, sel: string, dir: string): boolean {
  if (sel.includes(">")) return edge.key === sel;
  const [node = "", span = ""] = sel.split("@");
  const here = !span || edge.from.span === span;
  const out = edge.from.node === node && here;
  const into = edge.into.includes(node) && (here || moves(edge));
  return (dir !== "in" && out) || (dir !== "out" && into);
}

export interface CurvePoint {
  size: number;
  kind: string;
  faithfulness: number;
}

export const curveOf = (rows: Row[]): CurvePoint[] =>
  rows.map((row) => ({ size: Number(row.size), kind: String(row.kind), faithfulness: Number(row.faithfulness) })).sort((a, b) => a.size - b.size);

/** What was measured of the ranking at a size, or at the sizes around it: never a guess between them. */
export function measuredAt(points: CurvePoint[], n: number): { below?: CurvePoint; above?: CurvePoint } {
  const ranking = points.filter((point) => point.kind === "ranking");
  const below = ranking.findLast((point) => point.size <= n);
  const above = ranking.find((point) => point.size >= n);
  return { ...(below && { below }), ...(above && { above }) };
}

/** That in words; every other part is a number to be stressed. */
export function measuredWords(points: CurvePoint[], n: number): string[] {
  const { below, above } = measuredAt(points, n);
  if (below?.size === n) return ["faithfulness ", decimal(below.faithfulness), " measured at this size"];
  const [first, second] = [below, above].filter((point) => point !== undefined);
  if (!first) return ["faithfulness was measured at no size of the ranking"];
  const more = second ? [` at ${count(first.size)}, `, decimal(second.faithfulness), ` at ${count(second.size)}`] : [` at ${count(first.size)}`];
  return ["faithfulness measured: ", decimal(first.faithfulness), ...more];
}
