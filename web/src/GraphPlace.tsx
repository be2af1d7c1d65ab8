// A graph in neurons: its map, pruned by influence, what is locked, its supernodes, and a pane of what is pinned.
import { type ReactNode, useEffect, useMemo } from "react";
import { Canvas, usePlace } from "./Canvas";
import { type Edit, labelOf } from "./edits";
import { Boundary } from "./Fetching";
import { GraphAbout } from "./GraphAbout";
import { GraphNodes } from "./GraphNodes";
import { drawnGraph, graphGround, graphScene, hoverGraph, placedGraph, suggestions, TARGET } from "./graphModel";
import { Changing } from "./Intervene";
import { useLabels } from "./labels";
import { Groups } from "./Groups";
import { Naming, Trouble } from "./Naming";
import { isKey, isNode, together } from "./names";
import type { Graph, Labels } from "./server";
import { Shared, useShared } from "./Shared";
import { Subgraph } from "./Subgraph";
import { targetsOf } from "./hit";
import { Term } from "./Term";
import { show, type View } from "./view";
import { count, percent, plural } from "./words";

interface Pane {
  graph: Graph;
  labels: Labels;
  view: View;
  panes: { nodes: ReactNode; groups: ReactNode };
}

/** The panes beside the map: a new one is a line here. */
const PANES: [View["tab"], string, (pane: Pane) => ReactNode][] = [
  ["circuit", "Nodes", ({ panes }) => panes.nodes],
  ["groups", "Supernodes", ({ panes }) => panes.groups],
  ["change", "Change", ({ graph, labels, view }) => <Change graph={graph} labels={labels} view={view} />],
  ["run", "Run", ({ graph }) => <GraphAbout graph={graph} />],
];

export function GraphPlace({ graph, view, theme }: { graph: Graph; view: View; theme: string }) {
  const place = usePlace();
  const { size, hover, zoomed } = place;
  const suggested = useMemo(() => suggestions(graph), [graph]);
  const shared = useShared(useLabels(graph), view);
  const notes = { ...shared, change: (edit: Edit) => shared.change(onSuggested(edit, suggested)) };
  const { labels } = notes;
  const supernodes = labels.supernodes.length ? labels.supernodes : suggested;
  const picked = useMemo(() => [view.sel, ...view.pins].flatMap((key) => key.split(">")).filter(Boolean), [view.sel, view.pins]);
  const drawn = useMemo(() => drawnGraph(graph, supernodes, view.nodes, view.edges, picked), [graph, supernodes, view.nodes, view.edges, picked]);
  const layout = useMemo(() => placedGraph(graph, drawn, Math.max(size.width, 200), Math.max(size.height, 200)), [graph, drawn, size]);
  const ground = useMemo(() => graphGround(graph, layout), [graph, layout]);
  const scene = useMemo(
    () => graphScene(graph, drawn, layout, { sel: view.sel, hover, pins: view.pins, zoom: zoomed, called: (node) => labelOf(labels, node) }),
    [graph, drawn, layout, view.sel, hover, view.pins, zoomed, labels],
  );
  const targets = useMemo(() => targetsOf(scene), [scene]);
  useEffect(() => {
    document.title = `${graph.title} · Wheatstone studio`;
  }, [graph]);
  const [, , pane] = PANES.find(([tab]) => tab === view.tab) ?? PANES[0]!;
  const open = PANES.some(([tab]) => tab === view.tab) ? view.tab : "circuit";
  const density = drawn.edges / Math.max(1, (drawn.nodes * (drawn.nodes + 1)) / 2);
  const first = graph.proofs[0];
  return (
    <main className="workplace">
      <div className="stage">
        <h2 title={graph.prompt}>{graph.title}</h2>
        <p className="note" data-testid="graph-held">
          {first ? `Alone, ${count(first.nodes)} heads and neurons keep ${percent(first.faithfulness)} of ${graph.target.name} (all others ablated to ${first.baseline}; exact).` : "Out of a file of another tool; nothing was run."}
          {graph.nodes.length < graph.total_nodes || graph.sender.length < graph.total_edges ? ` Thinned to the most influential: ${count(graph.nodes.length)} of ${plural(graph.total_nodes, "node")}, ${count(graph.sender.length)} of ${plural(graph.total_edges, "edge")}.` : ""}
        </p>
        <div className="stage-head prune">
          <Threshold label="Nodes" what="Nodes that have this share of all influence" value={view.nodes} change={(nodes) => show({ nodes }, "replace")} />
          <Threshold label="Edges" what="Edges that have this share of all influence; at 0, the 300 strongest" value={view.edges} change={(edges) => show({ edges }, "replace")} />
          <span className="note">
            <Term>density</Term> <b>{percent(density)}</b>
          </span>
          <span className="spring" />
          <Shared notes={notes} view={view} />
        </div>
        <Trouble notes={notes} />
        <section className="map" aria-label="Map of the graph">
          <Canvas
            place={place}
            view={view}
            ground={ground}
            scene={scene}
            light={theme}
            targets={targets}
            label={`Layers by tokens: ${plural(drawn.items.length, "mark")}, ${plural(drawn.links.length, "line")}. Arrow keys go to the nearest node in their direction; the list of nodes says the same in words.`}
            words={(key) => hoverGraph(key, graph, drawn)}
          />
          <p className="hidden-count" role="status" data-testid="graph-drawn">
            {count(drawn.nodes)} of {plural(graph.total_nodes, "node")} drawn, {count(drawn.edges)} of {plural(graph.total_edges, "edge")}
          </p>
        </section>
        <Subgraph graph={graph} drawn={drawn} pins={view.pins} labels={labels} />
      </div>
      <aside aria-label="About the graph">
        <nav className="tabs" role="tablist" aria-label="Views">
          {PANES.map(([tab, words]) => (
            <button key={tab} role="tab" id={`tab-${tab}`} aria-selected={open === tab} aria-controls="panel" onClick={() => show({ tab })}>
              {words}
            </button>
          ))}
        </nav>
        <div id="panel" role="tabpanel" aria-labelledby={`tab-${open}`} className={`panel of-graph-${open}`}>
          <Boundary key={open} what="This part" leave={() => show({ tab: "circuit", sel: "" })}>
            {pane({
              graph,
              labels,
              view,
              panes: {
                nodes: (
                  <GraphNodes graph={graph} drawn={drawn} supernodes={supernodes} view={view}>
                    <Naming run={graph} notes={notes} view={view} nodeOf={(key) => key} />
                  </GraphNodes>
                ),
                groups: <Groups notes={notes} suggested={suggested} pins={view.pins.filter((key) => !key.startsWith("*") && key !== TARGET && !key.includes(">"))} />,
              },
            })}
          </Boundary>
        </div>
      </aside>
    </main>
  );
}

/** An edit that makes the first supernode of one's own also takes over those that are suggested, which would vanish. */
const onSuggested =
  (edit: Edit, suggested: Labels["supernodes"]): Edit =>
  (labels) => {
    const edited = edit(labels);
    return !labels.supernodes.length && edited.supernodes.length ? edit({ ...labels, supernodes: suggested }) : edited;
  };

interface ThresholdProps {
  label: string;
  what: string;
  value: number;
  change: (value: number) => void;
}

function Threshold({ label, what, value, change }: ThresholdProps) {
  return (
    <label title={what}>
      {label} <input type="range" min={0} max={100} value={value} aria-label={what} onChange={(event) => change(Number(event.target.value))} /> <b>{value || label === "Nodes" ? `${value}%` : "auto"}</b>
    </label>
  );
}

/** Nodes that are locked or pinned, a supernode's members for it. */
function Change({ graph, labels, view }: { graph: Graph; labels: Labels; view: View }) {
  const groups = new Map((labels.supernodes.length ? labels.supernodes : suggestions(graph)).map(({ name, members }) => [together(name), members]));
  const known = new Set(graph.nodes.filter((node) => node.kind !== "token").map((node) => node.node));
  // Nodes of the model that are not in the graph can be changed too.
  const takes = (name: string) => known.has(name) || (isKey(name) && isNode(name) && !name.startsWith("input"));
  const nodes = [...new Set([...view.pins, view.sel].flatMap((key) => groups.get(key) ?? [key]))].filter(takes);
  if (!graph.changeable) return <p className="note">This graph is another tool's: its nodes are not in a model here, and cannot be changed. `wheatstone graph` draws one whose nodes can be.</p>;
  return (
    <div className="intervene">
      <p className="note">
        Change what nodes write while the model reads the prompt, and see what it says next. Lock a mark on the map, or pin several ( p ).{!graph.counterfactuals.length && " The graph was drawn without a counterfactual, so that there is none to patch from: `wheatstone graph --counterfactual` draws one with it."}
      </p>
      <Changing run={graph.id} prompt={0} nodes={nodes} words={(node) => node} known={(name) => takes(name) || groups.has(name)} patches={graph.counterfactuals.length > 0} view={view} />
    </div>
  );
}
