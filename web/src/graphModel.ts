// A graph in neurons as it is drawn: pruned by influence, its supernodes gathered, its nodes placed by token and layer.
import type { Graph, GraphNode, Labels } from "./server";
import type { Label, Mark, Scene, Stroke } from "./scene";
import { cut } from "./scene";
import { isNode, together } from "./names";
import { percent, plural, shown, signed, token } from "./words";

export const TARGET = "target";

/** An edge between two things that are drawn: nodes, supernodes, the target. */
export interface Link {
  key: string;
  from: string;
  to: string;
  /** In logits of the target; of a supernode, the sum. */
  weight: number;
  /** Of everything that its receiver gets; of a supernode, the mean over its members that are drawn. */
  share: number;
  /** Share of what reaches the target that passes along it. */
  influence: number;
  /** Edges of the graph that it is. */
  edges: number;
}

/** Something that is drawn. */
export interface Item {
  key: string;
  kind: string;
  layer: number;
  position: number;
  influence: number;
  members: GraphNode[];
}

export interface Drawn {
  items: Item[];
  /** The most influential first. */
  links: Link[];
  nodes: number;
  edges: number;
}

type Supernodes = Labels["supernodes"];
/** Edges up to which all are drawn where nothing else was asked for. */
const READABLE = 300;

/** Supernodes that the graph suggests, as the server keeps them: names of at most 60 characters, each node in one. */
export function suggestions(graph: Graph): Supernodes {
  const [names, homes] = [new Set<string>(), new Set<string>()];
  const groups = graph.suggested.flatMap(({ name, nodes }) => {
    const members = [...new Set(nodes)].filter((node) => isNode(node) && !homes.has(node)).slice(0, 500);
    if (members.length < 2) return [];
    for (const member of members) homes.add(member);
    const words = name.replace(/@/g, " at ").replace(/[<>|*]/g, " ").replace(/\s+/g, " ").trim();
    const plain = [...words].slice(0, 54).join("").trim() || "group";
    let unique = plain;
    for (let times = 2; names.has(unique); times++) unique = `${plain} (${times})`;
    names.add(unique);
    return [{ name: unique, members }];
  });
  return groups.slice(0, 200);
}

/** The fewest, most influential first, that have a share of all influence together. */
function strongest<T>(all: T[], of: (one: T) => number, share: number): T[] {
  const sorted = [...all].sort((a, b) => of(b) - of(a));
  const sum = sorted.reduce((total, one) => total + of(one), 0);
  let before = 0;
  return sorted.filter((one) => {
    const kept = share >= 1 || before < share * sum;
    before += of(one);
    return kept;
  });
}

/** What is drawn of a graph. Tokens and what is picked stay at any threshold. */
export function drawnGraph(graph: Graph, supernodes: Supernodes, nodes: number, edges: number, picked: string[]): Drawn {
  const home = new Map(supernodes.flatMap(({ name, members }) => members.map((node) => [node, together(name)] as const)));
  const chosen = new Set(picked);
  const kept = new Set(strongest(graph.nodes, (node) => node.influence, nodes / 100).map((node) => node.node));
  const stays = (node: GraphNode) => kept.has(node.node) || node.kind === "token" || chosen.has(node.node) || chosen.has(home.get(node.node) ?? "");
  const items = new Map<string, Item>();
  const keys = graph.nodes.map((node) => {
    if (!stays(node)) return "";
    const key = chosen.has(node.node) ? node.node : (home.get(node.node) ?? node.node); // what is picked is drawn by itself
    const had = items.get(key);
    if (had) had.members.push(node);
    else items.set(key, { key, kind: key === node.node ? node.kind : "super", layer: node.layer, position: node.position, influence: 0, members: [node] });
    return key;
  });
  keys.push(TARGET);
  items.set(TARGET, { key: TARGET, kind: "target", layer: graph.layers, position: graph.tokens.length - 1, influence: 1, members: [] });
  for (const item of items.values()) {
    if (!item.members.length) continue;
    item.influence = item.members.reduce((sum, node) => sum + node.influence, 0);
    item.layer = item.members.reduce((sum, node) => sum + node.layer, 0) / item.members.length;
    item.position = mode(item.members.map((node) => node.position));
  }
  const links = new Map<string, Link>();
  for (let i = 0; i < graph.sender.length; i++) {
    const [from, to] = [keys[graph.sender[i]!]!, keys[graph.receiver[i]!]!];
    if (!from || !to || from === to) continue;
    const key = `${from}>${to}`;
    const reaching = graph.nodes[graph.receiver[i]!]?.influence ?? 1;
    const link = links.get(key) ?? { key, from, to, weight: 0, share: 0, influence: 0, edges: 0 };
    link.weight += graph.weight[i]!;
    link.share += graph.share[i]! / Math.max(1, items.get(to)!.members.length);
    link.influence += graph.share[i]! * reaching;
    link.edges++;
    links.set(key, link);
  }
  const all = strongest([...links.values()], (link) => link.influence, edges ? edges / 100 : 1);
  const most = edges ? all.length : READABLE;
  const drawn = all.filter((link, i) => i < most || chosen.has(link.from) || chosen.has(link.to));
  const ends = new Set(drawn.flatMap((link) => [link.from, link.to]));
  const shownItems = [...items.values()].filter((item) => item.kind === "token" || item.key === TARGET || chosen.has(item.key) || ends.has(item.key));
  return { items: shownItems, links: drawn, nodes: shownItems.reduce((sum, item) => sum + item.members.length, 0), edges: drawn.reduce((sum, link) => sum + link.edges, 0) };
}

const mode = (values: number[]): number => [...Map.groupBy(values, (value) => value)].sort((a, b) => b[1].length - a[1].length)[0]![0];

/** What an item is called. */
export const named = (key: string, graph: Graph): string => (key === TARGET ? graph.target.name : key.startsWith("*") ? `“${key.slice(1)}”` : key);

/** What it says, in short: the tokens it makes likelier. */
export const says = (item: Item): string => (item.kind === "token" ? token(item.members[0]!.token) : item.members.length === 1 ? item.members[0]!.promotes.slice(0, 2).map(token).join(" ") : "");

export function hoverGraph(key: string, graph: Graph, drawn: Drawn): string[] {
  const link = drawn.links.find((known) => known.key === key);
  if (link) return [`${named(link.from, graph)} → ${named(link.to, graph)}`, `${signed(link.weight, 2)} logits, ${percent(link.share)} of what it gets${link.edges > 1 ? `, ${plural(link.edges, "edge")} in sum` : ""}`];
  const item = drawn.items.find((known) => known.key === key);
  if (!item) return [key];
  const lines = [`${item.kind === "super" ? plural(item.members.length, "node") : item.kind}${item.members[0] ? ` at ${token(item.members[0].token)}` : ""}, influence ${percent(item.influence)}`];
  if (item.kind !== "token" && item.members.length === 1) lines.push(`makes likelier: ${item.members[0]!.promotes.slice(0, 4).map(token).join(" ")}`);
  return [named(key, graph), ...lines.map(shown)];
}

const [LEFT, RIGHT, TOP, BOTTOM] = [44, 20, 44, 46];

export interface GraphLayout {
  width: number;
  height: number;
  at: (key: string) => { x: number; y: number };
  columns: { left: number; width: number; text: string }[];
  level: (layer: number) => number;
  row: number;
}

/** Columns are tokens, as wide as what is drawn in them needs; rows are layers. */
export function placedGraph(graph: Graph, drawn: Drawn, width: number, height: number): GraphLayout {
  const row = (height - TOP - BOTTOM) / (graph.layers + 1);
  const level = (layer: number) => height - BOTTOM - (layer + 1) * row;
  const cells = Map.groupBy(drawn.items, (item) => `${item.position} ${Math.round(2 * item.layer + (item.kind === "head" ? 0 : 1))}`);
  const widest = graph.tokens.map(() => 0.6);
  for (const cell of cells.values()) widest[cell[0]!.position] = Math.max(widest[cell[0]!.position] ?? 0, Math.sqrt(cell.length) + 0.4);
  const unit = (width - LEFT - RIGHT) / widest.reduce((sum, value) => sum + value, 0);
  const columns: GraphLayout["columns"] = [];
  for (const [i, text] of graph.tokens.entries()) {
    const before = columns.at(-1);
    columns.push({ left: before ? before.left + before.width : LEFT, width: unit * widest[i]!, text: token(text) });
  }
  const places = new Map<string, { x: number; y: number }>();
  for (const cell of cells.values()) {
    const column = columns[cell[0]!.position] ?? columns.at(-1)!;
    cell.sort((a, b) => b.influence - a.influence);
    for (const [i, item] of cell.entries()) {
      const y = item.key === TARGET ? TOP * 0.7 : item.kind === "token" ? height - BOTTOM + 4 : level(item.layer) - (item.kind === "head" ? 0.1 : 0.5) * row;
      places.set(item.key, { x: column.left + (column.width * (i + 0.5)) / cell.length, y });
    }
  }
  return { width, height, columns, row, level, at: (key) => places.get(key) ?? { x: width / 2, y: height / 2 } };
}

export interface GraphLooks {
  sel: string;
  hover: string;
  pins: string[];
  zoom: number;
  called: (node: string) => string;
}

const LABELS = 70;

export function graphScene(graph: Graph, drawn: Drawn, layout: GraphLayout, { sel, hover, pins, zoom, called }: GraphLooks): Scene {
  const picked = [hover || sel, ...pins].filter(Boolean);
  const lit = (link: Link) => !picked.length || picked.some((key) => key === link.key || key === link.from || key === link.to);
  const most = Math.max(1e-9, ...drawn.links.slice(0, 1).map((link) => link.influence));
  const closer = Math.sqrt(zoom);
  const curved = drawn.links.length <= 600;
  const strokes: Stroke[] = drawn.links.map((link) => {
    const share = Math.sqrt(link.influence / most);
    return {
      from: layout.at(link.from),
      to: layout.at(link.to),
      curved,
      key: link.key,
      width: (0.5 + 5 * share * (curved ? 1 : 0.5)) / closer,
      ink: link.weight >= 0 ? "blue" : "orange",
      dashed: curved && link.weight < 0,
      alpha: lit(link) ? 0.2 + 0.5 * share : 0.05,
    };
  });
  strokes.reverse();
  strokes.sort((a, b) => a.alpha - b.alpha);
  const near = new Set(drawn.links.filter(lit).flatMap((link) => [link.from, link.to]));
  const marks: Mark[] = drawn.items.map((item) => {
    const chosen = sel === item.key || pins.includes(item.key);
    const size = (item.kind === "super" ? 8 : item.kind === "token" || item.key === TARGET ? 5 : 3 + 6 * Math.sqrt(Math.min(1, item.influence))) / closer;
    return {
      ...layout.at(item.key),
      key: item.key,
      shape: item.kind === "head" || item.kind === "super" ? "disc" : "square",
      size,
      ink: chosen ? "accent" : item.kind === "super" ? "both" : item.kind === "token" || item.kind === "error" ? "soft" : "ink",
      ring: chosen,
      alpha: !picked.length || near.has(item.key) || chosen ? 1 : 0.3,
    };
  });
  return { width: layout.width, height: layout.height, bands: [], strokes, marks, labels: itemLabels(graph, drawn, marks, layout.width, zoom, called) };
}

/** Bands beyond which none is drawn: they would take longer than the graph. */
const MOST_BANDS = 20_000;

/** Rows, columns, and their names. */
export function graphGround(graph: Graph, layout: GraphLayout): Scene {
  const every = layout.row < 13 ? 5 : layout.row < 20 ? 2 : 1;
  const labels: Label[] = [{ x: 12, y: 20, text: "layer", size: 11, ink: "soft", align: "left", fixed: "xy" }];
  for (let layer = 0; layer < graph.layers; layer += every) labels.push({ x: 34, y: layout.level(layer) - layout.row * 0.3, text: `${layer}`, size: 11, ink: "soft", align: "right", fixed: "x" });
  for (const column of layout.columns) labels.push({ x: column.left + column.width / 2, y: layout.height - 16, text: cut(column.text, column.width / 6.5), size: 12, ink: "ink", align: "center", fixed: "y" });
  const levels = Math.ceil(graph.layers / 2);
  const banded = levels * layout.columns.length <= MOST_BANDS ? layout.columns : [];
  const bands = banded.flatMap((column) => Array.from({ length: levels }, (_, i) => ({ x: column.left + 2, width: Math.max(0, column.width - 4), y: layout.level(2 * i) - layout.row * 0.8, height: layout.row })));
  return { width: layout.width, height: layout.height, bands, strokes: [], marks: [], labels };
}

function itemLabels(graph: Graph, drawn: Drawn, marks: Mark[], width: number, zoom: number, called: (node: string) => string): Label[] {
  const taken = marks.map((mark) => ({ left: mark.x - mark.size, right: mark.x + mark.size, y: mark.y }));
  const placed: Label[] = [];
  const order = drawn.items.map((item, i) => ({ item, mark: marks[i]! })).filter(({ mark, item }) => mark.alpha === 1 && item.kind !== "token");
  order.sort((a, b) => Number(b.mark.ring) - Number(a.mark.ring) || Number(b.item.key === TARGET) - Number(a.item.key === TARGET) || b.item.influence - a.item.influence);
  for (const { item, mark } of order.slice(0, LABELS)) {
    const own = called(item.key);
    const text = shown(cut(item.key === TARGET ? graph.target.name : own ? own : item.kind === "super" ? item.key.slice(1) : `${item.key.replace(/@.*/, "")} ${says(item)}`, 30));
    const [wide, gap] = [(text.length * 6) / zoom, 3 / zoom];
    for (const left of [mark.x + mark.size + gap, mark.x - mark.size - gap - wide]) {
      if (left < 0 || left + wide > width || taken.some((box) => left < box.right && left + wide > box.left && Math.abs(box.y - mark.y) < 11 / zoom)) continue;
      taken.push({ left, right: left + wide, y: mark.y });
      placed.push({ x: left, y: mark.y, text, size: 11 / zoom, ink: "ink", align: "left", bold: mark.ring });
      break;
    }
  }
  return placed;
}
