// A long prompt, some tokens at a time: a table of all of them would be slow, and wider than any screen.
import { useState } from "react";

/** Most tokens side by side. */
const WIDE = 24;

interface Pages {
  /** The tokens shown are those from one place up to, and without, another. */
  from: number;
  to: number;
  /** Goes back and on; null where all are shown. */
  turn: React.ReactNode;
}

/** Which of the tokens are shown; at first the last, where the answer comes from. */
export function usePages(tokens: number, what = "Tokens"): Pages {
  const pages = Math.max(1, Math.ceil(tokens / WIDE));
  const [back, setBack] = useState(0); // pages before the last
  const page = pages - 1 - Math.min(back, pages - 1);
  const [from, to] = [page * WIDE, Math.min(tokens, (page + 1) * WIDE)];
  const turn = pages > 1 && (
    <div className="pages" role="group" aria-label={`${what} shown`}>
      <button aria-label={`Earlier ${what.toLowerCase()}`} disabled={page === 0} onClick={() => setBack(pages - page)}>
        ‹
      </button>
      <span role="status">
        {what} {from + 1} to {to} of {tokens}
      </span>
      <button aria-label={`Later ${what.toLowerCase()}`} disabled={page === pages - 1} onClick={() => setBack(pages - 2 - page)}>
        ›
      </button>
    </div>
  );
  return { from, to, turn: turn || null };
}
