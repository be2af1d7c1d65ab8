// The map: everything of the model at its fixed place, the edges of the view between them.
import { type Quadtree, quadtree } from "d3-quadtree";
import { select } from "d3-selection";
import { zoom, zoomIdentity, type ZoomBehavior, type ZoomTransform } from "d3-zoom";
import { useEffect, useMemo, useRef, useState } from "react";
import type { Edge, Side } from "./graph";
import { ends, layoutOf, spanWords } from "./layout";
import { inWords } from "./names";
import { paint, palette } from "./paint";
import { DRAWN, groundOf, over, type Scene, sceneOf } from "./scene";
import type { Run } from "./server";
import { show, type View } from "./view";
import { count, plural, signed } from "./words";

interface Props {
  run: Run;
  edges: Edge[];
  total: number;
  /** Parts of the prompt that the circuit keeps edges at. */
  used: Set<string>;
  view: View;
  sides: Map<string, Side> | null;
  light: string;
  onScene: (drawn: () => Scene) => void;
}

interface Spot {
  x: number;
  y: number;
  key: string;
}

export function CircuitMap({ run, edges, total, used, view, sides, light, onScene }: Props) {
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

  const layout = useMemo(() => layoutOf(run, Math.max(size.width, 200), Math.max(size.height, 200), byToken ? used : null), [run, size, byToken, used]);
  const drawn = useMemo(() => (edges.length > DRAWN ? edges.slice(0, DRAWN) : edges), [edges]);
  const ground = useMemo(() => groundOf(run, layout), [run, layout]);
  const scene = useMemo(
    () => sceneOf(layout, drawn, { mode: view.mode, sel: view.sel, hover, pins: view.pins, dir: view.dir, sides }),
    [layout, drawn, view.mode, view.sel, view.pins, view.dir, hover, sides],
  );
  useEffect(() => onScene(() => over(ground, scene)), [ground, scene, onScene]);

  // What the pointer can hit: nodes, and points along edges while these can be told apart. Made when it first moves.
  const targets = useMemo(() => {
    let made: { nodes: Quadtree<Spot>; along: Quadtree<Spot> } | undefined;
    const tree = (spots: Spot[]): Quadtree<Spot> =>
      quadtree(
        spots,
        (spot) => spot.x,
        (spot) => spot.y,
      );
    return () =>
      (made ??= {
        nodes: tree(scene.marks.filter((mark) => mark.shape !== "port")),
        along: tree(drawn.length > 600 ? [] : drawn.flatMap((edge) => alongEdge(edge, ends(layout, edge)))),
      });
  }, [scene, layout, drawn]);

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
    context.save();
    context.resetTransform();
    context.drawImage(under, 0, 0);
    context.restore();
    paint(context, scene, palette());
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
    const near = 12 / transform.k;
    return targets().nodes.find(x, y, near)?.key ?? targets().along.find(x, y, near * 0.6)?.key ?? "";
  };
  const step = (by: number) => {
    const keys = [...new Set(edges.flatMap((edge) => [edge.sender, ...edge.into]))];
    const next = keys[(keys.indexOf(view.sel) + by + keys.length) % keys.length];
    if (next) show({ sel: next });
  };
  const hidden = { nodes: hiddenNodes(run, drawn), edges: total - drawn.length };
  const summary = `${plural(drawn.length, "edge")} shown; ${plural(hidden.nodes, "node")}, ${plural(hidden.edges, "edge")} hidden`;

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
        {hover && <Hover name={hover} edges={edges} run={run} at={place(hover, scene, transform)} />}
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

/** A canvas cleared, at the screen's own resolution, in the map's coordinates. */
function prepared(canvas: HTMLCanvasElement, size: { width: number; height: number }, transform: ZoomTransform): CanvasRenderingContext2D {
  const ratio = devicePixelRatio || 1;
  const [width, height] = [Math.round(size.width * ratio), Math.round(size.height * ratio)];
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const context = canvas.getContext("2d")!;
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, size.width, size.height);
  context.translate(transform.x, transform.y);
  context.scale(transform.k, transform.k);
  return context;
}

/** Nodes of the model that no edge of the view touches. */
function hiddenNodes(run: Run, edges: Edge[]): number {
  const { layers, heads } = run.model;
  const every = (layers * (heads + 1) + 1) * Math.max(1, run.spans.length);
  const shown = new Set(edges.map((edge) => edge.sender));
  return Math.max(0, every - shown.size);
}

function alongEdge(edge: Edge, [from, to]: ReturnType<typeof ends>): Spot[] {
  const bend = Math.max(6, Math.abs(to.y - from.y) * 0.42);
  return Array.from({ length: 13 }, (_, i) => {
    const t = (i + 1) / 14;
    const s = 1 - t;
    const x = s * s * s * from.x + 3 * s * s * t * from.x + 3 * s * t * t * to.x + t * t * t * to.x;
    const y = s * s * s * from.y + 3 * s * s * t * (from.y - bend) + 3 * s * t * t * (to.y + bend) + t * t * t * to.y;
    return { x, y, key: edge.key };
  });
}

function place(key: string, scene: Scene, transform: ZoomTransform): [number, number] {
  const mark = scene.marks.find((known) => known.key === key);
  const stroke = mark ? undefined : scene.strokes.find((known) => known.key === key);
  const at = mark ?? (stroke ? { x: (stroke.from.x + stroke.to.x) / 2, y: (stroke.from.y + stroke.to.y) / 2 } : { x: 0, y: 0 });
  return transform.apply([at.x, at.y]);
}

function Hover({ name, edges, run, at }: { name: string; edges: Edge[]; run: Run; at: [number, number] }) {
  const words = (span: string) => spanWords(run, span);
  const edge = edges.find((known) => known.key === name);
  const [x, y] = at;
  const style = { left: Math.max(8, x - 120), top: y > 150 ? y - 14 : y + 18, transform: y > 150 ? "translateY(-100%)" : "" };
  if (edge)
    return (
      <div className="hover" style={style}>
        <strong>
          {edge.sender} → {edge.receiver}
        </strong>
        <span>{edge.effect === null ? `score ${signed(edge.score)}, rank ${count(edge.rank)}` : `without it faithfulness falls by ${signed(edge.effect)}`}</span>
      </div>
    );
  const [node = "", span = ""] = name.split("@");
  const [out, into] = [edges.filter((known) => known.from.node === node && (!span || known.from.span === span)), edges.filter((known) => known.into.includes(node))];
  return (
    <div className="hover" style={style}>
      <strong>{node}</strong>
      <span>{inWords(name, words)}</span>
      <span>
        {count(into.length)} in, {count(out.length)} out
      </span>
    </div>
  );
}
