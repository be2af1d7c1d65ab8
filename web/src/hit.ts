// What the pointer can hit: nodes, and points along edges while these can be distinguished.
import { type Quadtree, quadtree } from "d3-quadtree";
import { type Edge, type Measure, weightOf, weightWords } from "./graph";
import type { Point } from "./layout";
import { inputInWords, plain } from "./names";
import type { Scene, Stroke } from "./scene";
import { type Drawn, groupSize, wordsOf } from "./spans";
import { count, plural, signed } from "./words";

interface Spot extends Point {
  key: string;
}

/** Strokes beyond which lines lie too close to point at one. */
const APART = 900;

/** Finds the key of what lies within some pixels of a place, "" for nothing. The trees are made when it is first asked. */
export function targetsOf(scene: Scene): (x: number, y: number, near: number) => string {
  let made: { nodes: Quadtree<Spot>; along: Quadtree<Spot> } | undefined;
  return (x, y, near) => {
    made ??= {
      nodes: tree(scene.marks.filter((mark) => mark.shape !== "port")),
      along: tree(scene.strokes.length > APART ? [] : scene.strokes.filter((stroke) => stroke.key).flatMap(along)),
    };
    return made.nodes.find(x, y, near)?.key ?? made.along.find(x, y, near * 0.6)?.key ?? "";
  };
}

const tree = (spots: Spot[]): Quadtree<Spot> =>
  quadtree(
    spots,
    (spot) => spot.x,
    (spot) => spot.y,
  );

function along({ from, to, key }: Stroke): Spot[] {
  const bend = Math.max(6, Math.abs(to.y - from.y) * 0.42);
  return Array.from({ length: 13 }, (_, i) => {
    const t = (i + 1) / 14;
    const s = 1 - t;
    const x = s * s * s * from.x + 3 * s * s * t * from.x + 3 * s * t * t * to.x + t * t * t * to.x;
    const y = s * s * s * from.y + 3 * s * s * t * (from.y - bend) + 3 * s * t * t * (to.y + bend) + t * t * t * to.y;
    return { x, y, key };
  });
}

/** Where something that was hit is drawn. */
export function placeOf(key: string, scene: Scene): [number, number] {
  const mark = scene.marks.find((known) => known.key === key);
  if (mark) return [mark.x, mark.y];
  const stroke = scene.strokes.find((known) => known.key === key);
  return stroke ? [(stroke.from.x + stroke.to.x) / 2, (stroke.from.y + stroke.to.y) / 2] : [0, 0];
}

/** What was hit: its name, then what is known of it. */
export function hoverWords(key: string, edges: Edge[], run: Drawn & { score_sign: number }, by: Measure): string[] {
  const edge = edges.find((known) => known.key === key);
  if (edge) {
    const lines = edge.in ? (["a", "b"] as const).map((side) => `${side.toUpperCase()}: ${edge.in![side] ? sizeWords(edge.in![side], run, by) : "not in it"}`) : [sizeWords(edge, run, by)];
    const read = inputInWords(edge.receiver, groupSize(run));
    return [`${plain(edge.sender)} → ${plain(edge.receiver)}`, ...(read ? [`read by the ${read}`] : []), ...lines];
  }
  const [node = "", span = ""] = key.split("@");
  const out = edges.filter((known) => known.from.node === node && (!span || known.from.span === span));
  const into = edges.filter((known) => known.into.includes(node));
  return [plain(node), wordsOf(run, key), `${count(into.length)} in, ${count(out.length)} out`];
}

/** How much an edge matters, by the measure of its view. Edges drawn as one were not measured as one. */
function sizeWords(edge: Edge, run: Drawn & { score_sign: number }, by: Measure): string {
  if (by === "name") return "in it";
  if (edge.parts) return `${plural(edge.parts.length, "edge")} drawn as one; the sum of their ${by === "effect" ? "exact effects" : "scores"} is ${signed(weightOf(edge, by))}, not measured together`;
  return by === "effect" ? `${signed(weightOf(edge, by))} ${run.effect_words}` : `${weightWords(run, by)} ${signed(weightOf(edge, by))}, rank ${count(edge.rank)}`;
}
