// A view as a file: SVG, PNG, or JSON.
import { sideOf } from "./compare";
import { type Edge, type Measure, weightWords } from "./graph";
import { paint, palette, svg } from "./paint";
import type { Scene } from "./scene";
import { neuronpedia } from "./neuronpedia";
import { ApiError, fetchAsset, fetchPortable, type Labels, type Portable, type Run } from "./server";
import type { View } from "./view";
import { homeless, homelessIn, plural } from "./words";

export interface Shown {
  run: Run;
  /** What it is compared with. */
  other: Run | undefined;
  edges: Edge[];
  /** Those of the run itself, where it is compared. */
  own: Edge[];
  by: Measure;
  total: number;
  view: View;
  labels: Labels;
  scene: Scene;
  /** Of the first prompt's answer in the whole model. */
  probability: number;
}

const named = (shown: Shown, ending: string) => `${titleOf(shown).replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-|-$/g, "")}.${ending}`;

function save(blob: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

const what = (view: View) => (view.mode === "circuit" ? "the found circuit" : "the ranking's strongest");
const made = (run: Run) => `${homeless(run.model.id)} ${run.model.sha256.slice(0, 12)}; ${String(run.settings.ablation)} ablation, seed ${run.seed}`;
const described = ({ run, own, total, view }: Shown) => `${own.length} of ${total} edges (${what(view)}) of ${made(run)}.`;

/** What an export of a comparison says: what is in which circuit, by which measure. */
function comparedWords({ run, other, edges, by, view }: Shown & { other: Run }): string {
  return `${what(view)} of two runs. A: “${run.title}”, ${made(run)}. B: “${other.title}”, ${made(other)}. ${legend(run, other, edges)
    .map(({ text }) => text)
    .join("; ")}. Sizes: ${weightWords(run, by)}.`;
}

const legend = (run: Run, other: Run, edges: Edge[]) =>
  (
    [
      ["a", "side-a", `only A, “${run.title}”`],
      ["both", "both", "in both"],
      ["b", "side-b", `only B, “${other.title}”`],
    ] as const
  ).map(([side, ink, words]) => ({ ink, dashed: side === "b", text: `${words}: ${plural(edges.filter((edge) => sideOf(edge) === side).length, "edge")}` }));

const LINE = 18;

/** The scene of a view, with what its colours mean where it compares. */
function pictured(shown: Shown): { scene: Scene; about: string } {
  const { run, other, edges, scene } = shown;
  if (!other) return { scene, about: described(shown) };
  const lines = legend(run, other, edges);
  const y = (i: number) => scene.height + LINE * (i + 0.5);
  return {
    scene: {
      ...scene,
      height: scene.height + LINE * (lines.length + 0.5),
      strokes: [...scene.strokes, ...lines.map(({ ink, dashed }, i) => ({ from: { x: 16, y: y(i) }, to: { x: 46, y: y(i) }, curved: false, width: 3, ink, dashed, alpha: 1, key: "" }))],
      labels: [...scene.labels, ...lines.map(({ text }, i) => ({ x: 54, y: y(i), text, size: 12, ink: "ink" as const, align: "left" as const }))],
    },
    about: comparedWords({ ...shown, other }),
  };
}

const titleOf = ({ run, other }: Shown) => (other ? `${run.title} and ${other.title}` : run.title);

export function exportSvg(shown: Shown): void {
  const { scene, about } = pictured(shown);
  save(new Blob([svg(scene, palette(), titleOf(shown), about)], { type: "image/svg+xml" }), named(shown, "svg"));
}

export async function exportPng(shown: Shown): Promise<void> {
  const { scene } = pictured(shown);
  const canvas = document.createElement("canvas");
  canvas.width = scene.width * 2;
  canvas.height = scene.height * 2;
  const context = canvas.getContext("2d")!;
  const colours = palette();
  context.fillStyle = colours.paper;
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.scale(2, 2);
  paint(context, scene, colours);
  const blob = await new Promise<Blob | null>((done) => canvas.toBlob(done, "image/png"));
  if (!blob) throw new ApiError("The browser could not draw the picture.", "Make the window smaller, or export SVG");
  save(blob, named(shown, "png"));
}

const sizes = (edge: Edge) => ({ score: edge.score, effect: edge.effect, circuit: edge.circuit, rank: edge.rank });

export function exportJson(shown: Shown): void {
  const { run, other, edges, by, total, view, labels } = shown;
  const about = (of: Run) => ({ run: { title: of.title, created: of.created }, model: homelessIn(of.model), settings: homelessIn(of.settings), seed: of.seed });
  const document = {
    format: "wheatstone.view/1",
    ...about(run),
    ...(other && { compared_with: about(other), measure: by }),
    view,
    about: pictured(shown).about,
    total_edges: total,
    labels: labels.labels,
    supernodes: labels.supernodes,
  };
  const listed = edges.map((edge) => ({
    from: edge.sender,
    to: edge.receiver,
    ...(edge.in ? { side: sideOf(edge), a: edge.in.a ? sizes(edge.in.a) : null, b: edge.in.b ? sizes(edge.in.b) : null } : sizes(edge)),
  }));
  save(new Blob([JSON.stringify({ ...document, edges: listed }, null, 1)], { type: "application/json" }), named(shown, "json"));
}

/** The schema knows one circuit: of a comparison, the run's own. */
export const exportNeuronpedia = (shown: Shown): void =>
  save(new Blob([JSON.stringify(neuronpedia(shown.run, shown.own, shown.view, shown.labels, described(shown), shown.probability), null, 1)], { type: "application/json" }), named(shown, "neuronpedia.json"));

async function portable(run: Run): Promise<Portable> {
  const found = await fetchPortable(run.id);
  return { ...found, model: homelessIn(found.model), about: found.about.replaceAll(run.model.id, homeless(run.model.id)) };
}

/** A page with the circuit, its list and its numbers in it. It asks for nothing: its own policy forbids that. */
export async function exportPage(shown: Shown): Promise<void> {
  const [circuit, other, code] = await Promise.all([portable(shown.run), shown.other && portable(shown.other), fetchAsset("widget.js")]);
  const { mode, n, map, sel, pins } = shown.view;
  const inside = JSON.stringify({ circuit: { ...circuit, labels: shown.labels }, ...(other && { other }), start: { mode, n, map, sel, pins } });
  const page = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:">
<title>${titleOf(shown).replace(/&/g, "&amp;").replace(/</g, "&lt;")} · Wheatstone</title>
<body style="margin: 0">
<script type="application/json" id="wheatstone-circuit">${inside.replace(/</g, "\\u003c")}</script>
<script type="module">${code.replace(/<\/(script)/gi, "<\\/$1")}</script>
</body>
</html>
`;
  save(new Blob([page], { type: "text/html" }), named(shown, "html"));
}
