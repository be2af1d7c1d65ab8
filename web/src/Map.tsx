// The map: everything of the model at its fixed place, the edges of the view between them.
import { useEffect, useMemo } from "react";
import { Canvas, usePlace } from "./Canvas";
import { labelOf } from "./edits";
import type { Edge, Measure } from "./graph";
import { hoverWords, targetsOf } from "./hit";
import { layoutOf } from "./layout";
import { drawnOf, groundOf, over, type Scene, sceneOf } from "./scene";
import type { Labels, Run } from "./server";
import { held, placed } from "./supernodes";
import type { View } from "./view";
import { count, plural } from "./words";

interface Props {
  run: Run;
  edges: Edge[];
  total: number;
  /** Parts of the prompt that the circuit keeps edges at. */
  used: Set<string>;
  view: View;
  by: Measure;
  labels: Labels;
  light: string;
  onScene: (drawn: () => Scene) => void;
}

export function CircuitMap({ run, edges, total, used, view, by, labels, light, onScene }: Props) {
  const place = usePlace();
  const { size, hover, zoomed } = place;
  const byToken = view.map === "tokens" && run.spans.length > 0;
  const model = useMemo(() => layoutOf(run, Math.max(size.width, 200), Math.max(size.height, 200), byToken ? used : null), [run, size, byToken, used]);
  const layout = useMemo(() => placed(model, labels.supernodes), [model, labels]);
  const drawn = useMemo(() => drawnOf(edges, [view.sel, ...view.pins].filter(Boolean), zoomed), [edges, view.sel, view.pins, zoomed]);
  const ground = useMemo(() => groundOf(run, model), [run, model]);
  const scene = useMemo(
    () => sceneOf(layout, drawn, { by, sel: view.sel, hover, pins: view.pins, dir: view.dir, zoom: zoomed, called: (node) => labelOf(labels, node) }),
    [layout, drawn, by, view.sel, view.pins, view.dir, hover, zoomed, labels],
  );
  useEffect(() => onScene(() => over(ground, scene)), [ground, scene, onScene]);
  // What the pointer can hit: nodes, and points along edges while these can be distinguished. Made when it first moves.
  const targets = useMemo(() => targetsOf(scene), [scene]);
  const hidden = { nodes: hiddenNodes(run, drawn), edges: total - held(drawn) };
  const part = drawn.length < edges.length ? `${count(held(drawn))} of ${plural(held(edges), "edge")} drawn, the strongest${view.sel || view.pins.length ? " and those of what is locked" : "; zoom in or lock a node for more"}; ` : "";
  const summary = `${plural(held(drawn), "edge")} shown; ${plural(hidden.nodes, "node")}, ${plural(hidden.edges, "edge")} hidden`;
  return (
    <section className="map" aria-label="Map of the circuit">
      <Canvas
        place={place}
        view={view}
        ground={ground}
        scene={scene}
        light={light}
        targets={targets}
        label={`${byToken ? "Layers by tokens" : "Layers by heads and MLPs"}: ${summary}. Arrow keys go to the nearest node in their direction; the list of connections says the same in words.`}
        words={(key) => hoverWords(key, edges, run, by)}
      />
      <p className="hidden-count" role="status">
        {part}
        {plural(hidden.nodes, "node")}, {plural(hidden.edges, "edge")} hidden
      </p>
    </section>
  );
}

/** Nodes of the model that no edge of the view touches. */
function hiddenNodes(run: Run, edges: Edge[]): number {
  const { layers, heads } = run.model;
  const every = (layers * (heads + 1) + 1) * Math.max(1, run.spans.length);
  const shown = new Set(edges.flatMap((edge) => (edge.parts ?? [edge]).map((part) => part.sender)));
  return Math.max(0, every - shown.size);
}
