// A circuit on a page of its own: a notebook's output, or a file that is opened without a network. The same map as the
// app's, without the app: hover, a lock, the size slider, the list.
import type { components } from "./api";
import { labelOf } from "./edits";
import { compare, comparison, sideOf } from "./compare";
import { type Edge, edgeList, type Measure, measuredWords, measureOf, ranked, shownEdges, weightOf } from "./graph";
import { hoverWords, placeOf, targetsOf } from "./hit";
import { layoutOf } from "./layout";
import { plain } from "./names";
import { paint, palette, prepared } from "./paint";
import { drawnOf, groundOf, over, sceneOf } from "./scene";
import { gathered, held, placed } from "./supernodes";
import { count, decimal, interval, noInterval, plural, signed } from "./words";

export type Portable = components["schemas"]["Portable"];

/** How a portable circuit is first shown. */
export interface Start {
  mode: string;
  n: number;
  map: string;
  sel: string;
  pins: string[];
}

const STEPS = 1000;
const RATIO = 0.62;
const LISTED = 300;

/** Puts a circuit into an element, beside another one where it is compared, and gives what takes it out again. */
export function draw(home: HTMLElement, circuit: Portable, start: Partial<Start> = {}, other?: Portable): () => void {
  const list = edgeList(circuit, circuit.sender.length, circuit, circuit);
  const theirs = other && { run: other, list: edgeList(other, other.sender.length, other, other) };
  const most = ranked(list);
  const used = new Set(list.edges.filter((edge) => edge.circuit).map((edge) => edge.from.span));
  const now: Start = { mode: "circuit", n: Math.min(100, most), map: "layers", sel: "", pins: [], ...start };
  let hover = "";
  let targets: ReturnType<typeof targetsOf> = () => "";

  const canvas = made("canvas", { tabIndex: 0, role: "img" });
  const tip = made("div", { className: "hover", hidden: true });
  const found = made("button", { textContent: "Found circuit", onclick: () => change({ mode: "circuit" }) });
  const ranking = made("button", { textContent: "Ranking", onclick: () => change({ mode: "ranking" }) });
  const tokens = made("button", { textContent: "Tokens", hidden: !circuit.spans.length, onclick: () => change({ map: now.map === "tokens" ? "layers" : "tokens" }) });
  const slider = made("input", { type: "range", min: "0", max: String(STEPS), ariaLabel: "Edges of the ranking to show" });
  slider.oninput = () => change({ mode: "ranking", n: Math.round(most ** (Number(slider.value) / STEPS)) });
  const size = made("p", { role: "status" });
  const faithfulness = made("p", { className: "faithfulness", role: "status" });
  const rows = made("ol", { ariaLabel: "Connections" });
  const holder = made("div", { className: "holder" }, canvas, tip);
  const numbers = made("div", { className: "numbers" }, made("span", { className: "choice", role: "group", ariaLabel: "What is shown" }, found, ranking), tokens, size, faithfulness);
  const compared = made("p", { className: "compared", hidden: !other, role: "status" });
  const page = made(
    "section",
    { className: "portable", ariaLabel: circuit.title },
    made("h2", { textContent: circuit.title }),
    compared,
    holder,
    numbers,
    slider,
    made("details", {}, made("summary", { textContent: "Connections" }), rows),
    made("p", { className: "note", textContent: circuit.about }),
  );
  home.append(page);

  const { labels } = circuit;
  const shown = (): { edges: Edge[]; by: Measure; why: string } => {
    const both = theirs && comparison({ run: circuit, list }, theirs, now.mode, now.n);
    if (both) {
      const edges = compare(both.a, both.b, both.by);
      const [a, b] = [both.a, both.b].map((side) => gathered(side, labels.supernodes, both.by, edges)) as [Edge[], Edge[]];
      return { edges: compare(a, b, both.by), by: both.by, why: both.why };
    }
    const edges = shownEdges(list, now.mode, now.n);
    const by = measureOf(edges, now.mode);
    return { edges: gathered(edges, labels.supernodes, by), by, why: "" };
  };
  const byToken = () => now.map === "tokens" && circuit.spans.length > 0;

  function change(patch: Partial<Start>): void {
    Object.assign(now, patch);
    tell();
    picture();
  }

  /** What is on the screen, in words. */
  function tell(): void {
    const { edges, by, why } = shown();
    const sides = Map.groupBy(edges, sideOf);
    if (other) compared.replaceChildren(...([["a", `only A, “${circuit.title}”`], ["both", "both"], ["b", `only B, “${other.title}”`]] as const).map(([side, words]) => made("span", { className: `side ${side}`, textContent: `${words}: ${count(sides.get(side)?.length ?? 0)}` })), why);
    found.ariaPressed = String(now.mode === "circuit");
    ranking.ariaPressed = String(now.mode === "ranking");
    tokens.ariaPressed = String(byToken());
    slider.value = String(Math.round((STEPS * Math.log(Math.max(1, now.mode === "ranking" ? now.n : held(edges)))) / Math.log(Math.max(2, most))));
    const many = now.mode === "ranking" ? now.n : list.edges.filter((edge) => edge.circuit).length;
    slider.ariaValueText = plural(many, "edge");
    size.textContent = `${plural(many, "edge")} of ${count(circuit.total)}`;
    faithfulness.textContent = now.mode === "ranking" ? measuredWords(circuit.curve, now.n).join("") : ofCircuit(circuit);
    canvas.ariaLabel = `${byToken() ? "Layers by tokens" : "Layers by heads and MLPs"}: ${plural(held(edges), "edge")} shown. The list of connections says the same in words.`;
    rows.replaceChildren(...edges.slice(0, LISTED).map((edge) => row(edge, by)), ...(edges.length > LISTED ? [made("li", { textContent: `and ${count(edges.length - LISTED)} weaker ones` })] : []));
  }

  function row(edge: Edge, by: Measure): HTMLElement {
    const place = edge.place && ` at ${edge.place}`;
    const sides = edge.in ? [edge.in.a, edge.in.b] : [edge];
    const sizes = by === "name" ? "" : sides.map((side) => (side ? `${edge.parts ? "Σ " : ""}${signed(weightOf(side, by))}` : "–")).join("  ");
    const button = made("button", { ariaPressed: String(now.sel === edge.key), onclick: () => change({ sel: now.sel === edge.key ? "" : edge.key }) }, `${plain(edge.from.node)} → ${plain(edge.receiver)}${place}`);
    return made("li", {}, button, made("span", { textContent: sizes }));
  }

  function picture(): void {
    const width = holder.clientWidth;
    if (!width) return;
    const height = Math.max(320, Math.round(Math.min(width * RATIO, 680)));
    Object.assign(canvas.style, { width: `${width}px`, height: `${height}px` });
    const { edges: all, by } = shown();
    const edges = drawnOf(all, [now.sel, ...now.pins].filter(Boolean));
    const model = layoutOf(circuit, width, height, byToken() ? used : null);
    const layout = placed(model, labels.supernodes);
    const scene = sceneOf(layout, edges, { by, sel: now.sel, hover, pins: now.pins, dir: "both", called: (node) => labelOf(labels, node) });
    paint(prepared(canvas, { width, height }), over(groundOf(circuit, model), scene), palette(page));
    targets = targetsOf(scene);
    tip.hidden = !hover;
    if (!hover) return;
    const [heading, ...lines] = hoverWords(hover, edges, circuit, by);
    tip.replaceChildren(made("strong", { textContent: heading ?? "" }), ...lines.map((line) => made("span", { textContent: line })));
    const [x, y] = placeOf(hover, scene);
    Object.assign(tip.style, { left: `${Math.min(Math.max(8, x - 120), width - 260)}px`, top: `${y + (y > 150 ? -14 : 18)}px`, transform: y > 150 ? "translateY(-100%)" : "" });
  }

  const at = (event: MouseEvent): string => {
    const box = canvas.getBoundingClientRect();
    return targets(event.clientX - box.left, event.clientY - box.top, 12);
  };
  const point = (key: string) => {
    if (key === hover) return;
    hover = key;
    picture();
  };
  canvas.onpointermove = (event) => point(at(event));
  canvas.onpointerleave = () => point("");
  canvas.onclick = (event) => change({ sel: at(event) });
  canvas.onkeydown = (event) => {
    if (event.key === "Escape") change({ sel: "" });
  };
  const observer = new ResizeObserver(picture);
  observer.observe(holder);
  tell();
  return () => {
    observer.disconnect();
    page.remove();
  };
}

function ofCircuit({ faithfulness, n, interval: bounds }: Portable): string {
  if (faithfulness === null) return "faithfulness was not measured";
  return `faithfulness ${decimal(faithfulness)} measured, ${bounds ? `n = ${n}, 95% interval ${interval(bounds)}` : noInterval(n)}`;
}

/** An element with its properties and what is in it. */
function made<T extends keyof HTMLElementTagNameMap>(tag: T, properties: Partial<HTMLElementTagNameMap[T]>, ...inside: (Node | string)[]): HTMLElementTagNameMap[T] {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...inside);
  return element;
}
