// Nodes that a person put together, drawn as one: their edges to the same other end are merged, those inside are not drawn.
import { type Edge, type Measure, moves, strongest } from "./graph";
import type { Layout } from "./layout";
import { isKey, parse, together } from "./names";
import type { Labels } from "./server";

type Supernodes = Labels["supernodes"];

/** The edges of a view, which may be some of those that are drawn together. */
export function gathered(edges: Edge[], supernodes: Supernodes, by: Measure, drawn = edges): Edge[] {
  if (!supernodes.length) return edges;
  const home = new Map(supernodes.flatMap(({ name, members }) => members.map((node) => [node, together(name)] as const)));
  const writers = new Set(drawn.map((edge) => edge.from.node));
  const alone: Edge[] = [];
  const merged = new Map<string, Edge>();
  for (const edge of edges) {
    const from = home.get(edge.from.node);
    // Keys and values are read by a group of heads: it is inside where all of them that write in this view are.
    const readers = edge.into.length > 1 ? edge.into.filter((node) => writers.has(node)) : edge.into;
    const homes = new Set(readers.map((node) => home.get(node)));
    const to = homes.size === 1 ? [...homes][0] : undefined;
    if (!from && !to) {
      alone.push(moves(edge) ? { ...edge, into: [...new Set(edge.into.map((node) => home.get(node) ?? node))] } : edge);
      continue;
    }
    if (from && from === to) continue;
    const sender = from ? parse(edge.from.span ? `${from}@${edge.from.span}` : from) : edge.from;
    const receiver = to ? parse(to) : edge.to;
    const key = `${sender.full}>${receiver.full}`;
    const had = merged.get(key);
    merged.set(key, {
      key,
      sender: sender.full,
      receiver: receiver.full,
      from: sender,
      to: receiver,
      score: edge.score + (had?.score ?? 0),
      support: edge.support + (had?.support ?? 0),
      // Edges that were removed together share one effect, which counts once.
      effect: edge.effect === null || had?.effect === null ? null : (had?.parts?.some((part) => part.unit === edge.unit) ? 0 : edge.effect) + (had?.effect ?? 0),
      unit: key,
      circuit: edge.circuit || !!had?.circuit,
      rank: Math.min(edge.rank, had?.rank ?? Infinity),
      into: to ? [to] : edge.into,
      place: edge.place,
      parts: [...(had?.parts ?? []), edge],
    });
  }
  return strongest([...alone, ...merged.values()], by);
}

/** Edges of the model that some drawn edges represent. */
export const held = (edges: Edge[]): number => edges.reduce((sum, edge) => sum + (edge.parts?.length ?? 1), 0);

/** The same layout, with each supernode in the middle of its members. */
export function placed(layout: Layout, supernodes: Supernodes): Layout {
  if (!supernodes.length) return layout;
  const members = new Map(supernodes.map((known) => [together(known.name), known.members.filter(isKey).map(parse)]));
  return {
    ...layout,
    at: (name, span) => {
      const points = name.kind === "super" ? (members.get(name.node) ?? []).map((member) => layout.at(member, span)) : [];
      if (!points.length) return layout.at(name, span);
      const mean = (of: (point: { x: number; y: number }) => number) => points.reduce((sum, point) => sum + of(point), 0) / points.length;
      return { x: mean((point) => point.x), y: mean((point) => point.y) };
    },
  };
}
