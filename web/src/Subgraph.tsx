// What is pinned, in a pane of its own: boxes that can be dragged, and what passes between them as a share of the receiver's input.
import { useEffect, useRef, useState } from "react";
import { labelOf } from "./edits";
import { type Drawn, type Item, named, says, TARGET } from "./graphModel";
import type { Graph, Labels } from "./server";
import { cut } from "./scene";
import { show } from "./view";
import { percent } from "./words";

const [WIDTH, HEIGHT, BOX, TALL] = [900, 190, 128, 30];

interface Point {
  x: number;
  y: number;
}

export function Subgraph({ graph, drawn, pins, labels }: { graph: Graph; drawn: Drawn; pins: string[]; labels: Labels }) {
  const [moved, move] = useState<Record<string, Point>>({});
  const dragged = useRef<{ key: string; from: Point } | null>(null);
  const picture = useRef<SVGSVGElement>(null);
  useEffect(() => move({}), [graph.id]);
  const items = pins.map((key) => drawn.items.find((item) => item.key === key)).filter((item) => item !== undefined);
  if (!items.length) return null;
  const target = drawn.items.find((item) => item.key === TARGET);
  const all = target && !pins.includes(TARGET) ? [...items, target] : items;
  const at = (item: Item): Point => moved[item.key] ?? usual(item, all);
  const links = drawn.links.filter((link) => all.some((item) => item.key === link.from) && all.some((item) => item.key === link.to));
  /** Where the pointer is in the picture, which keeps its shape inside a pane of any. */
  const inside = (event: React.PointerEvent): Point => new DOMPoint(event.clientX, event.clientY).matrixTransform(picture.current!.getScreenCTM()!.inverse());
  const place = (key: string, { x, y }: Point) => move((now) => ({ ...now, [key]: { x: Math.min(WIDTH - BOX / 2, Math.max(BOX / 2, x)), y: Math.min(HEIGHT - TALL / 2, Math.max(TALL / 2, y)) } }));
  return (
    <section className="subgraph" aria-label="Pinned nodes">
      <svg
        ref={picture}
        viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
        role="group"
        aria-label={`${all.length} nodes, ${links.length} edges between them. Drag a box, or move it with the arrow keys.`}
        onPointerMove={(event) => {
          const drag = dragged.current;
          if (!drag) return;
          const now = inside(event);
          place(drag.key, { x: now.x + drag.from.x, y: now.y + drag.from.y });
        }}
        onPointerUp={() => (dragged.current = null)}
        onPointerLeave={() => (dragged.current = null)}
      >
        {links.map((link) => {
          const [from, to] = [link.from, link.to].map((key) => at(all.find((item) => item.key === key)!)) as [Point, Point];
          return (
            <g key={link.key} className={link.weight < 0 ? "hinders" : "supports"}>
              <line x1={from.x} y1={from.y} x2={to.x} y2={to.y} strokeWidth={1 + 6 * Math.min(1, link.share)} strokeDasharray={link.weight < 0 ? "6 5" : ""} />
              <text x={from.x + 0.55 * (to.x - from.x)} y={from.y + 0.55 * (to.y - from.y)}>
                {percent(link.share)}
              </text>
            </g>
          );
        })}
        {all.map((item) => {
          const { x, y } = at(item);
          const name = labelOf(labels, item.key) || (item.kind === "super" || item.key === TARGET ? named(item.key, graph) : `${item.key} ${says(item)}`);
          return (
            <g
              key={item.key}
              className="box"
              tabIndex={0}
              role="button"
              aria-label={cut(name, 20)}
              data-key={item.key}
              onPointerDown={(event) => {
                const now = inside(event);
                dragged.current = { key: item.key, from: { x: x - now.x, y: y - now.y } };
              }}
              onDoubleClick={() => show({ sel: item.key })}
              onKeyDown={(event) => {
                const way = ({ ArrowRight: [10, 0], ArrowDown: [0, 10], ArrowLeft: [-10, 0], ArrowUp: [0, -10] } as Record<string, [number, number]>)[event.key];
                if (event.key === "Enter") show({ sel: item.key });
                if (!way) return;
                event.preventDefault();
                place(item.key, { x: x + way[0], y: y + way[1] });
              }}
            >
              <title>{name}</title>
              <rect x={x - BOX / 2} y={y - TALL / 2} width={BOX} height={TALL} rx={6} className={item.kind} />
              <text x={x} y={y}>
                {cut(name, 20)}
              </text>
            </g>
          );
        })}
      </svg>
    </section>
  );
}

/** By layer from below, by their order from left to right within one. */
function usual(item: Item, all: Item[]): Point {
  const order = [...all].sort((a, b) => a.layer - b.layer || a.position - b.position);
  const levels = [...new Set(order.map((one) => Math.round(one.layer)))];
  const row = levels.indexOf(Math.round(item.layer));
  const beside = order.filter((one) => Math.round(one.layer) === Math.round(item.layer));
  const y = HEIGHT - TALL / 2 - 4 - (levels.length > 1 ? (row * (HEIGHT - TALL - 8)) / (levels.length - 1) : 0);
  // Rows of one box each are staggered, so that lines between rows do not cross the boxes between them.
  const shift = beside.length === 1 ? (row % 2 ? 0.2 : -0.2) * WIDTH : 0;
  return { x: (WIDTH * (beside.indexOf(item) + 0.5)) / beside.length + shift, y };
}
