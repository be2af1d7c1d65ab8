// What the keys do, and how to read the map: one page, opened by `?`.
import { useEffect, useRef } from "react";

const KEYS: [string, string][] = [
  ["/", "search the connections"],
  ["p", "pin or unpin what is locked"],
  ["esc", "unlock; close this"],
  ["← →", "on the map: from node to node"],
  ["1 … 5", "circuit, layers, proof, run, change"],
  ["n", "new circuit, and the jobs"],
  ["?", "this page"],
];

export function Help({ close, tour }: { close: () => void; tour: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog ref={dialog} onClose={close} aria-labelledby="help-title">
      <h2 id="help-title">Reading the map</h2>
      <p>
        Read upwards: the prompt comes in below, the next token comes out above. Round: attention heads. Square: MLPs. A line carries what one writes into what another reads; q, k and v are a head's query, key and value inputs. Blue supports the answer, orange dashes
        hinder it; wider is more.
      </p>
      <p>
        <b>Found circuit</b>: the few edges that the search kept, which alone give the answer; an edge's exact effect is what running the circuit without it costs. <b>Ranking</b>: the strongest edges by an estimate; its faithfulness is shown where it was measured, never guessed between.
      </p>
      <h2>Keys</h2>
      <dl>
        {KEYS.map(([key, does]) => (
          <div key={key}>
            <dt>
              <kbd>{key}</kbd>
            </dt>
            <dd>{does}</dd>
          </div>
        ))}
      </dl>
      <form method="dialog">
        <button>Close</button>{" "}
        <button type="button" onClick={() => (dialog.current?.close(), tour())}>
          Take the tour
        </button>
      </form>
    </dialog>
  );
}
