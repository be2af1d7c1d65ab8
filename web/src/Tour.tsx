// A short way round the page: six places, one sentence each. Offered once, and always in Help.
import { useEffect, useLayoutEffect, useRef, useState } from "react";
import { show } from "./view";

const STEPS: [string, string, string][] = [
  [".map", "The map", "Read it upwards: the prompt comes in below, the next token comes out above. Round marks are attention heads, square ones MLPs. Blue supports the answer, orange hinders it."],
  [".size", "The size", "Found circuit: the few edges that alone give the answer. Ranking: as many as you like, with the faithfulness that was measured at that size."],
  ["aside .connections", "Connections", "Every edge in words. Click one, or a mark on the map, to lock it: its exact effect, where its head looks and the words it promotes come up above."],
  [".tabs", "More about the circuit", "The answer layer by layer, the proof beside random circuits, the prompts and how the run was made."],
  [".top", "Runs", "Choose another run, or lay a second one over this one to see what they share. The address holds what you see: reload it, send it."],
  [".stage-head", "Views and files", "Keep a view by a name, or save it: SVG, PNG, JSON, a Neuronpedia graph, or a page that works offline."],
];
const KEY = "tour";

/** Offers the tour to who has not been here. */
export function Invitation({ start }: { start: () => void }) {
  const [there, setThere] = useState(() => localStorage.getItem(KEY) === null);
  if (!there) return null;
  const leave = (and?: () => void) => () => {
    localStorage.setItem(KEY, "offered");
    setThere(false);
    and?.();
  };
  return (
    <p className="invitation">
      New here? <button onClick={leave(start)}>Take the tour</button> <button onClick={leave()}>No, thanks</button>
    </p>
  );
}

export function Tour({ end }: { end: () => void }) {
  const [at, setAt] = useState(0);
  const card = useRef<HTMLDialogElement>(null);
  const [selector = "", heading, words] = STEPS[at]!;
  useEffect(() => {
    localStorage.setItem(KEY, "taken");
    show({ tab: "circuit" }, "replace");
    card.current?.showModal();
    card.current?.querySelector<HTMLElement>("button:last-of-type")?.focus();
  }, []);
  useLayoutEffect(() => {
    const target = document.querySelector<HTMLElement>(selector);
    target?.classList.add("toured");
    place(card.current!, target);
    return () => target?.classList.remove("toured");
  }, [selector]);
  const go = (by: number) => (at + by < STEPS.length ? setAt(Math.max(0, at + by)) : card.current?.close());
  return (
    <dialog
      ref={card}
      className="tour"
      aria-labelledby="tour-title"
      onClose={end}
      onKeyDown={(event) => {
        if (event.key === "ArrowRight") go(1);
        if (event.key === "ArrowLeft") go(-1);
      }}
    >
      <h2 id="tour-title">{heading}</h2>
      <p>{words}</p>
      <div className="tour-steps">
        <small>
          {at + 1} of {STEPS.length}
        </small>
        <span className="spring" />
        <button onClick={() => card.current?.close()}>Skip</button>
        {at > 0 && <button onClick={() => go(-1)}>Back</button>}
        <button onClick={() => go(1)}>
          {at + 1 < STEPS.length ? "Next" : "Done"}
        </button>
      </div>
    </dialog>
  );
}

/** The card is placed inside the window, beside its place where there is room. */
function place(card: HTMLElement, target: HTMLElement | null): void {
  const box = target?.getBoundingClientRect() ?? new DOMRect(0, 0, innerWidth, innerHeight);
  const [width, height] = [360, 190];
  const left = box.left > width + 20 ? box.left - width - 14 : Math.min(box.left + 40, innerWidth - width - 14);
  const top = box.bottom + height + 14 < innerHeight ? box.bottom + 12 : box.top - height - 12 > 0 && box.left <= width + 20 ? box.top - height - 12 : box.top + 30;
  Object.assign(card.style, { left: `${Math.max(8, left)}px`, top: `${Math.max(8, Math.min(top, innerHeight - height - 14))}px` });
}
