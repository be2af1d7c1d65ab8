// The map as plain shapes: painted on a canvas while one looks, written as SVG when one exports.
import { type Side, sideOf } from "./compare";
import { type Edge, type Measure, moves, touches, weightOf } from "./graph";
import { endKey, ends, type Layout, lattice, nodeKey, type Point, spanOf } from "./layout";
import { parse } from "./names";
import type { Drawn } from "./spans";

export type Ink = "paper" | "ink" | "soft" | "faint" | "line" | "blue" | "orange" | "side-a" | "side-b" | "both" | "accent";

export interface Stroke {
  from: Point;
  to: Point;
  curved: boolean;
  width: number;
  ink: Ink;
  dashed: boolean;
  alpha: number;
  key: string;
}

export interface Mark extends Point {
  shape: "disc" | "square" | "port";
  size: number;
  ink: Ink;
  ring: boolean;
  alpha: number;
  key: string;
}

export interface Label extends Point {
  text: string;
  size: number;
  ink: Ink;
  align: "left" | "center" | "right";
  bold?: boolean;
  /** What stays where it is when the map is moved: names of rows their x, names of columns their y. */
  fixed?: "x" | "y" | "xy";
}

export interface Scene {
  width: number;
  height: number;
  bands: { x: number; y: number; width: number; height: number }[];
  strokes: Stroke[];
  marks: Mark[];
  labels: Label[];
}

export interface Looks {
  by: Measure;
  sel: string;
  hover: string;
  pins: string[];
  dir: string;
  /** How many times as large as the whole map: names keep their size on the screen. */
  zoom?: number;
  /** What a person calls a node. */
  called?: (node: string) => string;
}

/** Edges up to which they are curves, dashed where they hinder; beyond, straight whole lines are as legible and a quarter of the work. */
const CURVED = 600;
/** Edges of the whole map that are drawn, the strongest: more would be one blot. Those of what is locked are drawn besides. */
const BACKBONE = 300;
/** Edges that are drawn at most, on a map that is zoomed in. */
export const DRAWN = 2500;
const LABELS = 120;
/** Nodes beyond which those without an edge are not drawn: they would be a grey area. */
const LATTICE = 50_000;

const sideInk: Record<Side, Ink> = { a: "side-a", b: "side-b", both: "both" };

/** The edges of a view that are drawn: the strongest, more of them the larger the map is, and all of what is picked. */
export function drawnOf(edges: Edge[], picked: string[], zoom = 1): Edge[] {
  const most = Math.min(DRAWN, Math.round(BACKBONE * zoom * zoom));
  if (edges.length <= most) return edges;
  const held = edges.slice(most).filter((edge) => picked.some((sel) => touches(edge, sel, "both")));
  return [...edges.slice(0, most), ...held.slice(0, DRAWN - most)];
}

/** Edges as shapes, the strongest first. */
export function sceneOf(layout: Layout, edges: Edge[], looks: Looks): Scene {
  const picked = [looks.hover || looks.sel, ...looks.pins].filter(Boolean);
  const lit = (edge: Edge) => !picked.length || picked.some((sel) => touches(edge, sel, looks.hover && sel === looks.hover ? "both" : looks.dir));
  const strongest = Math.max(...edges.slice(0, 1).map((edge) => Math.abs(weightOf(edge, looks.by))), 1e-9);
  const curved = edges.length <= CURVED;
  // Many wide lines would cover the map.
  const [thin, wide] = curved ? [0.7, 7 * Math.min(1, Math.sqrt(60 / edges.length))] : [0.4, 2.5];
  const closer = Math.sqrt(looks.zoom ?? 1); // on a map that is zoomed in, lines and marks grow less than the distances
  const strokes: Stroke[] = [];
  const marks = new Map<string, Mark>();
  const mark = (key: string, at: Point, kind: string, weight: number, on: boolean) => {
    const had = marks.get(key);
    if (had && (had.alpha === 1 || !on)) return; // its strongest edge came first
    const port = kind === "port";
    const small = (Math.min(layout.row * 0.5, 9) / closer) * (kind === "super" ? 1.7 : 1);
    const size = had?.size ?? (port ? Math.min(small * 0.8, 5 / closer) : small * (0.55 + 0.5 * Math.sqrt(weight / strongest)));
    const chosen = looks.sel === key || looks.pins.includes(key);
    marks.set(key, { ...at, key, shape: port ? "port" : kind === "mlp" ? "square" : "disc", size, ink: chosen ? "accent" : kind === "super" ? "both" : "ink", ring: chosen, alpha: on ? 1 : 0.25 });
  };
  for (const edge of edges) {
    const weight = weightOf(edge, looks.by);
    const on = lit(edge);
    const [from, to] = ends(layout, edge);
    const share = Math.abs(weight) / strongest;
    const side = sideOf(edge);
    strokes.push({
      from,
      to,
      curved,
      key: edge.key,
      width: (looks.sel === edge.key ? Math.max(3, thin + wide * share) : thin + wide * share * (looks.by === "name" ? 0.25 : 1)) / closer,
      ink: side ? sideInk[side] : weight >= 0 ? "blue" : "orange",
      dashed: curved && (side ? side === "b" : weight < 0),
      alpha: on ? (curved ? 0.35 : 0.15) + 0.5 * Math.min(1, share * (curved ? 4 : 1)) : 0.09,
    });
    const span = spanOf(layout, edge);
    mark(nodeKey(edge.from.node, span), from, edge.from.kind, Math.abs(weight), on);
    mark(endKey(edge, span), to, moves(edge) ? "port" : edge.to.kind, Math.abs(weight), on);
  }
  // The weakest first, so that the strongest lie on top.
  strokes.reverse();
  strokes.sort((a, b) => a.alpha - b.alpha);
  return {
    width: layout.width,
    height: layout.height,
    bands: [],
    strokes: [...carried(edges, layout, marks), ...strokes],
    marks: [...marks.values()],
    labels: nodeLabels([...marks.values()], curved ? LABELS : LABELS / 4, looks.zoom ?? 1, looks.called ?? (() => "")),
  };
}

/** What lies under every view of a model: its layers, all its nodes, the names of rows and columns. */
export function groundOf(run: Drawn, layout: Layout): Scene {
  const size = Math.min(2, layout.row * 0.12);
  const all = lattice(run);
  const nodes = all.length * layout.columns.length > LATTICE ? [] : all;
  return {
    width: layout.width,
    height: layout.height,
    bands: layout.columns.flatMap((column) =>
      Array.from({ length: Math.ceil(layout.layers / 2) }, (_, i) => ({
        x: column.left + 2,
        width: column.width - 4,
        y: layout.level(2 * i) - layout.row * 0.7,
        height: layout.row,
      })),
    ),
    strokes: [],
    marks: layout.columns.flatMap((column) =>
      nodes
        .filter((name) => name.kind !== "logits")
        .map((name) => ({
          ...layout.at(name, column.span),
          key: "",
          shape: name.kind === "mlp" ? ("square" as const) : ("disc" as const),
          size,
          ink: "line" as const,
          ring: false,
          alpha: 0.8,
        })),
    ),
    labels: axis(run, layout),
  };
}

/** One scene over another, for a file. */
export const over = (ground: Scene, scene: Scene): Scene => ({
  ...ground,
  strokes: [...ground.strokes, ...scene.strokes],
  marks: [...ground.marks, ...scene.marks],
  labels: [...ground.labels, ...scene.labels],
});

/** Thin lines from keys and values to the heads that read them: what attention carries, sideways where it moves. */
function carried(edges: Edge[], layout: Layout, marks: Map<string, Mark>): Stroke[] {
  const seen = new Map<string, Stroke>();
  const heads = Map.groupBy(
    [...marks.values()].filter((known) => known.shape === "disc"),
    (mark) => mark.key.replace(/@.*/, ""),
  );
  for (const edge of edges) {
    if (!moves(edge)) continue;
    for (const head of edge.into.flatMap((node) => heads.get(node) ?? [])) {
      const from = layout.at(edge.to, edge.from.span);
      // A head looks back, never ahead.
      if (head.x < from.x - layout.columns.at(-1)!.width / 2) continue;
      const key = `${endKey(edge, spanOf(layout, edge))}~${head.key}`;
      seen.set(key, { from, to: head, curved: false, width: 1, ink: "line", dashed: false, alpha: 0.9, key: "" });
    }
  }
  return [...seen.values()];
}

function axis(run: Drawn, layout: Layout): Label[] {
  const every = layout.row < 13 ? 5 : layout.row < 20 ? 2 : 1;
  const labels: Label[] = [];
  for (let layer = 0; layer < layout.layers; layer += every)
    labels.push({ x: 40, y: layout.level(layer) - layout.row * 0.2, text: `${layer}`, size: 11, ink: "soft", align: "right", fixed: "x" });
  labels.push({ x: 14, y: 22, text: "layer", size: 11, ink: "soft", align: "left", fixed: "xy" });
  const lane = layout.at(parse("a0.h1"), "").x - layout.at(parse("a0.h0"), "").x;
  if (!layout.columns[0]!.span && lane >= 26) {
    const y = layout.level(0) + layout.row * 0.5 + 9;
    for (let head = 0; head < run.model.heads; head++) labels.push({ x: layout.at(parse(`a0.h${head}`), "").x, y, text: `h${head}`, size: 10, ink: "soft", align: "center", fixed: "y" });
    labels.push({ x: layout.at(parse("m0"), "").x, y, text: "MLP", size: 10, ink: "soft", align: "center", fixed: "y" });
  }
  const prompt = run.prompts[0];
  for (const column of layout.columns) {
    const x = column.left + column.width / 2;
    if (column.span) labels.push({ x, y: layout.height - 9, text: cut(column.label, column.width / 7), size: 12, ink: "ink", align: "center", fixed: "y" });
  }
  const [middle, wide] = [layout.at(parse("input"), "").x, layout.width / 7.5];
  if (!layout.columns[0]!.span && prompt)
    labels.push({ x: middle, y: layout.height - 9, text: cut(run.prompts.length > 1 ? `${run.prompts.length} prompts, such as “${prompt.prompt}”` : `“${prompt.prompt}”`, wide), size: 12, ink: "ink", align: "center", fixed: "xy" });
  if (prompt) {
    const against = prompt.distractors[0] ? ` rather than “${prompt.distractors[0].trim()}”` : "";
    const at = layout.at(parse("logits"), "");
    const text = cut(`“${prompt.answers[0]?.trim()}”${against}`, wide);
    labels.push({ x: Math.min(at.x, layout.width - text.length * 3.7 - 6), y: 10, text, size: 12, ink: "ink", align: "center", fixed: "xy" });
  }
  return labels;
}

export const cut = (text: string, letters: number): string => (text.length <= letters ? text : `${text.slice(0, Math.max(1, Math.floor(letters) - 1))}…`);

/** Names beside the nodes, the largest first; one that would cover another is left to its hover. */
function nodeLabels(marks: Mark[], most: number, zoom: number, called: (node: string) => string): Label[] {
  const taken: { left: number; right: number; y: number }[] = marks.map((mark) => ({ left: mark.x - mark.size, right: mark.x + mark.size, y: mark.y }));
  const placed: Label[] = [];
  const free = (left: number, right: number, y: number) => !taken.some((box) => left < box.right && right > box.left && Math.abs(box.y - y) < 11 / zoom);
  for (const mark of [...marks].sort((a, b) => Number(b.ring) - Number(a.ring) || b.size - a.size).slice(0, most)) {
    if (mark.alpha < 1 && !mark.ring) continue;
    const node = mark.key.replace(/@.*/, "");
    const own = called(node);
    const text = mark.shape === "port" ? parse(node).reads : own ? `${node}: ${cut(own, 28)}` : node.replace(/^\*/, "");
    const [wide, gap] = [(text.length * 6.4) / zoom, 3 / zoom];
    for (const left of [mark.x + mark.size + gap, mark.x - mark.size - gap - wide]) {
      if (!free(left, left + wide, mark.y)) continue;
      taken.push({ left, right: left + wide, y: mark.y });
      placed.push({ x: left, y: mark.y, text, size: 11 / zoom, ink: "ink", align: "left", bold: mark.ring });
      break;
    }
  }
  return placed;
}
