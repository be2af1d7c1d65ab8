// The answer layer by layer: its rank at the last token, and what every place would say so far.
import { useMemo } from "react";
import { Fetching } from "./Fetching";
import { parse } from "./names";
import { usePages } from "./Pages";
import { Command, PromptChoice, useTable } from "./Selection";
import type { Row, Run } from "./server";
import { show, type View } from "./view";
import { count, percent, plural, token } from "./words";

export function Layers({ run, view }: { run: Run; view: View }) {
  return (
    <div className="layers">
      <PromptChoice run={run} view={view} />
      <RankCurve run={run} view={view} />
      <LensGrid run={run} view={view} />
    </div>
  );
}

const [WIDTH, HEIGHT, LEFT, BOTTOM] = [380, 190, 46, 30];

interface Line {
  run: string;
  kind: string;
  token: string;
  points: { layer: number; rank: number; probability: number }[];
}

function linesOf(rows: Row[], prompt: number): Line[] {
  const lines = new Map<string, Line>();
  for (const row of rows) {
    if (row.prompt !== prompt || row.site !== "last") continue;
    const key = `${row.run} ${row.kind}`;
    const line = lines.get(key) ?? { run: String(row.run), kind: String(row.kind), token: String(row.token), points: [] };
    // Several answers or distractors: the best-placed one.
    const layer = Number(row.layer);
    const had = line.points.find((point) => point.layer === layer);
    if (!had) line.points.push({ layer, rank: Number(row.rank), probability: Number(row.probability) });
    else if (Number(row.rank) < had.rank) Object.assign(had, { rank: Number(row.rank), probability: Number(row.probability) });
    lines.set(key, line);
  }
  return [...lines.values()];
}

function RankCurve({ run, view }: { run: Run; view: View }) {
  return (
    <Fetching of={useTable(run, "lens")} what="the answer's rank by layer" absent={<p className="note">This run does not hold the answer's rank by layer.</p>}>
      {(rows) => <Ranks run={run} view={view} lines={linesOf(rows, view.prompt)} />}
    </Fetching>
  );
}

function Ranks({ run, view, lines }: { run: Run; view: View; lines: Line[] }) {
  const worst = Math.max(10, ...lines.flatMap((line) => line.points.map((point) => point.rank)));
  const layers = run.model.layers;
  const every = 5 * Math.ceil(layers / 50);
  const x = (layer: number) => LEFT + ((WIDTH - LEFT - 8) * layer) / layers;
  const y = (rank: number) => 10 + ((HEIGHT - BOTTOM - 14) * Math.log(rank)) / Math.log(worst);
  const selected = view.sel && !view.sel.includes(">") ? parse(view.sel).layer : NaN;
  const tops = lines.filter((line) => line.run === "model" && line.kind === "answer");
  const end = tops[0]?.points.at(-1);
  return (
    <figure className="rank">
      <figcaption>
        <h2>Rank of the answer after each layer</h2>
        <p className="note">
          At the last token, by the logit lens; 1 is the model's first choice.
          {end && ` In the end: rank ${count(end.rank)}, probability ${percent(end.probability)}.`}
        </p>
      </figcaption>
      <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label={["Rank by layer", ...lines.map((line) => `${line.kind} in the ${line.run}: rank ${line.points[0]?.rank} at first, ${line.points.at(-1)?.rank} in the end`)].join(". ")}>
        {[1, 10, 100, 1000, 10000, 100000].filter((rank) => rank <= worst).map((rank) => (
          <g key={rank}>
            <line x1={LEFT} x2={WIDTH} y1={y(rank)} y2={y(rank)} className="grid" />
            <text x={LEFT - 6} y={y(rank)} textAnchor="end" dominantBaseline="central">
              {count(rank)}
            </text>
          </g>
        ))}
        {Number.isFinite(selected) && selected >= 0 && <line x1={x(selected + 1)} x2={x(selected + 1)} y1={4} y2={HEIGHT - BOTTOM} className="now" />}
        {lines.map((line) => (
          <path key={`${line.run} ${line.kind}`} className={`${line.kind} ${line.run}`} d={line.points.sort((a, b) => a.layer - b.layer).map((point, i) => `${i ? "L" : "M"}${x(point.layer)} ${y(point.rank)}`).join("")} />
        ))}
        {Array.from({ length: Math.floor(layers / every) + 1 }, (_, i) => i * every).map((layer) => (
          <text key={layer} x={x(layer)} y={HEIGHT - 14} textAnchor="middle">
            {layer}
          </text>
        ))}
        <text x={WIDTH} y={HEIGHT - 1} textAnchor="end">
          layers done
        </text>
      </svg>
      <p className="keys">
        <span className="key answer">answer</span> <span className="key distractor">distractor</span> <span className="key model">whole model</span> <span className="key alone">circuit alone</span>
      </p>
    </figure>
  );
}

function LensGrid({ run, view }: { run: Run; view: View }) {
  const missing = run.missing.find((lacking) => lacking.command.endsWith("lens"));
  const absent = (
    <p className="note">
      This run does not hold {missing?.what ?? "what every place would say"}. {missing?.command && <Command text={missing.command} />}
    </p>
  );
  return (
    <Fetching of={useTable(run, "lens_by_position")} what="what every place would say" absent={absent}>
      {(rows) => (missing ? absent : <Places run={run} view={view} rows={rows} />)}
    </Fetching>
  );
}

function Places({ run, view, rows }: { run: Run; view: View; rows: Row[] }) {
  const tokens = run.prompts[view.prompt]?.tokens ?? [];
  const grid = useMemo(() => {
    const found = new Map<string, Row[]>();
    for (const row of rows) {
      const after = String(row.after);
      if (row.prompt !== view.prompt || row.lens !== "plain" || after.startsWith("a")) continue;
      found.set(after, [...(found.get(after) ?? []), row]);
    }
    return [...found].reverse();
  }, [rows, view.prompt]);
  const read = useMemo(() => new Set(rows.map((row) => row.prompt)).size, [rows]);
  const { from, to, turn } = usePages(tokens.length);
  if (!grid.length) return <p className="note">What every place would say was read for the first {plural(read, "prompt")} of {run.prompts.length}; choose one of these.</p>;
  return (
    <figure className="lens">
      <figcaption>
        <h2>What every place would say</h2>
        <p className="note">The likeliest next token after each layer, bluer where it is surer. A click locks the layer's MLP.{read < run.prompts.length && ` Read for the first ${plural(read, "prompt")} of ${run.prompts.length}.`}</p>
      </figcaption>
      {turn}
      <div className="scroll" tabIndex={0} role="region" aria-label="Logit lens">
        <table>
          <thead>
            <tr>
              <td />
              {tokens.slice(from, to).map((text, i) => (
                <th key={i} scope="col">
                  {token(text)}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {grid.map(([after, cells]) => (
              <tr key={after} className={view.sel === after ? "chosen" : ""}>
                <th scope="row">
                  <button onClick={() => show({ sel: after })}>{after}</button>
                </th>
                {cells
                  .filter((cell) => Number(cell.position) >= from && Number(cell.position) < to)
                  .sort((a, b) => Number(a.position) - Number(b.position))
                  .map((cell) => {
                    const top = (cell.tops as Iterable<string>)[Symbol.iterator]().next().value ?? "";
                    const sure = Number(cell.top_probability);
                    return (
                      <td
                        key={String(cell.position)}
                        className={cell.rank === 1 ? "right" : ""}
                        style={{ background: `color-mix(in srgb, var(--blue) ${Math.round(45 * sure)}%, var(--paper))` }}
                        title={`after ${after}: “${[...(cell.tops as Iterable<string>)].join("”, “")}”; ${percent(sure)} for the first; the answer is at rank ${count(Number(cell.rank))}`}
                      >
                        {token(top)}
                      </td>
                    );
                  })}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </figure>
  );
}
