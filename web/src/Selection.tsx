// The locked edge or node: what it is, how much it matters, where its head looks, which words it pushes.
import { useMemo } from "react";
import type { Edge } from "./graph";
import { spanWords } from "./layout";
import { inWords, parse, titled } from "./names";
import { usePages } from "./Pages";
import { fetchRows, type Row, type Run } from "./server";
import { useFetched, valueOf } from "./use";
import { show, type View } from "./view";
import { count, decimal, interval, plural, signed, token } from "./words";

interface Props {
  run: Run;
  edges: Edge[];
  view: View;
}

export function Selection({ run, edges, view }: Props) {
  const edge = edges.find((known) => known.key === view.sel);
  if (!view.sel)
    return (
      <section className="selection empty" aria-label="Selection">
        <p>Point at the map or the list to look, click to lock. A locked part is explained here.</p>
        <Pins view={view} />
      </section>
    );
  const pinned = view.pins.includes(view.sel);
  const heads = edge ? headsOf(edge) : parse(view.sel).kind === "head" ? [parse(view.sel).node] : [];
  const node = edge ? edge.from.node : parse(view.sel).node;
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
      {edge ? <EdgeFacts edge={edge} run={run} /> : view.sel.includes(">") ? <p className="note">This edge is not in the view; show more edges.</p> : <NodeFacts run={run} sel={view.sel} />}
      {heads.map((head) => (
        <Attention key={head} run={run} head={head} prompt={view.prompt} />
      ))}
      {["head", "mlp"].includes(parse(node).kind) && <Words run={run} node={node} prompt={view.prompt} />}
      <Pins view={view} />
    </section>
  );
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

/** Heads whose attention an edge is about: the reader of its input, or else the writer. */
const headsOf = (edge: Edge): string[] => {
  const reading = edge.into.filter((name) => parse(name).kind === "head");
  return [...new Set([...(edge.from.kind === "head" ? [edge.from.node] : []), ...reading])].slice(0, 4);
};

function EdgeFacts({ edge, run }: { edge: Edge; run: Run }) {
  const words = (span: string) => spanWords(run, span);
  if (edge.parts)
    return (
      <>
        <p>
          {plural(edge.parts.length, "edge")} drawn as one; as wide as the sum of {edge.effect === null ? "their scores" : "their exact effects, which need not add up"}.
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
        What {inWords(edge.sender, words)} writes, read by {inWords(edge.receiver, words)}.
      </p>
      <dl>
        <dt>exact effect</dt>
        <dd>{edge.effect === null ? (edge.circuit ? "not measured" : "not in the circuit, so not measured") : <><b>{decimal(edge.effect)}</b> {run.effect_words}</>}</dd>
        {edge.unit !== edge.key && (
          <>
            <dt>removed as</dt>
            <dd>{edge.unit}</dd>
          </>
        )}
        <dt>score</dt>
        <dd>
          {signed(edge.score, 4)} {run.unit} (estimate{run.score_sign < 0 ? "; negative supports" : ""}), rank {count(edge.rank)}
        </dd>
      </dl>
    </>
  );
}

function NodeFacts({ run, sel }: { run: Run; sel: string }) {
  const rows = valueOf(useTable(run, "attribution_nodes"));
  const row = rows?.find((known) => known.node === parse(sel).node);
  const bounds = row && typeof row.direct_low === "number" ? interval([row.direct_low, row.direct_high as number]) : "";
  const n = run.tables.find((table) => table.name === "attribution_nodes")?.n;
  return (
    <>
      <p>This is {inWords(sel, (span) => spanWords(run, span))}.</p>
      {row && (
        <dl>
          <dt>writes itself</dt>
          <dd>
            <b>{signed(row.direct as number, 2)}</b> logits towards the answer{bounds ? ` (${bounds})` : ""}, n = {n}
          </dd>
        </dl>
      )}
    </>
  );
}

export function useTable(run: Run, name: string) {
  const there = run.tables.some((table) => table.name === name);
  return useFetched<Row[]>(there ? `${run.id}/${run.created}/${name}` : "", () => fetchRows(run.id, name));
}

const between = ({ from, to }: { from: number; to: number }): number[] => Array.from({ length: to - from }, (_, i) => from + i);

function Attention({ run, head, prompt }: { run: Run; head: string; prompt: number }) {
  const rows = valueOf(useTable(run, "attention"));
  const taken = valueOf(useTable(run, "attention_tokens"));
  const mine = useMemo(() => rows?.filter((row) => row.head === head && row.prompt === prompt) ?? [], [rows, head, prompt]);
  const takes = taken?.filter((row) => row.head === head && row.prompt === prompt) ?? [];
  const tokens = run.prompts[prompt]?.tokens ?? [];
  const [queries, keys] = [usePages(tokens.length, "Rows"), usePages(tokens.length, "Columns")];
  if (!mine.length && !takes.length)
    return (
      <p className="note">
        Attention of {head} is not in this run: a run keeps that of its strongest heads, <code>wheatstone explain</code> that of the strongest writers.
      </p>
    );
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
  const rows = valueOf(useTable(run, "vocabulary"));
  const mine = rows?.filter((row) => row.node === node && row.prompt === prompt) ?? [];
  if (!mine.length)
    return (
      <p className="note">
        Which words {node} promotes is not in this run{run.tables.some((table) => table.name === "vocabulary") ? ": it is read for the ten strongest writers" : ""}.
        {!run.tables.some((table) => table.name === "vocabulary") && !run.example && <Command text={`wheatstone explain ${run.path} --only vocabulary`} />}
      </p>
    );
  return (
    <div className="words">
      {(["promotes", "suppresses"] as const).map((side) => (
        <div key={side}>
          <h3>{side}</h3>
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


