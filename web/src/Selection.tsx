// The locked edge or node: what it is, how much it matters, where its head looks, which words it pushes.
import type { ReactNode } from "react";
import { Fetching } from "./Fetching";
import { type Edge, type Measure, touches, weightOf, weightWords } from "./graph";
import { inWords, parse, plain, titled } from "./names";
import { usePages } from "./Pages";
import { fetchRows, type Row, type Run } from "./server";
import { groupSize, wordsOf } from "./spans";
import { Term } from "./Term";
import { useFetched, valueOf } from "./use";
import { show, type View } from "./view";
import { Why } from "./Why";
import { count, decimal, interval, plural, signed, token } from "./words";

interface Props {
  run: Run;
  /** What it is compared with. */
  other: Run | undefined;
  edges: Edge[];
  by: Measure;
  view: View;
  /** What is shown where nothing is locked or pinned. */
  children: ReactNode;
}

export function Selection({ run, other, edges, by, view, children }: Props) {
  const edge = edges.find((known) => known.key === view.sel);
  if (!view.sel)
    return (
      <section className="selection empty" aria-label="Selection">
        {!view.pins.length && children}
        <p className="note">Point at the map or the list to look, click to lock. A locked part is explained here.</p>
        <Pins view={view} />
      </section>
    );
  if (!edge && !view.sel.includes(">") && !belongs(run, view.sel))
    return (
      <section className="selection" aria-label="Selection">
        <p>
          This run's model has no {plain(view.sel)}. <button onClick={() => show({ sel: "" })}>Clear</button>
        </p>
        <Pins view={view} />
      </section>
    );
  const pinned = view.pins.includes(view.sel);
  const heads = edge ? headsOf(edge) : parse(view.sel).kind === "head" ? [parse(view.sel).node] : [];
  const node = edge ? edge.from.node : parse(view.sel).node;
  const side = edge && ({ q: "query", k: "key" } as const)[edge.to.reads as string];
  // A query or key decides where the heads that read it look; of a locked head all senders are of interest.
  const looking = edge ? (side && !edge.in && !edge.parts ? edge.into.filter((name) => parse(name).kind === "head").slice(0, MOST) : []) : heads;
  return (
    <section className="selection" aria-label="Selection">
      <header>
        <h2>{titled(view.sel)}</h2>
        <button aria-pressed={pinned} onClick={() => togglePin(view)} title="Keep it highlighted ( p )">
          {pinned ? "Unpin" : "Pin"}
        </button>
        <button onClick={() => show({ sel: "" })} title="esc">
          Clear
        </button>
      </header>
      {edge ? <EdgeFacts edge={edge} run={run} other={other} by={by} /> : view.sel.includes(">") ? <p className="note">This edge is not in the view; show more edges.</p> : <NodeFacts run={run} edges={edges} by={by} sel={view.sel} />}
      {heads.map((head) => (
        <Attention key={head} run={run} head={head} prompt={view.prompt} />
      ))}
      {looking.map((head) => (
        <Why key={`${head} ${view.prompt}`} run={run} head={head} prompt={Math.min(view.prompt, run.prompts.length - 1)} edge={side && edge ? { sender: edge.from.node, side } : undefined} />
      ))}
      {["head", "mlp"].includes(parse(node).kind) && <Words run={run} node={node} prompt={view.prompt} />}
      <Pins view={view} />
    </section>
  );
}

/** Whether a model has a node of this name; a link may be from a run of another. */
function belongs({ model }: Run, node: string): boolean {
  const { kind, layer, index } = parse(node);
  return !(Number.isFinite(layer) && layer >= model.layers) && !(kind === "head" && index >= model.heads) && !(kind === "group" && index >= model.kv_groups);
}

/** Pins the locked part, or lets it go. */
export const togglePin = (view: View): void => {
  if (!view.sel) return;
  show({ pins: view.pins.includes(view.sel) ? view.pins.filter((pin) => pin !== view.sel) : [...view.pins, view.sel] });
};

function Pins({ view }: { view: View }) {
  if (!view.pins.length) return null;
  return (
    <p className="pins">
      Pinned:{" "}
      {view.pins.map((pin) => (
        <button key={pin} onClick={() => show({ sel: pin })}>
          {titled(pin)}
        </button>
      ))}
      <button className="quiet" onClick={() => show({ pins: [] })}>
        none
      </button>
    </p>
  );
}

/** Heads that are shown of an edge: those of a group. */
const MOST = 4;

/** Heads whose attention an edge is about: the reader of its input, or else the writer. */
const headsOf = (edge: Edge): string[] => {
  const reading = edge.into.filter((name) => parse(name).kind === "head");
  return [...new Set([...(edge.from.kind === "head" ? [edge.from.node] : []), ...reading])].slice(0, MOST);
};

function EdgeFacts({ edge, run, other, by }: { edge: Edge; run: Run; other: Run | undefined; by: Measure }) {
  if (edge.in && other)
    return (["a", "b"] as const).map((side) => {
      const of = side === "a" ? run : other;
      const inside = edge.in![side];
      return (
        <section key={side}>
          <h3>
            In {side.toUpperCase()}, “{of.title}”
          </h3>
          {inside ? <EdgeFacts edge={inside} run={of} other={undefined} by={by} /> : <p className="note">Not among the edges that are shown.</p>}
        </section>
      );
    });
  const words = (name: string) => inWords(name, () => edge.place, groupSize(run));
  if (edge.parts)
    return (
      <>
        <p>
          {plural(edge.parts.length, "edge")} drawn as one; as wide as the sum of {by === "effect" ? "their exact effects, which need not add up" : "their scores"}. What removing all of them together costs was not measured.
        </p>
        <dl>
          {edge.parts.map((part) => (
            <div key={part.key}>
              <dt>
                {part.sender} → {part.receiver}
              </dt>
              <dd>{part.effect === null ? `score ${signed(part.score, 4)}` : `${decimal(part.effect)} (exact)`}</dd>
            </div>
          ))}
        </dl>
      </>
    );
  return (
    <>
      <p>
        What {words(edge.sender)} writes, read by {words(edge.receiver)}.
      </p>
      <dl>
        <dt>
          <Term>exact effect</Term>
        </dt>
        <dd>{edge.effect === null ? (edge.circuit ? "not measured" : "not in the circuit, so not measured") : <><b>{decimal(edge.effect)}</b> {run.effect_words}</>}</dd>
        {edge.unit !== edge.key && (
          <>
            <dt>
              <Term>removed as</Term>
            </dt>
            <dd>{edge.unit}</dd>
          </>
        )}
        <dt>
          <Term>score</Term>
        </dt>
        <dd>
          {signed(edge.score, 4)} {run.unit} (estimate{run.score_sign < 0 ? "; negative supports" : ""}), rank {count(edge.rank)}
        </dd>
      </dl>
    </>
  );
}

/** Edges that are named of a node. */
const NAMED = 3;

function NodeFacts({ run, edges, by, sel }: { run: Run; edges: Edge[]; by: Measure; sel: string }) {
  const table = useTable(run, "attribution_nodes");
  const n = run.tables.find((table) => table.name === "attribution_nodes")?.n;
  const ends = (dir: string) => edges.filter((edge) => touches(edge, sel, dir));
  return (
    <>
      <p>This is {wordsOf(run, sel)}.</p>
      <dl>
        {[
          { dir: "in", words: "reads", far: (edge: Edge) => edge.sender },
          { dir: "out", words: "is read by", far: (edge: Edge) => edge.receiver },
        ].map(({ dir, words, far }) => (
          <div key={dir}>
            <dt>{words}</dt>
            <dd>
              {ends(dir)
                .slice(0, NAMED)
                .map((edge) => (
                  <button key={edge.key} className="quiet link" onClick={() => show({ sel: edge.key })} title={weightWords(run, by)}>
                    {plain(far(edge))} {by === "name" || edge.in ? "" : `${edge.parts ? "Σ " : ""}${signed(weightOf(edge, by), 2)}`}
                  </button>
                ))}
              {ends(dir).length > NAMED ? ` and ${count(ends(dir).length - NAMED)} more` : ends(dir).length ? "" : "nothing in this view"}
            </dd>
          </div>
        ))}
      </dl>
      <Fetching of={table} what="what each node writes">
        {(rows) => {
          const row = rows.find((known) => known.node === parse(sel).node);
          const bounds = row && typeof row.direct_low === "number" ? interval([row.direct_low, row.direct_high as number]) : "";
          return (
            row && (
              <p>
                It writes <b>{signed(row.direct as number, 2)}</b> logits towards the answer itself{bounds ? ` (${bounds})` : ""}, n = {n}.
              </p>
            )
          );
        }}
      </Fetching>
    </>
  );
}

export function useTable(run: Run, name: string) {
  const there = run.tables.some((table) => table.name === name);
  return useFetched<Row[]>(there ? `${run.id}/${run.created}/${name}` : "", () => fetchRows(run.id, name));
}

const between = ({ from, to }: { from: number; to: number }): number[] => Array.from({ length: to - from }, (_, i) => from + i);

function Attention({ run, head, prompt }: { run: Run; head: string; prompt: number }) {
  const looks = useTable(run, "attention");
  const takes = useTable(run, "attention_tokens");
  const absent = (
    <p className="note">
      Attention of {head} is not in this run: a run keeps that of its strongest heads, <code>wheatstone explain</code> that of the strongest writers.
    </p>
  );
  if (looks.state === "absent" && takes.state === "absent") return absent;
  const of = (rows: Row[] | undefined) => rows?.filter((row) => row.head === head && row.prompt === prompt) ?? [];
  const read = [looks, takes].find(({ state }) => state === "failed" || state === "waiting") ?? looks;
  return (
    <Fetching of={read.state === "absent" ? takes : read} what={`the attention of ${head}`}>
      {() => {
        const [mine, taken] = [of(valueOf(looks)), of(valueOf(takes))];
        return mine.length || taken.length ? <Pattern run={run} head={head} prompt={prompt} mine={mine} takes={taken} /> : absent;
      }}
    </Fetching>
  );
}

function Pattern({ run, head, prompt, mine, takes }: { run: Run; head: string; prompt: number; mine: Row[]; takes: Row[] }) {
  const tokens = run.prompts[prompt]?.tokens ?? [];
  const [queries, keys] = [usePages(tokens.length, "Rows"), usePages(tokens.length, "Columns")];
  const weight = new Map(mine.map((row) => [`${row.query},${row.key}`, row.weight as number]));
  const columns = between(keys);
  return (
    <figure className="attention" data-testid={`attention-${head}`}>
      <figcaption>
        Where {head} looks{takes.length ? "; from the last token, what it takes towards the answer" : ""}
      </figcaption>
      {keys.turn}
      {mine.length > 0 && queries.turn}
      <div className="scroll" tabIndex={0} role="region" aria-label={`Attention of ${head}`}>
        <table>
          <thead>
            <tr>
              <td />
              {columns.map((key) => (
                <th key={key} scope="col">
                  {token(tokens[key]!)}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {mine.length > 0 &&
              between(queries).map((query) => (
                <tr key={query}>
                  <th scope="row">{token(tokens[query]!)}</th>
                  {columns.map((key) => {
                    const value = weight.get(`${query},${key}`);
                    return (
                      <td key={key} style={value === undefined ? {} : { background: `color-mix(in srgb, var(--blue) ${Math.round(45 * value)}%, var(--paper))` }}>
                        {value === undefined ? "" : value >= 0.995 ? "1" : value >= 0.005 ? value.toFixed(2).slice(1) : "0"}
                      </td>
                    );
                  })}
                </tr>
              ))}
            {takes.length > 0 && (
              <tr className="takes">
                <th scope="row">takes (logits)</th>
                {columns.map((key) => (
                  <td key={key}>{signed((takes.find((row) => row.key === key)?.toward as number | undefined) ?? 0, 2)}</td>
                ))}
              </tr>
            )}
          </tbody>
        </table>
      </div>
    </figure>
  );
}

function Words({ run, node, prompt }: { run: Run; node: string; prompt: number }) {
  const table = useTable(run, "vocabulary");
  const absent = (
    <p className="note">
      Which words {node} promotes is not in this run{table.state === "here" ? ": it is read for the ten strongest writers" : ""}.
      {table.state === "absent" && !run.example && <Command text={`wheatstone explain ${run.path} --only vocabulary`} />}
    </p>
  );
  return (
    <Fetching of={table} what={`the words that ${node} promotes`} absent={absent}>
      {(rows) => {
        const mine = rows.filter((row) => row.node === node && row.prompt === prompt);
        return mine.length ? <Promoted mine={mine} /> : absent;
      }}
    </Fetching>
  );
}

function Promoted({ mine }: { mine: Row[] }) {
  return (
    <div className="words">
      {(["promotes", "suppresses"] as const).map((side) => (
        <div key={side}>
          <h3>
            <Term>{side}</Term>
          </h3>
          <ol>
            {mine
              .filter((row) => row.side === side)
              .map((row) => (
                <li key={row.place as number}>
                  <span>{token(row.token as string)}</span>
                  <small>{signed(row.push as number, 2)}</small>
                </li>
              ))}
          </ol>
        </div>
      ))}
    </div>
  );
}

/** A command that makes what is missing, to be copied. */
export function Command({ text }: { text: string }) {
  return <code className="command">{text}</code>;
}

/** Which of several prompts the tables are read for. */
export function PromptChoice({ run, view }: { run: Run; view: View }) {
  if (run.prompts.length < 2) return null;
  return (
    <label className="prompt-choice">
      Prompt{" "}
      <select value={Math.min(view.prompt, run.prompts.length - 1)} onChange={(event) => show({ prompt: Number(event.target.value) })}>
        {run.prompts.map((prompt, i) => (
          <option key={i} value={i}>
            {i + 1}: {prompt.prompt}
          </option>
        ))}
      </select>
    </label>
  );
}


