// What two circuits have in common, by which measure they are compared, and which lines of the map are whose.
import { type Comparison, sideOf } from "./compare";
import { type Edge, weightWords } from "./graph";
import type { Run } from "./server";
import { count } from "./words";

interface Props {
  runs: [Run, Run];
  edges: Edge[];
  compared: Comparison;
}

export function Compared({ runs: [ours, theirs], edges, compared }: Props) {
  const sizes = { a: 0, b: 0, both: 0 };
  for (const edge of edges) sizes[sideOf(edge)!]++;
  const alike = ours.model.layers === theirs.model.layers && ours.model.heads === theirs.model.heads;
  return (
    <div className="compared" role="status">
      <span className="key only-a">
        only A, “{ours.title}” <b>{count(sizes.a)}</b>
      </span>
      <span className="key both">
        both <b>{count(sizes.both)}</b>
      </span>
      <span className="key only-b">
        only B, “{theirs.title}” <b>{count(sizes.b)}</b>
      </span>
      <span>
        overlap |A ∩ B| / |A ∪ B| = <b>{(sizes.both / Math.max(1, edges.length)).toFixed(2)}</b>
      </span>
      <span className={compared.why ? "warning" : ""}>{compared.why || `Sizes: ${weightWords(ours, compared.by)}.`}</span>
      {!alike && <span className="warning">The two models are not alike: only names are compared.</span>}
    </div>
  );
}
