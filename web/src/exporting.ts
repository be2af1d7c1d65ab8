// A view as a file: SVG, PNG, or JSON.
import type { Edge } from "./graph";
import { paint, palette, svg } from "./paint";
import type { Scene } from "./scene";
import type { Run } from "./server";
import type { View } from "./view";

export interface Shown {
  run: Run;
  edges: Edge[];
  total: number;
  view: View;
  scene: Scene;
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
  const { run, edges, total, view } = shown;
  const document = {
    format: "wheatstone.view/1",
    run: { title: run.title, created: run.created, path: run.example ? null : run.path },
    model: run.model,
    settings: run.settings,
    seed: run.seed,
    view,
    about: described(shown),
    total_edges: total,
    edges: edges.map((edge) => ({ from: edge.sender, to: edge.receiver, score: edge.score, effect: edge.effect, circuit: edge.circuit, rank: edge.rank })),
  };
  save(new Blob([JSON.stringify(document, null, 1)], { type: "application/json" }), named(shown, "json"));
}
