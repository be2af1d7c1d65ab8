// The size of what is shown: how many edges, what share of all scores, and how faithful that many were measured to be.
import { useMemo } from "react";
import { Fetching } from "./Fetching";
import { type CurvePoint, curveOf, type Edge, type EdgeList, measuredWords, ranked, shareOf } from "./graph";
import { namesOf } from "./Proof";
import type { Row, Run, Verification } from "./server";
import { Term } from "./Term";
import { type Fetched, valueOf } from "./use";
import { show, type View } from "./view";
import { count, decimal, interval, noInterval, percent, plural } from "./words";

interface Props {
  run: Run;
  list: EdgeList;
  edges: Edge[];
  curve: Fetched<Row[]>;
  verifications: Fetched<Verification[]>;
  view: View;
}

const STEPS = 1000;
const [WIDTH, HEIGHT, SIDE] = [1000, 76, 8];

export function Size({ run, list, edges, curve: measured, verifications, view }: Props) {
  const curve = useMemo(() => curveOf(valueOf(measured) ?? []), [measured]);
  const most = ranked(list);
  const ranking = view.mode === "ranking";
  const n = Math.min(view.n, most);
  const toStep = (size: number) => Math.round((STEPS * Math.log(Math.max(1, size))) / Math.log(Math.max(2, most)));
  const toSize = (step: number) => Math.round(Math.exp((step / STEPS) * Math.log(Math.max(2, most))));
  const share = useMemo(() => (ranking ? (list.cumulative[n - 1] ?? 0) / (list.weight || 1) : shareOf(list, edges)), [list, edges, ranking, n]);
  return (
    <section className="size" aria-label="Size">
      <div className="size-numbers">
        <div className="choice" role="group" aria-label="What is shown">
          <button aria-pressed={!ranking} onClick={() => show({ mode: "circuit" })}>
            Found circuit
          </button>
          <button aria-pressed={ranking} onClick={() => show({ mode: "ranking" })}>
            Ranking
          </button>
        </div>
        <p>
          <b>{plural(edges.length, "edge")}</b> of {count(list.total)}
        </p>
        <p title="Sum of |score| of the edges shown, over that of all edges. An estimate; faithfulness is measured.">
          <b>{percent(share)}</b> of all |scores|
        </p>
      </div>
      <div className="size-numbers">
        <p className="faithfulness" role="status" data-testid="faithfulness">
          {ranking ? (
            <Fetching of={measured} what="the measured sizes" absent="faithfulness was measured at no size of the ranking">
              {() => <RankingFaithfulness curve={curve} n={n} />}
            </Fetching>
          ) : (
            <Fetching of={verifications} what="the verification">
              {(all) => <CircuitFaithfulness run={run} verifications={all} />}
            </Fetching>
          )}
        </p>
        <span className="spring" />
        <span className="key ranking">ranking</span>
        <span className="key random">random</span>
        <span className="key star">found circuit</span>
      </div>
      {!ranking && <Better run={run} curve={curve} />}
      <Curve curve={curve} most={most} now={ranking ? n : edges.length} circuit={run.evaluation} x={(size) => SIDE + ((WIDTH - 2 * SIDE) * toStep(size)) / STEPS} />
      <input
        type="range"
        min={0}
        max={STEPS}
        value={toStep(ranking ? n : edges.length)}
        aria-label="Edges of the ranking to show"
        aria-valuetext={`${plural(ranking ? n : edges.length, "edge")}`}
        onChange={(event) => show({ mode: "ranking", n: toSize(Number(event.target.value)) }, "replace")}
      />
    </section>
  );
}

/** On prompts that the search has not seen, where it was measured there; then on its own. */
function CircuitFaithfulness({ run, verifications }: { run: Run; verifications: Verification[] }) {
  const names = namesOf(verifications);
  const test = verifications.findIndex(({ split }) => split === "test");
  const [own, other] = [verifications[0], verifications[test < 0 ? 1 : test]];
  const value = own?.faithfulness ?? run.evaluation?.faithfulness;
  const words = ({ n, ci95 }: Verification) => (interval(ci95.faithfulness) ? `n = ${n}, 95% interval ${interval(ci95.faithfulness)}` : noInterval(n));
  return (
    <>
      <Term>faithfulness</Term>{" "}
      {other && (
        <>
          <b>{decimal(other.faithfulness)}</b> on {names[verifications.indexOf(other)]} ({words(other)});{" "}
        </>
      )}
      {value === undefined ? "not measured" : other ? decimal(value) : <b>{decimal(value)}</b>}
      {value !== undefined && (own || run.evaluation) && ` on its own prompts (${own ? words(own) : noInterval(run.prompts.length)})`}
      {!other && "; not measured on others"}
    </>
  );
}

/** What two values must differ by to differ in three decimals. */
const SHOWN = 0.001;

/** Says where fewer edges of the ranking alone do better than the circuit that was found. */
function Better({ run, curve }: { run: Run; curve: CurvePoint[] }) {
  const circuit = run.evaluation;
  if (!circuit) return null;
  const off = (point: { faithfulness: number }) => Math.abs(1 - point.faithfulness); // a circuit above 1 overshoots
  const better = curve.filter((point) => point.kind === "ranking" && point.size <= circuit.edges && off(point) < off(circuit) - SHOWN);
  const best = better.sort((a, b) => off(a) - off(b))[0];
  if (!best) return null;
  return (
    <p className="warning" role="note">
      The ranking does better: its {plural(best.size, "strongest edge")} alone reach {decimal(best.faithfulness)} on the same prompts, the {plural(circuit.edges, "edge")} of this circuit {decimal(circuit.faithfulness)}.
    </p>
  );
}

function RankingFaithfulness({ curve, n }: { curve: CurvePoint[]; n: number }) {
  return measuredWords(curve, n).map((part, i) => (i % 2 ? <b key={i}>{part}</b> : part));
}

interface CurveProps {
  curve: CurvePoint[];
  most: number;
  now: number;
  circuit: Run["evaluation"];
  x: (size: number) => number;
}

/** Faithfulness by size over the slider, on the slider's own axis. */
function Curve({ curve, most, now, circuit, x }: CurveProps) {
  const y = (faithfulness: number) => 6 + (HEIGHT - 16) * (1 - Math.min(1.1, Math.max(-0.1, faithfulness)) / 1.1);
  const of = (kind: string) => curve.filter((point) => point.kind === kind && point.size <= most);
  const path = (points: CurvePoint[]) => points.map((point, i) => `${i ? "L" : "M"}${x(point.size)} ${y(point.faithfulness)}`).join("");
  const ranking = of("ranking");
  return (
    <figure className="curve">
      <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" role="img" aria-label={`Faithfulness by size, measured at ${ranking.length} sizes of the ranking; random circuits for comparison.`}>
        {[0, 0.5, 1].map((level) => (
          <line key={level} x1={0} x2={WIDTH} y1={y(level)} y2={y(level)} className="grid" />
        ))}
        <path d={path(of("random"))} className="random" />
        <path d={path(ranking)} className="ranking" />
        <line x1={x(now)} x2={x(now)} y1={0} y2={HEIGHT} className="now" />
      </svg>
      <div className="points" aria-hidden="true">
        {ranking.map((point) => (
          <i key={point.size} style={{ left: `${x(point.size) / 10}%`, top: `${(100 * y(point.faithfulness)) / HEIGHT}%` }} />
        ))}
        {circuit && circuit.edges <= most && (
          <i className="star" style={{ left: `${x(circuit.edges) / 10}%`, top: `${(100 * y(circuit.faithfulness)) / HEIGHT}%` }} title="the found circuit" />
        )}
        {[0, 0.5, 1].map((level) => (
          <b key={level} style={{ top: `${(100 * y(level)) / HEIGHT}%` }}>
            {level}
          </b>
        ))}
        {[1, 10, 100, 1000, 10000].filter((size) => size <= most).map((size) => (
          <span key={size} style={{ left: `${x(size) / 10}%` }}>
            {count(size)}
          </span>
        ))}
      </div>
    </figure>
  );
}
