// How a graph was made, and what its nodes hold alone.
import { Command } from "./Selection";
import { type Graph, reportAddress } from "./server";
import { Term } from "./Term";
import { decimal, percent } from "./words";

export function GraphAbout({ graph }: { graph: Graph }) {
  const facts: [string, string][] = [
    ["prompt", graph.prompt],
    ["target", graph.target.name],
    ["model", graph.model],
    ["made", graph.created.slice(0, 16).replace("T", " ")],
    ["compared with", graph.counterfactuals.join("; ") || "nothing"],
  ];
  return (
    <div className="facts">
      <dl>
        {facts.map(([name, value]) => (
          <div key={name}>
            <dt>
              <Term>{name}</Term>
            </dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      {graph.proofs.length > 0 && (
        <div className="scroll" tabIndex={0} role="region" aria-label="What the nodes hold alone">
          <table>
            <thead>
              <tr>
                {["ablated to", "nodes", "alone they keep", "lost without them", "KL", "first choice"].map((name) => (
                  <th key={name} scope="col">
                    <Term>{name}</Term>
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {graph.proofs.map((proof, i) => (
                <tr key={i}>
                  <th scope="row">{graph.counterfactuals[i] ?? proof.baseline}</th>
                  <td>{proof.nodes}</td>
                  <td>{percent(proof.faithfulness)}</td>
                  <td>{percent(proof.completeness)}</td>
                  <td>{decimal(proof.kl, 2)}</td>
                  <td>{proof.answer}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      {graph.notes.map((note) => (
        <p key={note} className="note">
          {note}
        </p>
      ))}
      <p>
        <a href={reportAddress(graph.id)} target="_blank" rel="noopener">
          Its report
        </a>
      </p>
      {!graph.example && <Command text={`wheatstone export ${graph.path} --format html`} />}
    </div>
  );
}
