// A view as a file: SVG, PNG, or JSON.
import type { Edge } from "./graph";
import { paint, palette, svg } from "./paint";
import type { Scene } from "./scene";
import { neuronpedia } from "./neuronpedia";
import { fetchPortable, type Labels, type Run } from "./server";
import type { View } from "./view";

export interface Shown {
  run: Run;
  edges: Edge[];
  total: number;
  view: View;
  labels: Labels;
  scene: Scene;
  /** Of the first prompt's answer in the whole model. */
  probability: number;
}

const named = (shown: Shown, ending: string) => `${shown.run.title.replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-|-$/g, "")}.${ending}`;

function save(blob: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

const described = ({ run, edges, total, view }: Shown) =>
  `${edges.length} of ${total} edges (${view.mode === "circuit" ? "the found circuit" : "the ranking's strongest"}) of ${run.model.id} ${run.model.sha256.slice(0, 12)}; ${String(run.settings.ablation)} ablation, seed ${run.seed}.`;

export const exportSvg = (shown: Shown): void =>
  save(new Blob([svg(shown.scene, palette(), shown.run.title, described(shown))], { type: "image/svg+xml" }), named(shown, "svg"));

export async function exportPng(shown: Shown): Promise<void> {
  const canvas = document.createElement("canvas");
  canvas.width = shown.scene.width * 2;
  canvas.height = shown.scene.height * 2;
  const context = canvas.getContext("2d")!;
  const colours = palette();
  context.fillStyle = colours.paper;
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.scale(2, 2);
  paint(context, shown.scene, colours);
  const blob = await new Promise<Blob | null>((done) => canvas.toBlob(done, "image/png"));
  if (blob) save(blob, named(shown, "png"));
}

export function exportJson(shown: Shown): void {
  const { run, edges, total, view, labels } = shown;
  const document = {
    format: "wheatstone.view/1",
    run: { title: run.title, created: run.created, path: run.example ? null : run.path },
    model: run.model,
    settings: run.settings,
    seed: run.seed,
    view,
    about: described(shown),
    total_edges: total,
    labels: labels.labels,
    supernodes: labels.supernodes,
    edges: edges.map((edge) => ({ from: edge.sender, to: edge.receiver, score: edge.score, effect: edge.effect, circuit: edge.circuit, rank: edge.rank })),
  };
  save(new Blob([JSON.stringify(document, null, 1)], { type: "application/json" }), named(shown, "json"));
}

export const exportNeuronpedia = (shown: Shown): void =>
  save(new Blob([JSON.stringify(neuronpedia(shown.run, shown.edges, shown.view, shown.labels, described(shown), shown.probability), null, 1)], { type: "application/json" }), named(shown, "neuronpedia.json"));

/** A page with the circuit, its list and its numbers in it. It asks for nothing: its own policy forbids that. */
export async function exportPage(shown: Shown): Promise<void> {
  const [circuit, code] = await Promise.all([fetchPortable(shown.run.id), fetch("./widget.js").then((answer) => answer.text())]);
  const { mode, n, map, sel, pins } = shown.view;
  const inside = JSON.stringify({ circuit: { ...circuit, labels: shown.labels }, start: { mode, n, map, sel, pins } });
  const page = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:">
<title>${shown.run.title.replace(/&/g, "&amp;").replace(/</g, "&lt;")} · Wheatstone</title>
<body style="margin: 0">
<script type="application/json" id="wheatstone-circuit">${inside.replace(/</g, "\\u003c")}</script>
<script type="module">${code.replace(/<\/(script)/gi, "<\\/$1")}</script>
</body>
</html>
`;
  save(new Blob([page], { type: "text/html" }), named(shown, "html"));
}
