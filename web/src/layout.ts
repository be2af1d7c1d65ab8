// Where everything of a model is drawn on the map: fixed for a model (and its prompt's tokens), the same for any selection.
import type { Edge } from "./graph";
import { moves } from "./graph";
import { type Name, parse } from "./names";
import { type Drawn, spanWords } from "./spans";

export interface Point {
  x: number;
  y: number;
}

export interface Column {
  /** The span of the prompt, "" where positions are not kept apart. */
  span: string;
  label: string;
  left: number;
  width: number;
}

export interface Layout {
  width: number;
  height: number;
  layers: number;
  row: number;
  columns: Column[];
  /** Height of a layer's attention; its MLP is half a row above. */
  level: (layer: number) => number;
  /** Where a component is drawn in a column. */
  at: (name: Name, span: string) => Point;
}

const LEFT = 52;
const RIGHT = 34;
const TOP = 44;
const BOTTOM = 62;

const firstPosition = (run: Drawn, span: string): number => Math.min(...(run.spans.find((known) => known.name === span)?.positions ?? [0]));

/** Where a model's parts are drawn. Columns of the prompt in which the circuit keeps nothing are narrow. */
export function layoutOf(run: Drawn, width: number, height: number, used: Set<string> | null): Layout {
  const byToken = used !== null;
  const { layers, heads, kv_groups } = run.model;
  const spans = byToken ? run.spans.map((span) => span.name).sort((a, b) => firstPosition(run, a) - firstPosition(run, b)) : [""];
  const weights = spans.map((span) => (!used?.size || used.has(span) ? 1 : 0.3));
  const unit = (width - LEFT - RIGHT) / weights.reduce((sum, weight) => sum + weight, 0);
  const columns: Column[] = [];
  for (const [i, span] of spans.entries()) {
    const before = columns.at(-1);
    columns.push({ span, label: byToken ? spanWords(run, span) : "", left: before ? before.left + before.width : LEFT, width: unit * weights[i]! });
  }
  const row = (height - TOP - BOTTOM) / layers;
  const level = (layer: number) => height - BOTTOM - (layer + 0.3) * row;
  // Heads in lanes of equal width, then a gap, then the MLP.
  const inLane = (column: Column, lane: number) => column.left + ((lane + 0.75) * column.width) / (heads + 2.5);
  const share = heads / kv_groups;
  const at = (name: Name, span: string): Point => {
    const column = columns.find((known) => known.span === span) ?? columns[columns.length - 1]!;
    const middle = column.left + column.width / 2;
    switch (name.kind) {
      case "super": // its members' middle, which only who has the labels knows
      case "input":
        return { x: middle, y: height - 27 };
      case "logits":
        return { x: byToken ? inLane(columns[columns.length - 1]!, heads / 2) : middle, y: TOP * 0.58 };
      case "mlp":
        return { x: inLane(column, heads + 0.75), y: level(name.layer) - row * 0.5 };
      case "group":
      case "head": {
        const port = name.reads === "k" || name.reads === "v";
        const first = name.kind === "group" ? name.index * share : name.index;
        const center = name.kind === "group" ? first + (share - 1) / 2 : first;
        const aside = port ? (name.reads === "k" ? -0.24 : 0.24) : 0;
        return { x: inLane(column, center + aside), y: level(name.layer) + (port ? row * 0.32 : 0) };
      }
    }
  };
  return { width, height, layers, row, columns, level, at };
}

/** Both ends of an edge. It stays in its column: the residual stream moves nothing between positions. */
export function ends(layout: Layout, edge: Edge): [Point, Point] {
  return [layout.at(edge.from, edge.from.span), layout.at(edge.to, edge.from.span)];
}

/** What is drawn at an edge's end: a node, or the port of keys or values. */
export const endKey = (edge: Edge, span: string): string => nodeKey(moves(edge) ? edge.receiver : edge.to.node, span);

/** Where in the prompt an edge is drawn: nowhere in particular on a map that does not show positions. */
export const spanOf = (layout: Layout, edge: Edge): string => (layout.columns[0]!.span ? edge.from.span : "");

/** The key that a drawn node is locked by. */
export const nodeKey = (node: string, span: string): string => (span && node !== "logits" ? `${node}@${span}` : node);

/** All components of a model, for the faint lattice behind the circuit. */
export function lattice(run: Drawn): Name[] {
  const { layers, heads } = run.model;
  const names = ["input", "logits"];
  for (let layer = 0; layer < layers; layer++) {
    for (let head = 0; head < heads; head++) names.push(`a${layer}.h${head}`);
    names.push(`m${layer}`);
  }
  return names.map(parse);
}
