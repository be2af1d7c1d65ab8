// A link that holds the view with its zoom and the labels of the run; and labels that came with such a link.
import { useMemo, useState } from "react";
import { withLabel, withSupernode } from "./edits";
import type { Notes } from "./labels";
import { isNode } from "./names";
import { ApiError, type Labels } from "./server";
import { Said, useAsking } from "./Jobs";
import { show, type View, write } from "./view";

/** Characters of a link: what servers and chat programs pass on. */
const LONGEST = 16_000;

const packed = (labels: Labels): string => {
  const { format: _, views: __, ...rest } = labels;
  return rest.labels.length || rest.supernodes.length ? JSON.stringify([rest.labels.map(({ node, text }) => [node, text]), rest.supernodes.map(({ name, members }) => [name, members])]) : "";
};

/** A supernode's name, as the server takes it. */
const NAME = /^[^<>@|*\s]([^<>@|*]*[^<>@|*\s])?$/;

/** Labels of a link, which may come from anyone; null where they are none. */
function unpacked(text: string): Labels | null {
  try {
    const [labels, supernodes] = JSON.parse(text) as [unknown, unknown];
    if (!Array.isArray(labels) || !Array.isArray(supernodes)) return null;
    const word = (value: unknown, most: number): value is string => typeof value === "string" && value.length > 0 && value.length <= most;
    const node = (value: unknown): value is string => word(value, 60) && isNode(value);
    const named = labels.filter((each): each is [string, string] => Array.isArray(each) && node(each[0]) && word(each[1], 80));
    const groups = supernodes.filter((each): each is [string, string[]] => Array.isArray(each) && word(each[0], 60) && NAME.test(each[0]) && Array.isArray(each[1]) && each[1].length > 1 && each[1].length <= 500 && each[1].every(node));
    const once = (names: string[]) => new Set(names).size === names.length;
    if (![named.map(([name]) => name), groups.map(([name]) => name), groups.flatMap(([, members]) => members)].every(once)) return null;
    return { format: "wheatstone.labels/1", labels: named.map(([node, text]) => ({ node, text })), supernodes: groups.map(([name, members]) => ({ name, members })), views: [] };
  } catch {
    return null;
  }
}

/** A person's own labels and supernodes with those of a link, which count where both name the same. */
const joined = (own: Labels, theirs: Labels): Labels => {
  const labels = theirs.labels.reduce((sum, { node, text }) => withLabel(node, text)(sum), own);
  return theirs.supernodes.reduce((sum, { name, members }) => withSupernode(name, members)(sum), labels);
};

/** What a person wrote on a run, or what a link says in its place until it is kept or put away. */
export function useShared(notes: Notes, view: View): Notes & { linked: boolean } {
  const theirs = useMemo(() => (view.labels ? unpacked(view.labels) : null), [view.labels]);
  if (!theirs) return { ...notes, linked: false };
  return {
    ...notes,
    linked: true,
    labels: { ...theirs, views: notes.labels.views },
    change: async (edit) => {
      const saved = await notes.change((own) => edit(joined(own, theirs)));
      if (saved) show({ labels: "" }, "replace");
      return saved;
    },
  };
}

export function Shared({ notes, view }: { notes: ReturnType<typeof useShared>; view: View }) {
  const [copied, setCopied] = useState(false);
  const { error, ask } = useAsking();
  const copy = async () => {
    const address = `${location.origin}${location.pathname}${write({ ...view, labels: packed(notes.labels) })}`;
    if (address.length > LONGEST) throw new ApiError("The labels are too long for a link.", "Export the page instead, which holds them");
    await navigator.clipboard.writeText(address);
    setCopied(true);
    setTimeout(() => setCopied(false), 2000);
  };
  return (
    <>
      {notes.linked && (
        <span className="linked" role="status">
          Labels of the link.{" "}
          <button onClick={() => notes.change((labels) => labels)}>Keep them</button> <button onClick={() => show({ labels: "" }, "replace")}>Show my own</button>
        </span>
      )}
      <button onClick={() => void ask(copy)} title="Copy a link to this view, with its zoom and its labels">
        {copied ? "Copied" : "Link"}
      </button>
      <Said error={error} />
    </>
  );
}
