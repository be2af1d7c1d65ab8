// Names by hand: a label for the locked node, a supernode of the pinned ones.
import { useEffect, useState } from "react";
import { labelOf, renamed, withLabel, withoutSupernode, withSupernode } from "./edits";
import type { Labelled, Notes } from "./labels";
import { parse, together } from "./names";
import { show, type View } from "./view";
import { plural } from "./words";

interface Props {
  run: Labelled;
  notes: Notes;
  view: View;
  /** The node of a key: on a circuit's map without its place in the prompt. */
  nodeOf?: (key: string) => string;
}

/** What a supernode's name may not have: the signs of edges, places, lists. */
export const SIGNS = /[<>@|*]/g;

export function Naming({ run, notes, view, nodeOf = (key) => parse(key).node }: Props) {
  const named = (key: string) => !key.startsWith("*") && !["logits", "target"].includes(key);
  const node = view.sel && !view.sel.includes(">") ? nodeOf(view.sel) : "";
  const chosen = notes.labels.supernodes.find((known) => together(known.name) === node);
  const pinned = [...new Set(view.pins.filter((pin) => !pin.includes(">")).map(nodeOf))].filter(named);
  const free = pinned.filter((pin) => !notes.labels.supernodes.some((known) => known.members.includes(pin)));
  if (!node && free.length < 2) return null;
  return (
    <section className="naming" aria-label="Names by hand">
      {node && !chosen && named(node) && (
        <Field key={node} label={`Label of ${node}`} value={labelOf(notes.labels, node)} most={80} save={(text) => notes.change(withLabel(node, text))} action="Save label" />
      )}
      {chosen && (
        <>
          <Field
            key={chosen.name}
            label="Name of the supernode"
            value={chosen.name}
            most={60}
            save={(text) => {
              if (!text) return;
              notes.change(renamed(chosen.name, text));
              show({ sel: together(text) }, "replace");
            }}
            action="Rename"
            refuse={SIGNS}
          />
          <p className="pins">
            Holds{" "}
            {chosen.members.map((member) => (
              <span key={member} className="tok">
                {member}
              </span>
            ))}
            <button
              className="quiet"
              onClick={() => {
                notes.change(withoutSupernode(chosen.name));
                show({ sel: "" });
              }}
            >
              Take apart
            </button>
          </p>
        </>
      )}
      {free.length >= 2 && (
        <Field
          key={free.join(" ")}
          label={`One supernode of the ${plural(free.length, "pinned node")}`}
          value=""
          most={60}
          save={(text) => {
            if (!text) return;
            notes.change(withSupernode(text, free));
            show({ sel: together(text), pins: view.pins.filter((pin) => pin.includes(">") || !free.includes(nodeOf(pin))) });
          }}
          action="Put together"
          refuse={SIGNS}
        />
      )}
      {run.example && (node || free.length > 1) && <p className="note">An example is read-only: its labels are kept in this browser.</p>}
    </section>
  );
}

/** A change that met another's: theirs are shown, and ours is not lost. */
export function Trouble({ notes }: { notes: Notes }) {
  if (!notes.trouble) return null;
  return (
    <div className="conflict" role="alert">
      <p>{notes.waiting ? "These labels were changed in another tab or program. Theirs are shown now; your change is not saved yet." : notes.trouble}</p>
      {notes.waiting && (
        <button
          onClick={() => {
            if (notes.waiting) notes.change(notes.waiting);
          }}
        >
          Make my change on theirs
        </button>
      )}
      <button onClick={notes.drop}>{notes.waiting ? "Drop mine" : "Close"}</button>
    </div>
  );
}

interface FieldProps {
  label: string;
  value: string;
  most: number;
  save: (text: string) => void;
  action: string;
  refuse?: RegExp;
}

/** A line of text that is saved by its button or Enter. */
export function Field({ label, value, most, save, action, refuse }: FieldProps) {
  const [text, setText] = useState(value);
  useEffect(() => setText(value), [value]);
  return (
    <form
      className="field"
      onSubmit={(event) => {
        event.preventDefault();
        save(text.trim());
        setText(value); // a new value comes from what was saved
      }}
    >
      <input type="text" title={label} aria-label={label} placeholder={label} value={text} maxLength={most} onChange={(event) => setText(refuse ? event.target.value.replace(refuse, "") : event.target.value)} />
      <button disabled={text.trim() === value}>{action}</button>
    </form>
  );
}
