// The list of runs of every verb: searched and sorted. A circuit opens here, any other run as its report beside the app.
import { useEffect, useMemo, useRef, useState } from "react";
import { reportAddress, type RunList, type RunSummary } from "./server";
import { Term } from "./Term";
import { count, decimal } from "./words";

interface Props {
  runs: RunList | undefined;
  /** Whether a run opens in the app. */
  opens: (run: RunSummary) => boolean;
  open: (run: string) => void;
  close: () => void;
}

/** Rows that are added at a time. */
const PAGE = 60;

const folder = (run: RunSummary): string => run.path.split(/[\\/]/).at(-1) ?? "";

interface Column {
  name: string;
  of: (run: RunSummary) => string | number;
  shown?: (run: RunSummary) => string;
}

const COLUMNS: Column[] = [
  { name: "run", of: (run) => run.title },
  { name: "answer", of: (run) => run.answer ?? "" },
  { name: "made by", of: (run) => run.command },
  { name: "method", of: (run) => run.method ?? "" },
  { name: "model", of: (run) => run.model.split(/[\\/]/).at(-1) ?? "" },
  { name: "n", of: (run) => run.n ?? -1, shown: (run) => (run.n ? count(run.n) : "") },
  { name: "edges", of: (run) => run.edges ?? -1, shown: (run) => (run.edges ? count(run.edges) : "") },
  { name: "faithfulness", of: (run) => run.faithfulness ?? -1, shown: (run) => (run.faithfulness == null ? "" : decimal(run.faithfulness)) },
  { name: "held out", of: (run) => run.held_out ?? -1, shown: (run) => (run.held_out == null ? "" : decimal(run.held_out)) },
  { name: "made", of: (run) => run.created, shown: (run) => run.created.slice(0, 10) },
  { name: "folder", of: folder },
];
/** The column that is sorted by at first. */
const MADE = COLUMNS.findIndex(({ name }) => name === "made");
const text = (run: RunSummary, column: Column): string => (column.shown ?? column.of)(run).toString();

/** Titles that no two runs share: one that several have is followed by its folder. */
export function titlesOf(runs: RunSummary[]): Map<string, string> {
  const alike = Map.groupBy(runs, (run) => run.title);
  return new Map(runs.map((run) => [run.id, alike.get(run.title)!.length > 1 ? `${run.title} · ${folder(run)}` : run.title]));
}

export function Runs({ runs, opens, open, close }: Props) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [wanted, want] = useState("");
  const [by, sort] = useState<{ column: number; down: boolean }>({ column: MADE, down: true });
  const [most, setMost] = useState(PAGE); // rows that are there: a browser needs long for a table of thousands
  useEffect(() => dialog.current?.showModal(), []);
  useEffect(() => setMost(PAGE), [wanted, by]);
  const all = useMemo(() => [...(runs?.runs ?? []), ...(runs?.others ?? [])], [runs]);
  const listed = useMemo(() => {
    const words = wanted.toLowerCase().split(/\s+/).filter(Boolean);
    const found = all.filter((run) => {
      const said = COLUMNS.map((column) => text(run, column)).join(" ").toLowerCase();
      return words.every((word) => said.includes(word));
    });
    const { of } = COLUMNS[by.column]!;
    const order = (a: RunSummary, b: RunSummary) => {
      const [x, y] = [of(a), of(b)];
      return typeof x === "number" ? x - Number(y) : x.localeCompare(String(y), "en", { numeric: true });
    };
    return found.sort((a, b) => (by.down ? -order(a, b) : order(a, b)));
  }, [all, wanted, by]);
  return (
    <dialog ref={dialog} className="runs" onClose={close} aria-label="Runs">
      <header>
        <h2>Runs</h2>
        <input type="search" autoFocus placeholder="Filter by any of the columns" aria-label="Filter runs" value={wanted} onChange={(event) => want(event.target.value)} />
        <span className="note" role="status">
          {count(listed.length)} of {count(all.length)}
        </span>
        <button onClick={() => dialog.current?.close()}>Close</button>
      </header>
      <div
        className="scroll"
        tabIndex={0}
        role="region"
        aria-label="List of runs"
        onScroll={({ currentTarget: { scrollTop, clientHeight, scrollHeight } }) => scrollTop + 2 * clientHeight > scrollHeight && most < listed.length && setMost(most + PAGE)}
      >
        <table>
          <thead>
            <tr>
              {COLUMNS.map(({ name }, i) => (
                <th key={name} scope="col" aria-sort={i === by.column ? (by.down ? "descending" : "ascending") : "none"}>
                  <button onClick={() => sort({ column: i, down: i === by.column ? !by.down : false })}>
                    <Term>{name}</Term>
                    {i === by.column && (by.down ? " ↓" : " ↑")}
                  </button>
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {listed.slice(0, most).map((run) => (
              <tr key={run.id}>
                <th scope="row">
                  {run.trouble ? (
                    <>
                      {run.title} <small>{run.trouble}</small>
                    </>
                  ) : opens(run) ? (
                    <button
                      onClick={() => {
                        open(run.id);
                        dialog.current?.close();
                      }}
                    >
                      {run.title}
                    </button>
                  ) : (
                    <a href={reportAddress(run.id)} target="_blank" rel="noopener" title="Its report opens beside the app">
                      {run.title}
                    </a>
                  )}
                  {run.example && <small> example</small>}
                </th>
                {COLUMNS.slice(1).map((column) => (
                  <td key={column.name} className={typeof column.of(run) === "number" ? "number" : ""}>
                    {text(run, column)}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
        {most < listed.length && <button onClick={() => setMost(listed.length)}>Show all {count(listed.length)}</button>}
      </div>
    </dialog>
  );
}
