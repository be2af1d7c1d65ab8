// What a neuron responds to in running text: what the graph itself holds of it, and what a scan among the runs holds.
import type { ReactNode } from "react";
import type { components } from "./api";
import { Fetching } from "./Fetching";
import { AskFor } from "./Jobs";
import { useJobs } from "./jobs";
import { Command } from "./Selection";
import { fetchContents, fetchRows, fetchScans, type Graph, type GraphNode, type Row, type RunSummary } from "./server";
import { useFetched, valueOf } from "./use";
import { count, decimal, percent, shown, token } from "./words";

type Found = components["schemas"]["InText"];
type Where = Pick<Found, "value" | "below" | "mean" | "deviation" | "least" | "most" | "passages">;

export function InText({ graph, node }: { graph: Graph; node: GraphNode }) {
  const neuron = node.node.replace(/@.*/, "");
  const evidence = useFetched(`${graph.id}/${graph.created}/evidence`, () => ownEvidence(graph.id));
  const scans = useFetched(`${graph.id}/scans`, () => fetchScans(graph.id));
  const row = valueOf(evidence)?.find((known) => known.node === node.node);
  return (
    <section className="in-text" aria-label="In running text">
      <h3>in running text</h3>
      <Fetching of={evidence} what="what the graph holds of it">
        {() => row && <Passages found={{ ...(row as unknown as Where), passages: (row.passages as string[]).map((text, i) => ({ text, activation: (row.strengths as number[])[i]! })) }} />}
      </Fetching>
      <Fetching of={scans} what="the scans of this model">
        {([newest]) =>
          newest ? (
            <Scanned scan={newest} neuron={neuron} value={node.value} />
          ) : (
            !row && (
              <>
                <p className="note">No scan of this model's neurons is among the runs. This makes one:</p>
                <Command text={`wheatstone neuron scan --model ${graph.model} --tokens 200000 --out runs/scan`} />
              </>
            )
          )
        }
      </Fetching>
    </section>
  );
}

/** The evidence that a graph was drawn with, of its strongest neurons; nothing of one that was drawn without a scan. */
async function ownEvidence(id: string): Promise<Row[]> {
  const { tables } = await fetchContents(id);
  return tables.some(({ name }) => name === "evidence") ? fetchRows(id, "evidence") : [];
}

function Scanned({ scan, neuron, value }: { scan: RunSummary; neuron: string; value: number }) {
  const { jobs } = useJobs();
  const asked = { verb: "neuron" as const, run: scan.id, neuron, value };
  const done = jobs.find(({ request, last }) => last.in_text && request.verb === "neuron" && request.run === scan.id && request.neuron === neuron && request.value === value);
  if (!done?.last.in_text) return <AskFor asked={asked} words={`Look it up in the scan “${scan.path.split(/[\\/]/).at(-1)}”`} />;
  const found = done.last.in_text;
  return (
    <div data-testid="in-text">
      <Passages found={found}>
        {" "}
        n = {count(found.counted)} positions.
      </Passages>
      <Histogram found={found} />
      <Calibration found={found} />
    </div>
  );
}

function Passages({ found, children }: { found: Where; children?: ReactNode }) {
  return (
    <>
      <p>
        Its activation here, <b>{decimal(found.value, 2)}</b>, is higher than at {percent(found.below)} of all positions: mean {decimal(found.mean, 2)}, standard deviation {decimal(found.deviation, 2)}, from {decimal(found.least, 2)} to {decimal(found.most, 2)}.{children}
      </p>
      <ol aria-label="Where it is strongest">
        {found.passages.map(({ text, activation }, i) => (
          <li key={i}>
            <span>{shown(text)}</span> <small>{decimal(activation, 2)}</small>
          </li>
        ))}
      </ol>
    </>
  );
}

const [WIDTH, HEIGHT, FOOT] = [360, 90, 14];

/** Positions by activation, on a logarithmic scale, as a neuron is near zero nearly everywhere; with a line at the value here. */
function Histogram({ found: { counts, edges, value } }: { found: Found }) {
  const [first, last] = [counts.findIndex(Boolean), counts.findLastIndex(Boolean)];
  const most = Math.log1p(Math.max(...counts));
  const wide = WIDTH / (last - first + 1);
  const here = edges.findIndex((edge) => value < edge);
  const at = (here < 0 ? edges.length : here) - first;
  const ends: [number, "start" | "end", number | undefined][] = [
    [0, "start", edges[first]],
    [WIDTH, "end", edges[last - 1]],
  ];
  return (
    <svg viewBox={`0 0 ${WIDTH} ${HEIGHT + FOOT}`} role="img" aria-label="Histogram of its activation over the scan; its bin here is marked">
      {counts.slice(first, last + 1).map((positions, i) => {
        const high = (HEIGHT * Math.log1p(positions)) / most;
        return <rect key={i} className={i === at ? "here" : ""} x={i * wide} y={HEIGHT - high} width={Math.max(1, wide - 1)} height={high} />;
      })}
      {ends.map(([x, anchor, edge]) => (
        <text key={anchor} x={x} y={HEIGHT + FOOT - 3} textAnchor={anchor}>
          {edge === undefined ? "" : `${anchor === "start" ? "<" : ">"} ${decimal(edge, 2)}`}
        </text>
      ))}
    </svg>
  );
}

function Calibration({ found }: { found: Found }) {
  return (
    <table>
      <caption>
        What the model says next there: the probability of “{token(found.token)}”, the token it is most congruent with{found.base === null ? "" : `; ${percent(found.base)} over all positions`}
      </caption>
      <thead>
        <tr>
          {["activation", "positions", "read again", "probability"].map((name) => (
            <th key={name} scope="col">
              {name}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {found.calibration.map((bin) => (
          <tr key={bin.low}>
            <th scope="row">
              {decimal(bin.low, 2)} to {decimal(bin.high, 2)}
            </th>
            <td>{count(bin.corpus)}</td>
            <td>{count(bin.places)}</td>
            <td>{percent(bin.probability)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
