// What the circuit does, before any detail: three measured probabilities, then the sentences of the explanation. Pointing
// at a sentence shows its nodes on the map.
import { Fetching } from "./Fetching";
import { inWords } from "./names";
import { Command } from "./Selection";
import { fetchStory, type Run, type Sentence, type Verification } from "./server";
import { namesOf } from "./Proof";
import { Term } from "./Term";
import { type Fetched, useFetched } from "./use";
import { show } from "./view";
import { percent, plural, token } from "./words";

interface Props {
  run: Run;
  verifications: Fetched<Verification[]>;
  /** Called with the nodes of the sentence that is pointed at. */
  point: (nodes: string[]) => void;
}

const NODE = /\b(a\d+\.h\d+|m\d+(?:\.n\d+)?)\b|MLP of layer (\d+)/g;

/** The nodes that a sentence names, as they are drawn. */
const nodesOf = (text: string): string[] => [...new Set([...text.matchAll(NODE)].map(([, node, layer]) => (node ?? `m${layer}`).replace(/\.n.*/, "")))];

export function Story({ run, verifications, point }: Props) {
  const story = useFetched(`${run.id}/${run.created}/story`, () => fetchStory(run.id));
  const absent = (
    <p className="note">
      What its parts do was not explained yet. {!run.example && <Command text={`wheatstone explain ${run.path}`} />}
    </p>
  );
  return (
    <div className="story">
      <Fetching of={verifications} what="the verification">
        {(all) => <Probabilities run={run} all={all} />}
      </Fetching>
      <Fetching of={story} what="the explanation">
        {(sentences) => (sentences.length ? <Sentences all={sentences} point={point} /> : absent)}
      </Fetching>
    </div>
  );
}

const CONDITIONS = [
  ["model", "whole model"],
  ["circuit", "circuit alone"],
  ["complement", "without the circuit"],
] as const;

/** How likely the answer is in the model, in the circuit alone and without it; on test prompts where there are some. */
function Probabilities({ run, all }: { run: Run; all: Verification[] }) {
  const test = all.findIndex(({ split }) => split === "test");
  const shown = all[Math.max(0, test)];
  if (!shown?.prompts.length) return null;
  const answer = shown.prompts.length === 1 ? `of “${token(run.prompts[0]?.answers[0] ?? "")}”` : "of the answer";
  return (
    <>
      <dl className="big">
        {CONDITIONS.map(([condition, words]) => (
          <div key={condition}>
            <dt>
              <Term>{words}</Term>
            </dt>
            <dd>
              <b>{percent(shown.prompts.reduce((sum, prompt) => sum + prompt[condition].probability, 0) / shown.prompts.length)}</b>
            </dd>
          </div>
        ))}
      </dl>
      <p className="note">
        Probability {answer}
        {shown.prompts.length > 1 ? `, mean over ${plural(shown.prompts.length, "prompt")}` : ""}: {namesOf(all)[all.indexOf(shown)]}.
      </p>
    </>
  );
}

function Sentences({ all, point }: { all: Sentence[]; point: (nodes: string[]) => void }) {
  return (
    <ul aria-label="What the explanation says">
      {all.map(({ text, lead }) => {
        const nodes = nodesOf(text);
        return (
          <li key={text} className={lead ? "lead" : ""}>
            {nodes.length ? (
              <button
                title={nodes.map((node) => `${node}: ${inWords(node)}`).join("; ")}
                onMouseEnter={() => point(nodes)}
                onMouseLeave={() => point([])}
                onFocus={() => point(nodes)}
                onBlur={() => point([])}
                onClick={() => show({ sel: nodes[0]! })}
              >
                {text}
              </button>
            ) : (
              <p>{text}</p>
            )}
          </li>
        );
      })}
    </ul>
  );
}
