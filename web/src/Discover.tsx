// A new circuit: the prompt pair with its tokens as it is typed, what is wrong with it, and the options.
import { useEffect, useId, useRef, useState } from "react";
import { JobList, JobState, type Opens, Said, useAsking } from "./Jobs";
import { type Draft, draftTokens, type DraftTokens, isActive, submit, useJobs } from "./jobs";
import { ModelAnswers } from "./ModelAnswers";
import type { Run } from "./server";
import { type Fetched, useFetched, valueOf } from "./use";
import { token } from "./words";

const EXAMPLE = { prompt: "The official language of France is", counterfactual: "The official language of Japan is", answer: " French", distractor: " Japanese" };
const EMPTY: Draft = { model: "smollm2-135m", prompt: "", counterfactual: "", answer: "", distractor: "" };
type Method = "verified" | "re-ranked" | "eap-ig" | "eap";
const METHODS: [Method, string][] = [
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

/** What is being typed is kept while the page is open. */
let typed: Draft = EMPTY;

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
  const [draft, setDraft] = useState(typed);
  const [faithfulness, setFaithfulness] = useState("0.9");
  const [method, setMethod] = useState<Method>("verified");
  const [positions, setPositions] = useState(false);
  const [allowWeak, setAllowWeak] = useState(false);
  const { jobs } = useJobs();
  const { busy, error, ask } = useAsking();
  const known = useTokens(draft);
  const tokens = valueOf(known);
  const change = (patch: Partial<Draft>) => setDraft((typed = { ...draft, ...patch }));
  const complete = Boolean(draft.prompt && draft.counterfactual && draft.answer);
  const wrong = known.state === "failed" || Boolean(tokens?.problems?.length);
  const pair = { prompt: draft.prompt, counterfactual: draft.counterfactual, answer: draft.answer, distractor: draft.distractor };
  const pairOf = (request: object) => JSON.stringify([(request as { model?: string }).model, (request as { pair?: object }).pair]);
  const question = { verb: "ask" as const, model: draft.model, pair };
  const asked = jobs.find((job) => job.request.verb === "ask" && pairOf(job.request) === pairOf(question));
  return (
    <form
      className="new"
      aria-label="New circuit"
      onSubmit={(event) => {
        event.preventDefault();
        void ask(() => submit({ verb: "discover", model: draft.model, pair, faithfulness: Number(faithfulness), method, positions: positions ? "each" : "", allow_weak: allowWeak }));
      }}
    >
      <header>
        <h2>New circuit</h2>
        <button type="button" onClick={() => change({ ...EMPTY, ...EXAMPLE })}>
          Fill in an example
        </button>
      </header>
      {FIELDS.map(([name, label, hint]) => (
        <Field key={name} name={name} label={label} hint={hint} value={draft[name]} change={(text) => change({ [name]: text })} tokens={tokens} />
      ))}
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
        <label>
          Method
          <select value={method} onChange={(event) => setMethod(event.target.value as Method)}>
            {METHODS.map(([value, words]) => (
              <option key={value} value={value}>
                {words}
              </option>
            ))}
          </select>
        </label>
        <label className="check">
          <input type="checkbox" checked={positions} onChange={(event) => setPositions(event.target.checked)} /> tell tokens apart
        </label>
        <label className="check" title="Continue where the model itself does not give the answer, or where ablation takes away less than half of the metric. The run says so.">
          <input type="checkbox" checked={allowWeak} onChange={(event) => setAllowWeak(event.target.checked)} /> allow a weak answer
        </label>
      </div>
      <Problems names={["model"]} tokens={tokens} />
      {tokens?.notes?.map((note) => (
        <p key={note} className="note">
          {note}
        </p>
      ))}
      {known.state === "failed" && <Said error={known.error} />}
      <Said error={error} />
      {asked?.last.answers && <ModelAnswers answers={asked.last.answers} />}
      <div className="go">
        <button className="main" disabled={!complete || wrong || busy}>
          Find its circuit
        </button>
        <button type="button" disabled={!complete || wrong || busy || (asked && isActive(asked))} title="The answer's rank and probability in the model, its first choice, and the tokens that are scored" onClick={() => void ask(() => submit(question))}>
          What does the model say?
        </button>
        {asked && isActive(asked) && <JobState job={asked} />}
        {run && !run.example && (
          <button type="button" disabled={!complete || wrong || busy} title={`Run the circuit of “${run.title}” on this pair, and add the result to its proof`} onClick={() => void ask(() => submit({ verb: "verify", run: run.id, on: "given", pair, allow_weak: allowWeak }))}>
            Test the open circuit on it
          </button>
        )}
      </div>
    </form>
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
