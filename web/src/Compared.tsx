// Two runs on one map: what only one has, what both have.
import type { Found } from "./graph";
import { count } from "./words";

interface Props {
  titles: [string, string];
  found: Found;
  alike: boolean;
}

export function Compared({ titles, found, alike }: Props) {
  const sizes = { a: 0, b: 0, both: 0 };
  for (const { side } of found.values()) sizes[side]++;
  return (
    <div className="compared" role="status">
      <span className="key only-a">
        only “{titles[0]}” <b>{count(sizes.a)}</b>
      </span>
      <span className="key both">
        both <b>{count(sizes.both)}</b>
      </span>
      <span className="key only-b">
        only “{titles[1]}” <b>{count(sizes.b)}</b>
      </span>
      <span>
        overlap |A ∩ B| / |A ∪ B| = <b>{(sizes.both / Math.max(1, found.size)).toFixed(2)}</b>
      </span>
      {!alike && <span className="warning">The two models are not alike: only names are compared.</span>}
    </div>
  );
}
