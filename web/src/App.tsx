// One screen: the map, its size below, what is locked and all that belongs to the run beside it.
import { type ReactNode, useCallback, useDeferredValue, useEffect, useMemo, useRef, useState, useSyncExternalStore } from "react";
import { flushSync } from "react-dom";
import { Compared } from "./Compared";
import { Connections } from "./Connections";
import { Work } from "./Discover";
import { compare, comparison } from "./compare";
import { exportJson, exportNeuronpedia, exportPage, exportPng, exportSvg, type Shown } from "./exporting";
import { Boundary } from "./Fetching";
import { type Edge, type EdgeList, edgeList, measureOf, shownEdges, touches } from "./graph";
import { GraphPlace } from "./GraphPlace";
import { Help } from "./Help";
import { Import } from "./Import";
import { Intervene } from "./Intervene";
import { jobsInWords, Said, useAsking } from "./Jobs";
import { useJobs } from "./jobs";
import { Layers } from "./Layers";
import { useLabels } from "./labels";
import { CircuitMap } from "./Map";
import { Warnings } from "./ModelAnswers";
import { Measure } from "./Measure";
import { Naming, Trouble } from "./Naming";
import { isKey } from "./names";
import { Proof } from "./Proof";
import { RunFacts } from "./RunFacts";
import { Runs, titlesOf } from "./Runs";
import type { Scene } from "./scene";
import { PromptChoice, Selection, togglePin, useTable } from "./Selection";
import { type ApiError, fetchContents, fetchEdges, fetchGraph, fetchRun, fetchRuns, fetchVerifications, type Run, type RunList, type Verification } from "./server";
import { Shared, useShared } from "./Shared";
import { Size } from "./Size";
import { Story } from "./Story";
import { gathered } from "./supernodes";
import { Invitation, Tour } from "./Tour";
import { type Fetched, forget, useFetched, valueOf } from "./use";
import { FRESH, show, useView, type View } from "./view";
import { Views } from "./Views";

type Loaded = { run: Run; list: EdgeList };

const load = async (id: string): Promise<Loaded> => {
  const [run, table] = await Promise.all([fetchRun(id), fetchEdges(id)]);
  return { run, list: edgeList(table.columns, table.rows, table.about, run) };
};

/** A run that is open: how it is shown, and what it is for a new job. */
interface Open {
  place: (shown: { view: View; theme: string; other: Fetched<Loaded> }) => ReactNode;
  run?: Run;
}

/** How runs are opened, by the command that made them; those of other commands open as their report. */
export const OPENERS: Record<string, (id: string) => Promise<Open>> = {
  discover: (id) => circuitOpener(id),
  import: (id) => circuitOpener(id),
  graph: async (id) => {
    const graph = await fetchGraph(id);
    return { place: ({ view, theme }) => <GraphPlace graph={graph} view={view} theme={theme} /> };
  },
};

const circuitOpener = async (id: string): Promise<Open> => {
  const loaded = await load(id);
  return { run: loaded.run, place: ({ view, theme, other }) => <Workplace loaded={loaded} other={other} view={onCircuit(view)} theme={theme} /> };
};

/** What of a view belongs to a circuit: names that are a graph's alone are left out. */
const onCircuit = (view: View): View => ({ ...view, sel: isKey(view.sel) ? view.sel : "", pins: view.pins.filter(isKey), tab: TABS.some(([tab]) => tab === view.tab) ? view.tab : "circuit" });

const open = async (id: string): Promise<Open> => {
  const { command } = await fetchContents(id);
  return (Object.hasOwn(OPENERS, command) ? OPENERS[command]! : circuitOpener)(id);
};

const TABS: [View["tab"], string][] = [
  ["circuit", "Circuit"],
  ["layers", "Layers"],
  ["proof", "Proof"],
  ["run", "Run"],
  ["change", "Change"],
];

export function App() {
  const view = useView();
  const [again, setAgain] = useState(0);
  const [help, setHelp] = useState(false);
  const [working, setWorking] = useState(false);
  const [listing, setListing] = useState(false);
  const [importing, setImporting] = useState(false);
  const { jobs, ended } = useJobs();
  const [tour, setTour] = useState(false);
  const [theme, setTheme] = useTheme();
  const listed = useFetched(`runs ${again} ${ended}`, fetchRuns);
  const before = useRef<RunList>(undefined); // a job's end must not take away what is looked at
  const runs = valueOf(listed) ?? before.current;
  const home = useRef("");
  const [passed, setPassed] = useState<Record<string, string>>({}); // runs that cannot be opened first, and why
  home.current ||= runs?.runs.find((run) => !run.trouble && !(run.id in passed))?.id ?? "";
  const first = home.current;
  useEffect(() => void (before.current = runs), [runs]);
  const id = view.run || first;
  const loaded = useFetched(id && `open ${id} ${again}`, () => open(id));
  const other = useFetched(view.vs && `${view.vs} ${again}`, () => load(view.vs));
  const broken = !view.run && loaded.state === "failed" && loaded.error.status ? loaded.error.said : ""; // 0: no run's fault
  useEffect(() => {
    if (!broken) return;
    home.current = "";
    setPassed({ ...passed, [first]: `${runs?.runs.find((run) => run.id === first)?.title} cannot be read, so an older run is shown. ${broken}` });
  }, [broken, first]);
  const reload = () => {
    forget();
    setPassed({});
    setAgain(again + 1);
  };
  useKeys(view, () => setHelp(true), () => setWorking(true));
  const error = listed.state === "failed" ? listed.error : loaded.state === "failed" ? loaded.error : null;
  return (
    <>
      <header className="top">
        <h1>
          <img src="./icon.svg" alt="" width="20" height="20" /> Wheatstone
        </h1>
        <RunChoice label="Run" value={id} runs={runs} none="" choose={(run) => show({ run, ...FRESH })} />
        <RunChoice label="Compare with" value={view.vs} runs={runs} none="nothing" choose={(vs) => show({ vs })} disabled={loaded.state === "here" && !loaded.value.run} />
        <button onClick={() => setListing(true)} title="All runs, of every command">
          All runs
        </button>
        <button onClick={() => setImporting(true)} title="A circuit or an attribution graph of another tool; it can also be dropped on the page">
          Import
        </button>
        <span className="spring" />
        <button className="main" onClick={() => setWorking(true)} title="New circuit, and the jobs ( n )">
          New
        </button>
        {jobsInWords(jobs) && (
          <button className="jobs-now" onClick={() => setWorking(true)} data-testid="jobs-now">
            {jobsInWords(jobs)}
          </button>
        )}
        <button onClick={reload} title="Read the list of runs again">
          Reload
        </button>
        <button onClick={() => setTheme(theme === "dark" ? "light" : "dark")}>{theme === "dark" ? "Light" : "Dark"}</button>
        <button onClick={() => setHelp(true)} aria-label="Help" title="Help ( ? )">
          ?
        </button>
      </header>
      <Invitation start={() => setTour(true)} />
      {error && <Failed error={error} reload={reload} />}
      {other.state === "failed" && <Failed error={other.error} reload={reload} />}
      {[...(runs?.problems ?? []), ...(view.run ? [] : Object.values(passed))].map((problem) => (
        <p key={problem} className="trouble" role="alert">
          {problem}
        </p>
      ))}
      {loaded.state === "here" ? (
        <Boundary key={id} what="This view" leave={() => show({ ...FRESH, vs: "", mode: "circuit" })}>
          {loaded.value.place({ view, theme, other })}
        </Boundary>
      ) : (
        <main className="waiting">
          {[listed.state, loaded.state].includes("waiting") && !error && <p role="status">Reading the run …</p>}
          {listed.state === "here" && !id && <p>No run is listed yet. Make one with “New”, or with `wheatstone discover`.</p>}
        </main>
      )}
      {help && <Help close={() => setHelp(false)} tour={() => setTour(true)} />}
      {listing && <Runs runs={runs} opens={(run) => Object.hasOwn(OPENERS, run.command)} open={(run) => show({ run, ...FRESH })} close={() => setListing(false)} />}
      {working && (
        <Work
          run={valueOf(loaded)?.run}
          open={(run, at) => {
            reload();
            show({ run, ...FRESH, ...at });
          }}
          close={() => setWorking(false)}
        />
      )}
      <Import asked={importing} sent={() => setWorking(true)} close={() => setImporting(false)} />
      {tour && <Tour end={() => setTour(false)} />}
    </>
  );
}

function Workplace({ loaded: { run, list }, other: second, view, theme }: { loaded: Loaded; other: Fetched<Loaded>; view: View; theme: string }) {
  const other = valueOf(second);
  const unready = second.state === "waiting"; // an export now would lack the comparison
  const [pointed, point] = useState<string[]>([]);
  const scene = useRef<() => Scene>(null);
  const onScene = useCallback((drawn: () => Scene) => void (scene.current = drawn), []);
  const mine = useMemo(() => shownEdges(list, view.mode, view.n), [list, view.mode, view.n]);
  const compared = useMemo(() => other && comparison({ run, list }, other, view.mode, view.n), [run, list, other, view.mode, view.n]);
  const by = compared?.by ?? measureOf(mine, view.mode);
  const edges = useMemo(() => (compared ? compare(compared.a, compared.b, by) : mine), [compared, mine, by]);
  const used = useMemo(() => new Set(list.edges.filter((edge) => edge.circuit).map((edge) => edge.from.span)), [list]);
  const notes = useShared(useLabels(run), view);
  const { supernodes } = notes.labels;
  const drawn = useMemo(() => {
    const together = (side: Edge[]) => gathered(side, supernodes, by, edges);
    // A supernode's merged edge is in a run where any of its edges is, and has that run's numbers.
    return compared && supernodes.length ? compare(together(compared.a), together(compared.b), by) : together(edges);
  }, [compared, edges, supernodes, by]);
  const later = useDeferredValue(drawn); // the list may follow a drag, the map must not wait for it
  const curve = useTable(run, "curve");
  const { jobs } = useJobs();
  const added = jobs.filter((job) => job.request.verb === "verify" && job.request.run === run.id && job.last.state === "done").length;
  const verified = useFetched(`${run.id}/${run.created}/verifications ${added}`, () => fetchVerifications(run.id));
  const known = useRef<{ run: string; all: Verification[] }>(undefined); // shown until the new ones are here
  if (verified.state === "here") known.current = { run: run.id, all: verified.value };
  const latest: Fetched<Verification[]> = known.current?.run === run.id ? { state: "here", value: known.current.all } : verified;
  const verifications = valueOf(latest);
  useEffect(() => {
    document.title = `${run.title} · Wheatstone studio`;
  }, [run]);
  const shown = (): Shown => ({ run, other: other?.run, edges, own: mine, by, total: list.total, view, labels: notes.labels, scene: scene.current!(), probability: verifications?.[0]?.prompts[0]?.model.probability ?? NaN });
  // What a sentence names is lit as what is pinned is; a sentence on nothing that is drawn changes nothing.
  const seen = useMemo(() => {
    const lit = pointed.filter((node) => drawn.some((edge) => touches(edge, node, "both")));
    return lit.length ? { ...view, pins: [...view.pins, ...lit] } : view;
  }, [view, pointed, drawn]);
  const exported = useAsking();
  const save = (file: (shown: Shown) => unknown) => void exported.ask(async () => file(shown()));
  return (
    <main className="workplace">
      <div className="stage">
        <h2 title={run.prompts[0]?.prompt}>{run.title}</h2>
        <div className="stage-head">
          <div className="choice" role="group" aria-label="Across">
            <button aria-pressed={view.map === "layers" || !run.spans.length} onClick={() => show({ map: "layers" })}>
              Heads and MLPs
            </button>
            <button aria-pressed={view.map === "tokens" && run.spans.length > 0} disabled={!run.spans.length} title={run.spans.length ? "" : "This run does not distinguish positions: discover with --positions each or spans"} onClick={() => show({ map: "tokens" })}>
              Tokens
            </button>
          </div>
          <span className="spring" />
          <Views notes={notes} view={view} />
          <Shared notes={notes} view={view} />
          <div className="choice" role="group" aria-label="Export this view">
            <button disabled={unready} onClick={() => save(exportSvg)}>
              SVG
            </button>
            <button disabled={unready} onClick={() => save(exportPng)}>
              PNG
            </button>
            <button disabled={unready} onClick={() => save(exportJson)}>
              JSON
            </button>
            <button disabled={unready || !run.prompts.length || (!verifications && verified.state === "waiting")} onClick={() => save(exportNeuronpedia)} title={`A graph in Neuronpedia's and circuit-tracer's schema${other ? ", which knows one circuit only: that of A" : ""}`}>
              Neuronpedia
            </button>
            <button disabled={unready || exported.busy} onClick={() => save(exportPage)} title="One page with the map, the list and the numbers, that works offline">
              Page
            </button>
          </div>
        </div>
        <Warnings answers={run.model_answers} />
        {compared && other && <Compared runs={[run, other.run]} total={list.total === other.list.total && run.spans.length === other.run.spans.length ? list.total : 0} edges={edges} compared={compared} />}
        <Trouble notes={notes} />
        <Said error={exported.error} />
        <CircuitMap run={run} edges={drawn} total={list.total} used={used} view={seen} by={by} labels={notes.labels} light={theme} onScene={onScene} />
        <Size run={run} list={list} edges={mine} curve={curve} verifications={latest} view={view} />
      </div>
      <aside aria-label="About the circuit">
        <nav className="tabs" role="tablist" aria-label="Views">
          {TABS.map(([tab, words]) => (
            <button key={tab} role="tab" id={`tab-${tab}`} aria-selected={view.tab === tab} aria-controls="panel" onClick={() => show({ tab })}>
              {words}
            </button>
          ))}
        </nav>
        <div id="panel" role="tabpanel" aria-labelledby={`tab-${view.tab}`} className={`panel of-${view.tab}`}>
          <Boundary key={view.tab} what="This part" leave={() => show(FRESH)}>
            {view.tab === "circuit" && (
              <>
                <div className="upper">
                  {view.sel && <PromptChoice run={run} view={view} />}
                  <Selection run={run} other={other?.run} edges={drawn} by={by} view={view}>
                    <Story run={run} verifications={latest} point={point} />
                  </Selection>
                  <Measure run={run} labels={notes.labels} view={view} />
                  <Naming run={run} notes={notes} view={view} />
                </div>
                <Connections run={run} edges={later} by={by} labels={notes.labels} view={view} />
              </>
            )}
            {view.tab === "layers" && <Layers run={run} view={view} />}
            {view.tab === "proof" && <Proof run={run} verifications={latest} view={view} />}
            {view.tab === "run" && <RunFacts run={run} />}
            {view.tab === "change" && <Intervene run={run} labels={notes.labels} view={view} />}
          </Boundary>
        </div>
      </aside>
    </main>
  );
}

interface RunChoiceProps {
  label: string;
  value: string;
  runs: RunList | undefined;
  none: string;
  choose: (id: string) => void;
  disabled?: boolean;
}

function RunChoice({ label, value, runs, none, choose, disabled = false }: RunChoiceProps) {
  const groups: [string, boolean][] = [
    ["Your runs", false],
    ["Examples", true],
  ];
  const titles = useMemo(() => titlesOf(runs?.runs ?? []), [runs]);
  return (
    <label className="run-choice">
      <span>{label}</span>
      <select value={value} disabled={disabled} onChange={(event) => choose(event.target.value)}>
        {none && <option value="">{none}</option>}
        {!none && !runs?.runs.some((run) => run.id === value) && <option value={value}>{runs ? (runs.others.find((run) => run.id === value)?.title ?? "a run that is not listed") : "Reading the list …"}</option>}
        {groups.map(([name, example]) => {
          const members = runs?.runs.filter((run) => run.example === example) ?? [];
          return members.length ? (
            <optgroup key={name} label={name}>
              {members.map((run) => (
                <option key={run.id} value={run.id} disabled={!!run.trouble}>
                  {titles.get(run.id)}
                  {run.trouble ? ` (${run.trouble.slice(0, 40)})` : run.edges ? ` · ${run.edges} edges` : ""}
                </option>
              ))}
            </optgroup>
          ) : null;
        })}
      </select>
    </label>
  );
}

function Failed({ error, reload }: { error: ApiError; reload: () => void }) {
  return (
    <div className="trouble" role="alert">
      <p>
        {error.said} {error.advice && <b>{error.advice[0]!.toUpperCase() + error.advice.slice(1).replace(/\.$/, "")}.</b>}
      </p>
      <button onClick={reload}>Try again</button>
    </div>
  );
}

function useKeys(view: View, help: () => void, work: () => void): void {
  useEffect(() => {
    const pressed = (event: KeyboardEvent) => {
      const typing = event.target instanceof HTMLInputElement && ["search", "text", "number"].includes(event.target.type);
      if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
      if (event.key === "Escape") {
        if (typing) (event.target as HTMLElement).blur();
        else if (view.sel) show({ sel: "" });
        return;
      }
      if (typing) return;
      const tab = TABS[Number(event.key) - 1]?.[0];
      if (event.key === "/") {
        event.preventDefault();
        flushSync(() => show({ tab: "circuit" })); // the field is there before the next key comes
        document.getElementById("search")?.focus();
      } else if (event.key === "p") togglePin(view);
      else if (event.key === "?") help();
      else if (event.key === "n") work();
      else if (tab) show({ tab });
    };
    addEventListener("keydown", pressed);
    return () => removeEventListener("keydown", pressed);
  }, [view, help, work]);
}

const DARK = matchMedia("(prefers-color-scheme: dark)");

function onLight(changed: () => void): () => void {
  DARK.addEventListener("change", changed);
  return () => DARK.removeEventListener("change", changed);
}

/** The theme that was chosen here; until one is, the system's, as it changes. */
function useTheme(): [string, (theme: string) => void] {
  const [chosen, choose] = useState(() => localStorage.getItem("theme"));
  const system = useSyncExternalStore(onLight, () => (DARK.matches ? "dark" : "light"));
  const theme = chosen ?? system;
  document.documentElement.dataset.theme = theme;
  const set = (theme: string) => {
    localStorage.setItem("theme", theme);
    choose(theme);
  };
  return [theme, set];
}
