// What two circuits have in common, by which measure they are compared, and which lines of the map are whose.
import { type Comparison, sideOf } from "./compare";
import { type Edge, weightWords } from "./graph";
import { Fetching } from "./Fetching";
import { fetchChance, type Run } from "./server";
import { useFetched } from "./use";
import { count, decimal } from "./words";

interface Props {
  runs: [Run, Run];
  /** Edges of the model that both were chosen from; 0 where they were chosen from different ones. */
  total: number;
  edges: Edge[];
  compared: Comparison;
}

export function Compared({ runs: [ours, theirs], total, edges, compared }: Props) {
  const sizes = { a: 0, b: 0, both: 0 };
  for (const edge of edges) sizes[sideOf(edge)!]++;
  const alike = ours.model.layers === theirs.model.layers && ours.model.heads === theirs.model.heads;
  const [a, b] = [sizes.a + sizes.both, sizes.b + sizes.both];
  const chance = useFetched(total && alike ? `chance ${a} ${b} ${sizes.both} ${total}` : "", () => fetchChance(a, b, sizes.both, total));
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
        overlap |A ∩ B| / |A ∪ B| = <b>{(sizes.both / Math.max(1, edges.length)).toFixed(2)}</b>{" "}
        <Fetching of={chance} what="what chance gives">
          {({ overlap, shared, at_least }) => (
            <span data-testid="chance" title={`Edges drawn at random from all ${count(total)}: ${decimal(shared, 1)} shared are expected. Circuits of one model favour the same strong nodes, so that unrelated ones share more than this.`}>
              (by chance {overlap < 0.005 ? overlap.toPrecision(1) : overlap.toFixed(2)}; as many or more shared: p {at_least < 0.0001 ? "< 0.0001" : `= ${at_least.toPrecision(2)}`})
            </span>
          )}
        </Fetching>
      </span>
      <span className={compared.why ? "warning" : ""}>{compared.why || `Sizes: ${weightWords(ours, compared.by)}.`}</span>
      {!alike && <span className="warning">The two models are not alike: only names are compared.</span>}
    </div>
  );
}
