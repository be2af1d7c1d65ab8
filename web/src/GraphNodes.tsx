// What is locked on a graph: what it is and says, what it gets from whom and sends to whom; else the list of all.
import { useState, type ReactNode } from "react";
import { named, TARGET, type Drawn, type Item, type Link } from "./graphModel";
import { InText } from "./InText";
import { together } from "./names";
import { togglePin } from "./Selection";
import type { Graph, GraphNode, Labels } from "./server";
import { Term } from "./Term";
import { show, type View } from "./view";
import { decimal, percent, plural, signed, token } from "./words";

interface Props {
  graph: Graph;
  drawn: Drawn;
  supernodes: Labels["supernodes"];
  view: View;
  children: ReactNode;
}

const SHOWN = 60;

export function GraphNodes({ graph, drawn, supernodes, view, children }: Props) {
  const [q, search] = useState("");
  const item = drawn.items.find((known) => known.key === view.sel);
  const link = drawn.links.find((known) => known.key === view.sel);
  const inside = (key: string) => supernodes.find((known) => known.members.includes(key));
  if (item)
    return (
      <div className="selection">
        <header>
          <h2>{named(item.key, graph)}</h2>
          <button aria-pressed={view.pins.includes(view.sel)} onClick={() => togglePin(view)}>
            {view.pins.includes(view.sel) ? "Unpin" : "Pin"}
          </button>
          <button onClick={() => show({ sel: "" })}>Unlock</button>
        </header>
        <About graph={graph} item={item} />
        {item.kind === "neuron" && item.members.length === 1 && graph.changeable && <InText key={item.key} graph={graph} node={item.members[0]!} />}
        {children}
        <Ends graph={graph} title="gets from" links={drawn.links.filter((link) => link.to === item.key)} other={(link) => link.from} />
        <Ends graph={graph} title="sends to" links={drawn.links.filter((link) => link.from === item.key)} other={(link) => link.to} />
      </div>
    );
  if (link)
    return (
      <div className="selection">
        <header>
          <h2>
            {named(link.from, graph)} → {named(link.to, graph)}
          </h2>
          <button onClick={() => show({ sel: "" })}>Unlock</button>
        </header>
        <dl>
          {(
            [
              ["weight", `${signed(link.weight, 3)} logits by the linear rules${link.edges > 1 ? `, ${plural(link.edges, "edge")} in sum` : ""}`],
              ["share", `${percent(link.share)} of what the receiver gets`],
              ["influence", `${percent(link.influence)} of what reaches the target passes along it`],
            ] as const
          ).map(([name, value]) => (
            <div key={name}>
              <dt>
                <Term>{name}</Term>
              </dt>
              <dd>{value}</dd>
            </div>
          ))}
        </dl>
        <p className="pins">
          {[link.from, link.to].map((end) => (
            <button key={end} onClick={() => show({ sel: end })}>
              {named(end, graph)}
            </button>
          ))}
        </p>
        {children}
      </div>
    );
  const words = q.toLowerCase().split(/\s+/).filter(Boolean);
  const text = (node: GraphNode) => [node.node, node.token, node.promotes.join(" "), inside(node.node)?.name ?? ""].join(" ").toLowerCase();
  const found = graph.nodes.filter((node) => node.kind !== "token" && words.every((word) => text(node).includes(word))).sort((a, b) => b.influence - a.influence);
  return (
    <div className="graph-nodes">
      {view.sel && <p className="note">{named(view.sel, graph)} is not drawn at these thresholds.</p>}
      {children}
      <input type="search" id="search" placeholder="Search nodes, tokens they promote, supernodes" aria-label="Search nodes" value={q} onChange={(event) => search(event.target.value)} />
      <p className="note" role="status">
        {plural(found.length, "node")}, the most influential first{found.length > SHOWN ? `; ${SHOWN} shown` : ""}
      </p>
      <ul aria-label="Nodes">
        {found.slice(0, SHOWN).map((node) => {
          const group = inside(node.node);
          return (
            <li key={node.node}>
              <button onClick={() => show({ sel: group ? together(group.name) : node.node })} title={group ? `in the supernode “${group.name}”` : ""}>
                <b>{node.node}</b> {node.promotes.slice(0, 3).map(token).join(" ")}
                {group && <small> in “{group.name}”</small>}
              </button>
              <span className="number">{percent(node.influence)}</span>
            </li>
          );
        })}
      </ul>
    </div>
  );
}

function About({ graph, item }: { graph: Graph; item: Item }) {
  if (item.key === TARGET)
    return (
      <p>
        What the graph explains{graph.target.clean === null ? "." : `: ${decimal(graph.target.clean, 2)} logits${graph.target.ablated === null ? "" : `, ${decimal(graph.target.ablated, 2)} with all nodes ablated`}.`}
      </p>
    );
  if (item.members.length > 1) {
    const sum = item.members.reduce((total, node) => total + node.sent, 0);
    return (
      <>
        <p>
          {plural(item.members.length, "node")}; together they send {signed(sum, 2)} logits by the linear rules, and {percent(item.influence)} of the influence passes through them, one by one.
        </p>
        <ul className="members" aria-label="Members">
          {item.members.map((node) => (
            <li key={node.node}>
              {node.node} <small>{node.promotes.slice(0, 3).map(token).join(" ")}</small>
            </li>
          ))}
        </ul>
      </>
    );
  }
  const node = item.members[0]!;
  const rows: [string, string][] = [
    ["at", `${token(node.token)} (position ${node.position})`],
    [node.kind === "neuron" ? "activation" : "size", `${decimal(node.value, 3)}${graph.changeable ? `; ${decimal(node.ablated, 3)} ablated` : ""}`],
    ["influence", `${percent(node.influence)} of what reaches the target passes through it`],
    ["sends", `${signed(node.sent, 3)} logits by the linear rules`],
    ...(node.slope === null ? [] : ([["slope", `${signed(node.slope, 3)} logits lost without it, by the gradient`]] as [string, string][])),
    ...(node.effect === null ? [] : ([["effect", `${signed(node.effect, 3)} logits lost when it alone is ablated; exact`]] as [string, string][])),
    ...(node.rest ? ([["from outside", `${signed(node.rest, 3)} logits from nodes that are not in the graph`]] as [string, string][]) : []),
  ];
  return (
    <>
      <dl>
        {rows.map(([name, value]) => (
          <div key={name}>
            <dt>
              <Term>{name}</Term>
            </dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      {node.kind !== "token" && (
        <div className="words" data-testid="promotes">
          {(["promotes", "suppresses"] as const).map((side) => (
            <div key={side}>
              <h3>
                <Term>{side}</Term>
              </h3>
              <ol>
                {node[side].map((text, i) => (
                  <li key={i}>
                    <span>{token(text)}</span>
                  </li>
                ))}
              </ol>
            </div>
          ))}
        </div>
      )}
    </>
  );
}

function Ends({ graph, title, links, other }: { graph: Graph; title: string; links: Link[]; other: (link: Link) => string }) {
  if (!links.length) return null;
  return (
    <section aria-label={title} className="ends">
      <h3>
        {title} <small>% of what the receiver gets</small>
      </h3>
      <ul>
        {[...links]
          .sort((a, b) => b.share - a.share)
          .slice(0, SHOWN)
          .map((link) => (
            <li key={link.key}>
              <button onClick={() => show({ sel: other(link) })} title={named(other(link), graph)}>
                {named(other(link), graph)}
              </button>
              <span className={`number ${link.weight < 0 ? "negative" : ""}`}>{signed(link.weight, 2)}</span>
              <span className="number">{percent(link.share)}</span>
            </li>
          ))}
      </ul>
    </section>
  );
}
