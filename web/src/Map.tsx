// The map: everything of the model at its fixed place, the edges of the view between them.
import { select } from "d3-selection";
import { zoom, zoomIdentity, type ZoomBehavior, type ZoomTransform } from "d3-zoom";
import { useEffect, useMemo, useRef, useState } from "react";
import type { Edge, Measure } from "./graph";
import { hoverWords, placeOf, targetsOf } from "./hit";
import { labelOf } from "./edits";
import { layoutOf } from "./layout";
import { paint, paintFixed, palette, prepared, stamp } from "./paint";
import { drawnOf, groundOf, over, type Scene, sceneOf } from "./scene";
import type { Labels, Run } from "./server";
import { held, placed } from "./supernodes";
import { show, type View } from "./view";
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
  const holder = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const zooming = useRef<ZoomBehavior<HTMLCanvasElement, unknown>>(null);
  const [size, setSize] = useState({ width: 0, height: 0 });
  const [transform, setTransform] = useState<ZoomTransform>(zoomIdentity);
  const [hover, setHover] = useState("");
  const byToken = view.map === "tokens" && run.spans.length > 0;

  useEffect(() => {
    const observer = new ResizeObserver(([entry]) => {
      const { width, height } = entry!.contentRect;
      setSize({ width: Math.floor(width), height: Math.floor(height) });
    });
    observer.observe(holder.current!);
    return () => observer.disconnect();
  }, []);

  const model = useMemo(() => layoutOf(run, Math.max(size.width, 200), Math.max(size.height, 200), byToken ? used : null), [run, size, byToken, used]);
  const layout = useMemo(() => placed(model, labels.supernodes), [model, labels]);
  const zoomed = Math.round(2 * transform.k) / 2; // names are placed again after a step, not at every turn of the wheel
  const drawn = useMemo(() => drawnOf(edges, [view.sel, ...view.pins].filter(Boolean), zoomed), [edges, view.sel, view.pins, zoomed]);
  const ground = useMemo(() => groundOf(run, model), [run, model]);
  const scene = useMemo(
    () => sceneOf(layout, drawn, { by, sel: view.sel, hover, pins: view.pins, dir: view.dir, zoom: zoomed, called: (node) => labelOf(labels, node) }),
    [layout, drawn, by, view.sel, view.pins, view.dir, hover, zoomed, labels],
  );
  useEffect(() => onScene(() => over(ground, scene)), [ground, scene, onScene]);

  // What the pointer can hit: nodes, and points along edges while these can be distinguished. Made when it first moves.
  const targets = useMemo(() => targetsOf(scene, drawn, layout), [scene, layout, drawn]);

  // The ground is painted once for a size, a zoom and a light; the edges over it as often as they change.
  const under = useMemo(() => {
    const canvas = document.createElement("canvas");
    if (!size.width) return canvas;
    const context = prepared(canvas, size, transform);
    paint(context, { ...ground, labels: [] }, palette());
    return canvas;
  }, [ground, size, transform, light]);
  useEffect(() => {
    if (!size.width) return;
    const context = prepared(canvas.current!, size, transform);
    stamp(context, under);
    paint(context, scene, palette());
    paintFixed(context, ground.labels, palette(), transform);
  }, [scene, under, size, transform]);

  useEffect(() => {
    const behaviour = zoom<HTMLCanvasElement, unknown>()
      .scaleExtent([1, 12])
      .clickDistance(4)
      .on("zoom", (event: { transform: ZoomTransform }) => setTransform(event.transform));
    zooming.current = behaviour;
    select(canvas.current!).call(behaviour).on("dblclick.zoom", null);
  }, []);
  useEffect(() => {
    zooming.current?.translateExtent([
      [0, 0],
      [size.width, size.height],
    ]);
  }, [size]);

  const hit = (event: React.PointerEvent | React.MouseEvent): string => {
    const box = canvas.current!.getBoundingClientRect();
    const [x, y] = transform.invert([event.clientX - box.left, event.clientY - box.top]);
    return targets(x, y, 12 / transform.k);
  };
  /** Goes to the nearest node in a direction; at first to the end of the strongest edge. */
  const step = (right: number, down: number) => {
    const nodes = scene.marks.filter((mark) => mark.shape !== "port");
    const here = nodes.find((mark) => mark.key === view.sel);
    const aside = (mark: { x: number; y: number }): number => {
      const [x, y] = [mark.x - here!.x, mark.y - here!.y];
      const [along, across] = [x * right + y * down, Math.abs(x * down) + Math.abs(y * right)];
      return along > 1 ? along + 3 * across : Infinity;
    };
    const next = here ? nodes.reduce((best, mark) => (aside(mark) < aside(best) ? mark : best), here) : nodes[0];
    if (next && next !== here) show({ sel: next.key });
  };
  const hidden = { nodes: hiddenNodes(run, drawn), edges: total - held(drawn) };
  const part = drawn.length < edges.length ? `${count(held(drawn))} of ${plural(held(edges), "edge")} drawn, the strongest${view.sel || view.pins.length ? " and those of what is locked" : "; zoom in or lock a node for more"}; ` : "";
  const summary = `${plural(held(drawn), "edge")} shown; ${plural(hidden.nodes, "node")}, ${plural(hidden.edges, "edge")} hidden`;

  return (
    <section className="map" aria-label="Map of the circuit">
      <div className="map-holder" ref={holder}>
        <canvas
          ref={canvas}
          tabIndex={0}
          role="img"
          aria-label={`${byToken ? "Layers by tokens" : "Layers by heads and MLPs"}: ${summary}. Arrow keys go to the nearest node in their direction; the list of connections says the same in words.`}
          style={{ width: size.width, height: size.height, cursor: hover ? "pointer" : "grab" }}
          onPointerMove={(event) => event.buttons === 0 && setHover(hit(event))}
          onPointerLeave={() => setHover("")}
          onClick={(event) => {
            const key = hit(event);
            if (key !== view.sel) show({ sel: key });
          }}
          onKeyDown={(event) => {
            const way = ({ ArrowRight: [1, 0], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowUp: [0, -1] } as Record<string, [number, number]>)[event.key];
            if (way) {
              event.preventDefault();
              step(...way);
            }
          }}
        />
        {hover && <Hover words={hoverWords(hover, edges, run, by)} at={transform.apply(placeOf(hover, scene))} />}
        {transform.k !== 1 && (
          <button className="map-reset" onClick={() => select(canvas.current!).call(zooming.current!.transform, zoomIdentity)}>
            Whole map
          </button>
        )}
      </div>
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

function Hover({ words: [heading, ...lines], at: [x, y] }: { words: string[]; at: [number, number] }) {
  return (
    <div className="hover" style={{ left: Math.max(8, x - 120), top: y > 150 ? y - 14 : y + 18, transform: y > 150 ? "translateY(-100%)" : "" }}>
      <strong>{heading}</strong>
      {lines.map((line) => (
        <span key={line}>{line}</span>
      ))}
    </div>
  );
}
