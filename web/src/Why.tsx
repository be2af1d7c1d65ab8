// Why a head looks where it looks: the senders and the pairs of senders behind the difference of its two best scores.
import { useState } from "react";
import type { components } from "./api";
import { AskFor } from "./Jobs";
import { useJobs } from "./jobs";
import type { Run } from "./server";
import { percent, signed, token } from "./words";

type Looked = components["schemas"]["Looked"];
/** Senders and pairs that are listed. */
const SHOWN = 6;

interface Props {
  run: Run;
  head: string;
  prompt: number;
  /** The writer of the edge that is locked, and which side of the score it writes for. */
  edge?: { sender: string; side: "query" | "key" } | undefined;
}

export function Why({ run, head, prompt, edge }: Props) {
  const tokens = run.prompts[prompt]?.tokens ?? [];
  const last = tokens.length - 1;
  const [chosen, choose] = useState(last);
  const { jobs } = useJobs();
  const query = Math.min(chosen, last);
  const asked = { verb: "look" as const, run: run.id, head, prompt, query };
  const done = jobs.find(({ request, last: { looked } }) => looked && request.verb === "look" && request.run === run.id && request.head === head && request.prompt === prompt && request.query === query);
  return (
    <section className="why" aria-label={`Why ${head} looks there`}>
      <label>
        Looking from{" "}
        <select aria-label={`Token that ${head} looks from`} value={query} onChange={(event) => choose(Number(event.target.value))}>
          {tokens.map((text, at) => (
            <option key={at} value={at}>
              {at}: {token(text)}
            </option>
          ))}
        </select>
      </label>
      {done?.last.looked ? <Split looked={done.last.looked} tokens={tokens} edge={edge} /> : <AskFor asked={asked} words={`Why does ${head} look there?`} />}
    </section>
  );
}

function Split({ looked, tokens, edge }: { looked: Looked; tokens: readonly string[]; edge: Props["edge"] }) {
  const place = (at: number) => `“${token(tokens[at] ?? "")}” (${at})`;
  const sides = { query: looked.through_query, key: looked.through_key };
  const own = edge && { rank: sides[edge.side].findIndex(({ sender }) => sender === edge.sender), ...edge };
  return (
    <div data-testid={`why-${looked.head}`}>
      <p>
        {looked.head} looks at {place(looked.key)} with <b>{percent(looked.weight)}</b> of its attention
        {looked.runner_up === null ? "." : `, next at ${place(looked.runner_up)} with ${percent(looked.runner_up_weight!)}; the scores differ by ${signed(looked.difference, 2)} logits.`}
      </p>
      {own && (
        <p>
          Of these <b>{own.sender}</b> adds <b>{signed(sides[own.side][own.rank]?.value ?? 0, 2)}</b> through the {own.side}
          {own.rank < 0 ? "." : `, number ${own.rank + 1} of ${sides[own.side].length} senders.`}
        </p>
      )}
      <div className="words">
        {(["query", "key"] as const).map((side) => (
          <div key={side}>
            <h3>through the {side}</h3>
            <ol>
              {sides[side].slice(0, SHOWN).map(({ sender, value }) => (
                <li key={sender} className={own?.side === side && own.sender === sender ? "own" : ""}>
                  <span>{sender}</span>
                  <small>{signed(value, 2)}</small>
                </li>
              ))}
            </ol>
          </div>
        ))}
      </div>
      <h3>pairs: query × key</h3>
      <ol className="terms">
        {looked.pairs.slice(0, SHOWN).map(({ query_sender, key_sender, value }) => (
          <li key={`${query_sender} ${key_sender}`}>
            <span>
              {query_sender} × {key_sender}
            </span>
            <small>{signed(value, 2)}</small>
          </li>
        ))}
      </ol>
      <p className="note">
        Exact sums over senders, the norms' scales as in this run; terms of both signs cancel. Without the score's three strongest pairs the attention is {percent(looked.removed)}.
        {looked.dominated_by_bias && " The score is dominated by bias: pairs with a bias term add more than pairs of nodes do."}
      </p>
    </div>
  );
}
