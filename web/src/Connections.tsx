// The connections in words: sorted, searched, grouped. Also the way to the map without seeing it.
import { useVirtualizer } from "@tanstack/react-virtual";
import { useMemo, useRef } from "react";
import { type Edge, type Measure, touches, weightOf, weightWords } from "./graph";
import { labelOf } from "./edits";
import { inputInWords, plain } from "./names";
import type { Labels, Run } from "./server";
import { groupSize } from "./spans";
import { held } from "./supernodes";
import { show, type View } from "./view";
import { count, plural, signed } from "./words";

interface Props {
  run: Run;
  /** The strongest first. */
  edges: Edge[];
  by: Measure;
  labels: Labels;
  view: View;
}

type Item = { group: string; size: number } | Edge;

const LAYER = (edge: Edge) => (edge.to.kind === "super" ? "into a supernode" : edge.to.layer === Infinity ? "into the logits" : `into layer ${edge.to.layer}`);
const ROLE: Record<string, string> = { input: "from the input", head: "from attention heads", mlp: "from MLPs", super: "from supernodes" };

export function Connections({ run, edges, by, labels, view }: Props) {
  const called = (edge: Edge) => [edge.from.node, edge.to.node].map((node) => labelOf(labels, node)).filter(Boolean).join(" → ");
  const holder = useRef<HTMLDivElement>(null);
  const items = useMemo(() => listed(run, edges, view, called), [edges, view.q, view.sort, view.group, view.sel, view.dir, labels]);
  const rows = held(items.filter((item): item is Edge => "key" in item));
  const virtual = useVirtualizer({ count: items.length, getScrollElement: () => holder.current, estimateSize: () => 28, overscan: 12 });
  const node = view.sel && !view.sel.includes(">") ? view.sel : "";
  return (
    <section className="connections" aria-label="Connections">
      <div className="tools">
        <input
          id="search"
          type="search"
          placeholder="Search a node or label, such as a23   ( / )"
          aria-label="Search connections"
          value={view.q}
          onChange={(event) => show({ q: event.target.value }, "replace")}
        />
        <select aria-label="Sort connections" value={view.sort} onChange={(event) => show({ sort: event.target.value as View["sort"] }, "replace")}>
          <option value="strength">strongest first</option>
          <option value="layer">by layer</option>
          <option value="name">by name</option>
        </select>
        <select aria-label="Group connections" value={view.group} onChange={(event) => show({ group: event.target.value as View["group"] }, "replace")}>
          <option value="none">not grouped</option>
          <option value="layer">by layer</option>
          <option value="role">by role</option>
          {run.spans.length > 0 && <option value="token">by token</option>}
        </select>
        {node && (
          <div className="choice small" role="group" aria-label="Direction">
            {(["in", "both", "out"] as const).map((dir) => (
              <button key={dir} aria-pressed={view.dir === dir} onClick={() => show({ dir })}>
                {dir}
              </button>
            ))}
          </div>
        )}
      </div>
      <p className="note" role="status">
        {count(rows)} of {count(held(edges))} connections{node ? ` of ${plain(node)}` : ""}
        <span className="right">
          {weightWords(run, by)}
          {edges.some((edge) => edge.parts) && by !== "name" && "; Σ: a sum, not measured as one"}
        </span>
      </p>
      {edges[0]?.in && by !== "name" && (
        <p className="columns">
          <span>A</span> <span>B</span> <span>A − B</span>
        </p>
      )}
      <div className="rows" ref={holder} tabIndex={-1}>
        <ul style={{ height: virtual.getTotalSize() }}>
          {virtual.getVirtualItems().map((row) => {
            const item = items[row.index]!;
            const style = { transform: `translateY(${row.start}px)` };
            if (!("key" in item))
              return (
                <li key={row.key} style={style} className="group">
                  {item.group} <small>{count(item.size)}</small>
                </li>
              );
            return (
              <li key={row.key} style={style}>
                <button aria-pressed={view.sel === item.key} title={inputInWords(item.receiver, groupSize(run))} className={view.pins.includes(item.key) ? "pinned" : ""} onClick={() => show({ sel: view.sel === item.key ? "" : item.key })}>
                  <span>
                    {plain(item.from.node)} → {plain(item.receiver)}
                    {item.to.reads && !item.in && <small> {inputInWords(item.receiver, groupSize(run))}</small>}
                    {item.parts && <small> {plural(item.parts.length, "edge")}</small>}
                    {called(item) && <small> {called(item)}</small>}
                    {item.place && <small> at {item.place}</small>}
                  </span>
                  <Numbers edge={item} by={by} />
                </button>
              </li>
            );
          })}
        </ul>
        {rows === 0 && <p className="empty">{view.q ? `No connection's name or label has “${view.q}” in it.` : "No connection here; show more edges."}</p>}
      </div>
    </section>
  );
}

/** An edge's size; of a compared edge, in both circuits and by how much they differ. */
function Numbers({ edge, by }: { edge: Edge; by: Measure }) {
  if (by === "name") return null;
  const sides = edge.in ? [edge.in.a, edge.in.b] : [edge];
  const sizes = sides.map((side) => side && weightOf(side, by));
  const [a, b] = sizes;
  if (edge.in) sizes.push(a !== undefined && b !== undefined ? a - b : undefined);
  return (
    <span className="numbers">
      {sizes.map((size, i) => (
        <span key={i} className={size !== undefined && size < 0 ? "number negative" : "number"}>
          {size === undefined ? "–" : `${edge.parts && i < 2 ? "Σ " : ""}${signed(size)}`}
        </span>
      ))}
    </span>
  );
}

function listed(run: Run, edges: Edge[], view: View, called: (edge: Edge) => string): Item[] {
  const wanted = view.q.trim().toLowerCase();
  const node = view.sel && !view.sel.includes(">") ? view.sel : "";
  const found = edges.filter(
    (edge) =>
      (!node || touches(edge, node, view.dir)) &&
      (!wanted || `${edge.sender} → ${edge.receiver} ${inputInWords(edge.receiver, groupSize(run))} ${edge.place} ${called(edge)}`.toLowerCase().includes(wanted)),
  );
  const layer = (edge: Edge) => (edge.to.layer === Infinity ? 1e6 : edge.to.layer || 0);
  if (view.sort === "layer") found.sort((a, b) => layer(a) - layer(b) || (a.from.layer || 0) - (b.from.layer || 0));
  if (view.sort === "name") found.sort((a, b) => a.key.localeCompare(b.key, "en", { numeric: true }));
  if (view.group === "none") return found;
  const name = { layer: LAYER, role: (edge: Edge) => ROLE[edge.from.kind] ?? "", token: (edge: Edge) => (edge.place ? `at ${edge.place}` : "anywhere") }[view.group];
  const groups = new Map<string, Edge[]>();
  if (view.group === "layer") [...found].sort((a, b) => layer(a) - layer(b)).forEach((edge) => groups.set(name(edge), []));
  for (const edge of found) groups.set(name(edge), [...(groups.get(name(edge)) ?? []), edge]);
  return [...groups].flatMap(([group, members]) => [{ group, size: members.length }, ...members]);
}
