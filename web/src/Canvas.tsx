// A scene on a canvas that is moved and enlarged, pointed at and clicked; the address remembers where it is.
import { select } from "d3-selection";
import { zoom, zoomIdentity, type ZoomBehavior, type ZoomTransform } from "d3-zoom";
import { useEffect, useMemo, useRef, useState } from "react";
import { placeOf } from "./hit";
import { paint, paintFixed, palette, prepared, stamp } from "./paint";
import type { Scene } from "./scene";
import { show, type View } from "./view";

export interface Size {
  width: number;
  height: number;
}

/** Where a canvas is, and what is pointed at: shared with what makes the scene. */
export interface Place {
  size: Size;
  setSize: (size: Size) => void;
  transform: ZoomTransform;
  setTransform: (transform: ZoomTransform) => void;
  hover: string;
  setHover: (key: string) => void;
  /** Names are placed again after a step, not at every turn of the wheel. */
  zoomed: number;
}

export function usePlace(): Place {
  const [size, setSize] = useState<Size>({ width: 0, height: 0 });
  const [transform, setTransform] = useState<ZoomTransform>(zoomIdentity);
  const [hover, setHover] = useState("");
  return { size, setSize, transform, setTransform, hover, setHover, zoomed: Math.round(2 * transform.k) / 2 };
}

interface Props {
  place: Place;
  view: View;
  /** What lies under every view, painted once for a size, a zoom and a light. */
  ground: Scene;
  scene: Scene;
  light: string;
  /** The key of what lies within some pixels of a place; "" for nothing. */
  targets: (x: number, y: number, near: number) => string;
  /** What it is, in words. */
  label: string;
  /** What is said of the thing that is pointed at: a heading and lines. */
  words: (key: string) => string[];
}

export function Canvas({ place, view, ground, scene, light, targets, label, words }: Props) {
  const { size, setSize, transform, setTransform, hover, setHover } = place;
  const holder = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const zooming = useRef<ZoomBehavior<HTMLCanvasElement, unknown>>(null);
  const now = useRef({ size, transform });
  now.current = { size, transform };

  useEffect(() => {
    const observer = new ResizeObserver(([entry]) => {
      const { width, height } = entry!.contentRect;
      setSize({ width: Math.floor(width), height: Math.floor(height) });
    });
    observer.observe(holder.current!);
    return () => observer.disconnect();
  }, []);

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
      .on("zoom", (event: { transform: ZoomTransform }) => setTransform(event.transform))
      .on("end", (event: { sourceEvent: unknown }) => event.sourceEvent && show({ zoom: written(now.current.transform, now.current.size) }, "replace"));
    zooming.current = behaviour;
    select(canvas.current!).call(behaviour).on("dblclick.zoom", null);
  }, []);
  useEffect(() => {
    zooming.current?.translateExtent([
      [0, 0],
      [size.width, size.height],
    ]);
  }, [size]);
  const measured = size.width > 0;
  useEffect(() => {
    // The address says where, at first and after a step back; one's own moves are there already.
    if (measured && view.zoom !== written(now.current.transform, size)) select(canvas.current!).call(zooming.current!.transform, readZoom(view.zoom, size));
  }, [view.zoom, measured]);

  const hit = (event: React.PointerEvent | React.MouseEvent): string => {
    const box = canvas.current!.getBoundingClientRect();
    const [x, y] = transform.invert([event.clientX - box.left, event.clientY - box.top]);
    return targets(x, y, 12 / transform.k);
  };
  /** Goes to the nearest node in a direction; at first to the end of the strongest edge. */
  const step = (right: number, down: number) => {
    const nodes = scene.marks.filter((mark) => mark.shape !== "port" && mark.key);
    const here = nodes.find((mark) => mark.key === view.sel);
    const aside = (mark: { x: number; y: number }): number => {
      const [x, y] = [mark.x - here!.x, mark.y - here!.y];
      const [along, across] = [x * right + y * down, Math.abs(x * down) + Math.abs(y * right)];
      return along > 1 ? along + 3 * across : Infinity;
    };
    const next = here ? nodes.reduce((best, mark) => (aside(mark) < aside(best) ? mark : best), here) : nodes[0];
    if (next && next !== here) show({ sel: next.key });
  };

  return (
    <div className="map-holder" ref={holder}>
      <canvas
        ref={canvas}
        tabIndex={0}
        role="img"
        aria-label={label}
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
      {hover && <Hover words={words(hover)} at={transform.apply(placeOf(hover, scene))} />}
      {transform.k !== 1 && (
        <button className="map-reset" onClick={() => show({ zoom: "" }, "replace")}>
          Whole map
        </button>
      )}
    </div>
  );
}

/** Where a map is, in the address: how large, and its corner as a share of the screen's size. */
function written({ k, x, y }: ZoomTransform, { width, height }: Size): string {
  const short = (value: number) => String(Math.round(value * 1000) / 1000);
  return k === 1 ? "" : [k, x / width, y / height].map(short).join(",");
}

function readZoom(text: string, { width, height }: Size): ZoomTransform {
  const [k = NaN, x = NaN, y = NaN] = text.split(",").map(Number);
  if (!(k >= 1 && k <= 12)) return zoomIdentity;
  const within = (share: number) => Math.min(0, Math.max(1 - k, share || 0));
  return zoomIdentity.translate(width * within(x), height * within(y)).scale(k);
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
