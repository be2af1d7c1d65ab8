// A new circuit: the prompt pair with its tokens as it is typed, what is wrong with it, and the options.
import { useEffect, useId, useRef, useState } from "react";
import { JobList, JobState, type Opens, Said, saidOf, useAsking } from "./Jobs";
import { type Draft, draftTokens, type DraftTokens, isActive, type Job, type JobRequest, type Pair, submit, useJobs } from "./jobs";
import { ModelAnswers } from "./ModelAnswers";
import { fetchTasks, type Run } from "./server";
import { type Fetched, useFetched, valueOf } from "./use";
import { decimal, plural, timeLeft, token } from "./words";

const EXAMPLE = { prompt: "The official language of France is", counterfactual: "The official language of Japan is", answer: " French", distractor: " Japanese" };
const EMPTY: Draft = { model: "smollm2-135m", prompt: "", counterfactual: "", answer: "", distractor: "" };
type Discover = Extract<JobRequest, { verb: "discover" }>;
type Method = NonNullable<Discover["method"]>;
const METHODS: [Method, string][] = [
  ["", "learned for a task that has enough prompts, else verified"],
  ["verified", "verified: each edge proved"],
  ["re-ranked", "re-ranked: quicker, no such proof"],
  ["eap-ig", "eap-ig: the ranking alone"],
  ["eap", "eap: the quickest"],
];
/** The fields in the order they are filled in, with what goes below each. */
const FIELDS: [keyof typeof EXAMPLE, string, string][] = [
  ["prompt", "Prompt", "what the model goes on from"],
  ["counterfactual", "Counterfactual", "the same but for what the answer depends on"],
  ["answer", "Answer", "with its leading space, where the writing has one"],
  ["distractor", "Distractor", "the counterfactual's answer; may be empty"],
];

/** What else a discovery is asked for: a name of the request, its words, and its values with theirs. */
const OPTIONS: ["metric" | "ablation" | "goal" | "positions", string, [string, string][]][] = [
  ["metric", "Metric", [["", "logit_diff, or its task's"], ["logit_diff", "logit_diff: logits"], ["prob_diff", "prob_diff: probability"], ["kl", "kl: nats"]]],
  ["ablation", "Ablation", [["counterfactual", "counterfactual"], ["mean", "mean"], ["zero", "zero"]]],
  ["goal", "Goal", [["sufficient", "sufficient: keeps it alone"], ["complete", "complete: all lost without it"]]],
  ["positions", "Positions", [["", "all tokens alike"], ["spans", "spans: subject, relation, last"], ["each", "each token"]]],
];
type Options = Record<(typeof OPTIONS)[number][0], string>;
const PLAIN: Options = { metric: "", ablation: "counterfactual", goal: "sufficient", positions: "" };
type About = "pair" | "pairs" | "task";
const ABOUTS: [About, string][] = [
  ["pair", "One pair"],
  ["pairs", "Many pairs"],
  ["task", "A task"],
];

/** What is being typed is kept while the page is open. */
let typed: Draft = EMPTY;

/** Pairs, one a line: prompt, counterfactual, answer and distractor with a tab or a bar between them. */
function pairsOf(text: string): { pairs: Pair[]; wrong: string } {
  const lines = text.split("\n").filter((line) => line.trim());
  const fields = lines.map((line) => line.split(/\t|\|/));
  const pairs = fields.map(([prompt = "", counterfactual = "", answer = "", distractor = ""]) => ({ prompt: prompt.trim(), counterfactual: counterfactual.trim(), answer: answer.trimEnd(), distractor: distractor.trimEnd() }));
  const long = fields.findIndex((parts) => parts.length > 4);
  if (long >= 0) return { pairs, wrong: `Line ${long + 1} has ${fields[long]!.length} fields; at most four.` };
  const bad = pairs.findIndex(({ prompt, counterfactual, answer }) => !prompt || !counterfactual || !answer.trim());
  if (bad >= 0) return { pairs, wrong: `Line ${bad + 1} lacks a prompt, a counterfactual or an answer.` };
  return { pairs, wrong: pairs.length > MOST_PAIRS ? `At most ${MOST_PAIRS} pairs; the command line takes more.` : "" };
}
const MOST_PAIRS = 200;

export function Work({ run, open, close }: { run: Run | undefined; open: Opens; close: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog ref={dialog} className="work" onClose={close} aria-label="New circuit and jobs">
      <Form run={run} />
      <JobList
        open={(id, at) => {
          open(id, at);
          dialog.current?.close();
        }}
      />
      <form method="dialog">
        <button>Close</button>
      </form>
    </dialog>
  );
}

function Form({ run }: { run: Run | undefined }) {
  const [about, setAbout] = useState<About>("pair");
  const [draft, setDraft] = useState(typed);
  const [lines, setLines] = useState("");
  const [task, setTask] = useState("");
  const [faithfulness, setFaithfulness] = useState("0.9");
  const [method, setMethod] = useState<Method>("verified");
  const [options, setOptions] = useState(PLAIN);
  const [allowWeak, setAllowWeak] = useState(false);
  const { jobs } = useJobs();
  const { busy, error, ask } = useAsking();
  const tasks = useFetched(about === "task" ? "tasks" : "", fetchTasks);
  const known = useTokens(draft);
  const tokens = valueOf(known);
  const change = (patch: Partial<Draft>) => setDraft((typed = { ...draft, ...patch }));
  const pair = { prompt: draft.prompt, counterfactual: draft.counterfactual, answer: draft.answer, distractor: draft.distractor };
  const several = pairsOf(lines);
  const state: Record<About, { asked: Partial<Discover>; ready: boolean }> = {
    pair: { asked: { pair }, ready: Boolean(draft.prompt && draft.counterfactual && draft.answer) && known.state !== "failed" && !tokens?.problems?.length },
    pairs: { asked: { pairs: several.pairs }, ready: several.pairs.length > 0 && !several.wrong },
    task: { asked: { task }, ready: /^[a-z0-9_+-]+(\/[a-z0-9_+-]+)?$/.test(task) },
  };
  const { asked, ready } = state[about];
  const search = { model: draft.model, ...asked, faithfulness: Number(faithfulness), method, allow_weak: allowWeak, ...options } as Omit<Discover, "verb">;
  const key = (request: object) => JSON.stringify(Object.entries({ ...PLAIN, ...request }).filter(([name, value]) => !["verb", "cost"].includes(name) && value !== "" && value !== null && !(Array.isArray(value) && !value.length)).sort());
  const answered = jobs.find((job) => job.request.verb === "ask" && key(job.request) === key(search));
  const waiting = answered && isActive(answered);
  return (
    <form
      className="new"
      aria-label="New circuit"
      onSubmit={(event) => {
        event.preventDefault();
        void ask(() => submit({ verb: "discover", ...search }));
      }}
    >
      <header>
        <h2>New circuit</h2>
        <div className="choice small" role="group" aria-label="Of what">
          {ABOUTS.map(([value, words]) => (
            <button
              key={value}
              type="button"
              aria-pressed={about === value}
              onClick={() => {
                setAbout(value);
                setMethod(value === "task" ? "" : "verified");
              }}
            >
              {words}
            </button>
          ))}
        </div>
        {about === "pair" && (
          <button type="button" onClick={() => change({ ...EMPTY, ...EXAMPLE })}>
            Fill in an example
          </button>
        )}
      </header>
      {about === "pair" && FIELDS.map(([name, label, hint]) => <Field key={name} name={name} label={label} hint={hint} value={draft[name]} change={(text) => change({ [name]: text })} tokens={tokens} />)}
      {about === "pairs" && (
        <label className="lines">
          Pairs <small>one a line: prompt | counterfactual | answer | distractor</small>
          <textarea rows={7} value={lines} spellCheck={false} placeholder={Object.values(EXAMPLE).join(" |")} onChange={(event) => setLines(event.target.value)} />
          <span className={several.wrong ? "said" : "note"} role="status">
            {several.wrong || plural(several.pairs.length, "pair")}
          </span>
        </label>
      )}
      {about === "task" && (
        <label className="lines">
          Task <small>one of {valueOf(tasks)?.length ?? "the"} bundled ones, by its name</small>
          <input type="text" value={task} list="tasks" maxLength={100} spellCheck={false} onChange={(event) => setTask(event.target.value.trim())} />
          <datalist id="tasks">
            {(valueOf(tasks) ?? []).map((name) => (
              <option key={name} value={name} />
            ))}
          </datalist>
        </label>
      )}
      <div className="how">
        <label>
          Model
          <input type="text" value={draft.model} list="models" spellCheck={false} onChange={(event) => change({ model: event.target.value })} />
          <datalist id="models">
            <option value="smollm2-135m" />
          </datalist>
        </label>
        <label>
          Faithfulness
          <input type="number" min="0.05" max="1" step="any" value={faithfulness} onChange={(event) => setFaithfulness(event.target.value)} />
        </label>
        <Choice label="Method" value={method} values={METHODS} choose={(value) => setMethod(value as Method)} />
        {OPTIONS.map(([name, label, values]) => (
          <Choice key={name} label={label} value={options[name]} values={values} choose={(value) => setOptions({ ...options, [name]: value })} />
        ))}
        <label className="check" title="Continue where the model itself does not give the answer, or where ablation takes away less than half of the metric. The run says so.">
          <input type="checkbox" checked={allowWeak} onChange={(event) => setAllowWeak(event.target.checked)} /> allow a weak answer
        </label>
      </div>
      <Problems names={["model"]} tokens={tokens} />
      {about === "pair" &&
        tokens?.notes?.map((note) => (
          <p key={note} className="note">
            {note}
          </p>
        ))}
      {about === "pair" && known.state === "failed" && <Said error={known.error} />}
      <Said error={error ?? (answered?.last.problem ? saidOf(answered.last.problem) : null)} />
      {answered?.last.answers && <ModelAnswers answers={answered.last.answers} />}
      {answered?.last.cost && <Costs cost={answered.last.cost} />}
      <div className="go">
        <button className="main" disabled={!ready || busy}>
          Find its circuit
        </button>
        <button type="button" disabled={!ready || busy || waiting} title="The answer's rank and probability in the model, its first choice, the tokens that are scored, and the memory that a search needs" onClick={() => void ask(() => submit({ verb: "ask", ...search, cost: false }))}>
          What does the model say?
        </button>
        <button type="button" disabled={!ready || busy || waiting} title="The same, and the time that the search is expected to take; its first stages are run for that" onClick={() => void ask(() => submit({ verb: "ask", ...search, cost: true }))}>
          What will it cost?
        </button>
        {answered && waiting && <JobState job={answered} />}
        {run && !run.example && about === "pair" && (
          <button type="button" disabled={!ready || busy} title={`Run the circuit of “${run.title}” on this pair, and add the result to its proof`} onClick={() => void ask(() => submit({ verb: "verify", run: run.id, on: "given", pair, allow_weak: allowWeak }))}>
            Test the open circuit on it
          </button>
        )}
      </div>
    </form>
  );
}

function Choice({ label, value, values, choose }: { label: string; value: string; values: [string, string][]; choose: (value: string) => void }) {
  return (
    <label>
      {label}
      <select value={value} onChange={(event) => choose(event.target.value)}>
        {values.map(([value, words]) => (
          <option key={value} value={value}>
            {words}
          </option>
        ))}
      </select>
    </label>
  );
}

/** What a discovery would take. */
function Costs({ cost }: { cost: NonNullable<Job["last"]["cost"]> }) {
  const gigabytes = (bytes: number) => `${decimal(bytes / 2 ** 30, 1)} GiB`;
  return (
    <p className="note" data-testid="cost">
      {plural(cost.prompts, "prompt")}, {plural(cost.tokens, "token")}, {plural(cost.edges, "edge")} of the model. At most {gigabytes(cost.needed)} of memory beside the model; {gigabytes(cost.free)} free.
      {cost.seconds && ` About ${timeLeft(2 * cost.seconds[0])}, roughly ${timeLeft(cost.seconds[0])} to ${timeLeft(cost.seconds[1])}.`}
    </p>
  );
}

/** The tokens of what was typed, a moment after the last key. */
function useTokens(draft: Draft): Fetched<DraftTokens> {
  const key = JSON.stringify(draft);
  const [settled, setSettled] = useState(key);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(key), 200);
    return () => clearTimeout(timer);
  }, [key]);
  return useFetched(`tokens ${settled}`, () => draftTokens(JSON.parse(settled) as Draft));
}

interface FieldProps {
  name: keyof typeof EXAMPLE;
  label: string;
  hint: string;
  value: string;
  change: (text: string) => void;
  tokens: DraftTokens | undefined;
}

function Field({ name, label, hint, value, change, tokens }: FieldProps) {
  const id = useId();
  const own = tokens?.[name] ?? [];
  const other = name === "prompt" ? tokens?.counterfactual : name === "counterfactual" ? tokens?.prompt : undefined;
  return (
    <div className="field">
      <label htmlFor={id}>
        {label} <small>{hint}</small>
      </label>
      <input id={id} type="text" value={value} placeholder={EXAMPLE[name]} spellCheck={false} autoComplete="off" aria-describedby={`${id}-said`} onChange={(event) => change(event.target.value)} />
      <div id={`${id}-said`}>
        {own.length > 0 && (
          <p className="tokens" data-testid={`tokens-${name}`}>
            {own.slice(0, 60).map((text, at) => (
              <span key={at} className={other?.length && text !== other[at] ? "tok differs" : "tok"}>
                {token(text)}
              </span>
            ))}
            <small> {own.length > 60 ? `… ${own.length} tokens` : own.length}</small>
          </p>
        )}
        <Problems names={[name]} tokens={tokens} />
      </div>
    </div>
  );
}

function Problems({ names, tokens }: { names: string[]; tokens: DraftTokens | undefined }) {
  return tokens?.problems
    ?.filter((problem) => names.includes(problem.field))
    .map((problem) => (
      <p key={problem.said} className="said" role="status">
        {problem.said[0]!.toUpperCase() + problem.said.slice(1)}. <b>{problem.do[0]!.toUpperCase() + problem.do.slice(1)}.</b>
      </p>
    ));
}
