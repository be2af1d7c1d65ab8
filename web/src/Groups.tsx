// The supernodes of a graph: those it suggests until they are taken over, then those a person made of them.
import { useState } from "react";
import { renamed, withoutMember, withoutSupernode, withSupernode } from "./edits";
import type { Notes } from "./labels";
import { Field, SIGNS } from "./Naming";
import { together } from "./names";
import type { Labels } from "./server";
import { show } from "./view";
import { plural } from "./words";

interface Props {
  notes: Notes;
  suggested: Labels["supernodes"];
  /** Nodes that are pinned, which can be added. */
  pins: string[];
}

export function Groups({ notes, suggested, pins }: Props) {
  const own = notes.labels.supernodes;
  if (!own.length)
    return (
      <div className="groups">
        <p className="note">{suggested.length ? "Neurons at one position whose outgoing edges are alike, drawn as one. Take them over to rename them, take members out, or put others in." : "This graph suggests no supernodes. Pin two or more nodes to put them together."}</p>
        {suggested.length > 0 && (
          <button className="main" onClick={() => notes.change((labels) => ({ ...labels, supernodes: suggested }))}>
            Take over the {plural(suggested.length, "suggestion")}
          </button>
        )}
        <ul aria-label="Suggested supernodes">
          {suggested.map(({ name, members }) => (
            <li key={name}>
              <button onClick={() => show({ sel: together(name) })}>{name}</button> <small>{plural(members.length, "node")}</small>
            </li>
          ))}
        </ul>
      </div>
    );
  return (
    <div className="groups">
      <ul aria-label="Supernodes">
        {own.map((group) => (
          <Group key={group.name} group={group} notes={notes} pins={pins.filter((pin) => !group.members.includes(pin))} />
        ))}
      </ul>
      {suggested.length > 0 && <button onClick={() => notes.change((labels) => ({ ...labels, supernodes: [] }))}>Back to the suggestions</button>}
    </div>
  );
}

function Group({ group: { name, members }, notes, pins }: { group: Labels["supernodes"][number]; notes: Notes; pins: string[] }) {
  const [open, setOpen] = useState(false);
  return (
    <li className="group">
      <Field
        label={`Name of “${name}”`}
        value={name}
        most={60}
        save={(text) => {
          if (!text) return;
          notes.change(renamed(name, text));
          show({ sel: together(text) }, "replace");
        }}
        action="Rename"
        refuse={SIGNS}
      />
      <div className="go">
        <button onClick={() => show({ sel: together(name) })}>Show</button>
        <button aria-expanded={open} onClick={() => setOpen(!open)}>
          {plural(members.length, "node")}
        </button>
        {pins.length > 0 && (
          <button onClick={() => notes.change(withSupernode(name, [...members, ...pins]))} title={pins.join(", ")}>
            Add {plural(pins.length, "pinned node")}
          </button>
        )}
        <button className="quiet" onClick={() => notes.change(withoutSupernode(name))} aria-label={`Take “${name}” apart`}>
          Take apart
        </button>
      </div>
      {open && (
        <p className="pins">
          {members.map((member) => (
            <span key={member} className="tok">
              {member}{" "}
              <button className="quiet" aria-label={`Take ${member} out of “${name}”`} onClick={() => notes.change(withoutMember(name, member))}>
                ×
              </button>
            </span>
          ))}
        </p>
      )}
    </li>
  );
}
