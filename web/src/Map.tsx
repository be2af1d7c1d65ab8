// The map: everything of the model at its fixed place, the edges of the view between them.
import { select } from "d3-selection";
import { zoom, zoomIdentity, type ZoomBehavior, type ZoomTransform } from "d3-zoom";
import { useEffect, useMemo, useRef, useState } from "react";
import type { Edge, Side } from "./graph";
import { hoverWords, placeOf, targetsOf } from "./hit";
import { labelOf } from "./edits";
import { painter, stamp } from "./kept";
import { layoutOf } from "./layout";
import { paint, palette, prepared } from "./paint";
import { DRAWN, groundOf, over, type Scene, scenes } from "./scene";
import type { Labels, Run } from "./server";
import { held, placed } from "./supernodes";
import { show, type View } from "./view";
import { plural } from "./words";

interface Props {
  run: Run;
  edges: Edge[];
  total: number;
  /** Parts of the prompt that the circuit keeps edges at. */
  used: Set<string>;
  view: View;
  sides: Map<string, Side> | null;
  labels: Labels;
  light: string;
  onScene: (drawn: () => Scene) => void;
}

export function CircuitMap({ run, edges, total, used, view, sides, labels, light, onScene }: Props) {
  const holder = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const zooming = useRef<ZoomBehavior<HTMLCanvasElement, unknown>>(null);
  const [paintOver] = useState(painter);
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
  const before = useRef<Edge[]>([]);
  const drawn = useMemo(() => {
    const now = edges.slice(0, DRAWN);
    // Beyond what is drawn the slider changes nothing here.
    if (now.length !== before.current.length || now.some((edge, i) => edge !== before.current[i])) before.current = now;
    return before.current;
  }, [edges]);
  const ground = useMemo(() => groundOf(run, model), [run, model]);
  const sceneFor = useMemo(
    () => scenes(layout, { mode: view.mode, sel: view.sel, hover, pins: view.pins, dir: view.dir, sides, called: (node) => labelOf(labels, node) }),
    [layout, view.mode, view.sel, view.pins, view.dir, hover, sides, labels],
  );
  const scene = useMemo(() => sceneFor(drawn), [sceneFor, drawn]);
  useEffect(() => onScene(() => over(ground, scene)), [ground, scene, onScene]);

  // What the pointer can hit: nodes, and points along edges while these can be told apart. Made when it first moves.
  const targets = useMemo(() => targetsOf(scene, drawn, layout), [scene, layout, drawn]);

  // The ground is painted once for a size, a zoom and a light; the edges over it as often as they change.
  const under = useMemo(() => {
    const canvas = document.createElement("canvas");
    if (!size.width) return canvas;
    const context = prepared(canvas, size, transform);
    paint(context, ground, palette());
    return canvas;
  }, [ground, size, transform, light]);
  useEffect(() => {
    if (!size.width) return;
    const context = prepared(canvas.current!, size, transform);
    stamp(context, under);
    paintOver(context, scene, { size, transform, colours: palette() });
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
  const step = (by: number) => {
    const keys = [...new Set(edges.flatMap((edge) => [edge.sender, ...edge.into]))];
    const next = keys[(keys.indexOf(view.sel) + by + keys.length) % keys.length];
    if (next) show({ sel: next });
  };
  const hidden = { nodes: hiddenNodes(run, drawn), edges: total - held(drawn) };
  const summary = `${plural(held(drawn), "edge")} shown; ${plural(hidden.nodes, "node")}, ${plural(hidden.edges, "edge")} hidden`;

  return (
    <section className="map" aria-label="Map of the circuit">
      <div className="map-holder" ref={holder}>
        <canvas
          ref={canvas}
          tabIndex={0}
          role="img"
          aria-label={`${byToken ? "Layers by tokens" : "Layers by heads and MLPs"}: ${summary}. Arrow keys go from node to node; the list of connections says the same in words.`}
          style={{ width: size.width, height: size.height, cursor: hover ? "pointer" : "grab" }}
          onPointerMove={(event) => event.buttons === 0 && setHover(hit(event))}
          onPointerLeave={() => setHover("")}
          onClick={(event) => {
            const key = hit(event);
            if (key !== view.sel) show({ sel: key });
          }}
          onKeyDown={(event) => {
            const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
            if (by) {
              event.preventDefault();
              step(by);
            }
          }}
        />
        {hover && <Hover name={hover} edges={edges} run={run} at={transform.apply(placeOf(hover, scene))} />}
        {transform.k !== 1 && (
          <button className="map-reset" onClick={() => select(canvas.current!).call(zooming.current!.transform, zoomIdentity)}>
            Whole map
          </button>
        )}
      </div>
      <p className="hidden-count" role="status">
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

function Hover({ name, edges, run, at: [x, y] }: { name: string; edges: Edge[]; run: Run; at: [number, number] }) {
  const [heading, ...lines] = hoverWords(name, edges, run);
  return (
    <div className="hover" style={{ left: Math.max(8, x - 120), top: y > 150 ? y - 14 : y + 18, transform: y > 150 ? "translateY(-100%)" : "" }}>
      <strong>{heading}</strong>
      {lines.map((line) => (
        <span key={line}>{line}</span>
      ))}
    </div>
  );
}
