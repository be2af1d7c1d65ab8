// The parts of a prompt at which nodes are distinguished, in words.
import { inWords } from "./names";
import type { Run } from "./server";

/** What the drawing needs to know of a run. */
export type Drawn = Pick<Run, "model" | "spans" | "prompts" | "effect_words">;

/** The words of a span: its tokens, as the first prompt has them. */
export function spanWords(run: Drawn, span: string): string {
  const positions = run.spans.find((known) => known.name === span)?.positions ?? [];
  const tokens = run.prompts[0]?.tokens ?? [];
  const words = positions.map((position) => tokens[position] ?? "").join("").trim();
  if (!words) return span;
  return /^\d+$/.test(span) ? words : `${span}: ${words}`;
}

/** Heads that read one pair of keys and values. */
export const groupSize = ({ model }: Drawn): number => model.heads / model.kv_groups;

/** A component of a run in words. */
export const wordsOf = (run: Drawn, full: string): string => inWords(full, (span) => spanWords(run, span), groupSize(run));
