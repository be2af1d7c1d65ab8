// Views of a run that were given a name, to come back to.
import { renamedView, withoutView, withView } from "./edits";
import type { Notes } from "./labels";
import { Field } from "./Naming";
import { read, show, type View, write } from "./view";

export function Views({ notes, view }: { notes: Notes; view: View }) {
  const { views } = notes.labels;
  const here = write({ ...view, run: "" }).slice(1);
  return (
    <details
      className="views"
      onKeyDown={(event) => {
        if (event.key !== "Escape") return;
        event.stopPropagation();
        event.currentTarget.open = false;
        event.currentTarget.querySelector("summary")?.focus();
      }}
    >
      <summary>Views{views.length > 0 && ` (${views.length})`}</summary>
      <div className="views-list">
        <ul aria-label="Named views">
          {views.map(({ name, query }) => (
            <li key={name}>
              <button aria-pressed={query === here} onClick={() => show({ ...read(`?${query}`), run: view.run })}>
                Open {name}
              </button>
              <Field label={`New name of ${name}`} value={name} most={80} save={(text) => text && notes.change(renamedView(name, text))} action="Rename" />
              <button onClick={() => notes.change(withoutView(name))} aria-label={`Delete ${name}`}>
                Delete
              </button>
            </li>
          ))}
        </ul>
        <Field label="Name this view" value="" most={80} save={(text) => text && notes.change(withView(text, here))} action="Keep" />
      </div>
    </details>
  );
}
