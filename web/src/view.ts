// What is looked at, kept in the address: a reload or a sent link shows the same, and the back button goes back.
import { useSyncExternalStore } from "react";
import { isGraphKey, isKey } from "./names";

export interface View {
  run: string;
  /** Run it is compared with. */
  vs: string;
  mode: "circuit" | "ranking";
  /** Edges of the ranking. */
  n: number;
  map: "layers" | "tokens";
  /** Where the map is: how large, and its corner; "" for all of it. */
  zoom: string;
  /** Locked node (`a23.h4`) or edge (`m0>a23.g1<v>`). */
  sel: string;
  pins: string[];
  dir: "both" | "in" | "out";
  tab: "circuit" | "layers" | "proof" | "run" | "change" | "groups";
  /** Of a graph in neurons: percent of all influence that the nodes and the edges drawn have; 0 of edges for as many as can be read. */
  nodes: number;
  edges: number;
  q: string;
  sort: "strength" | "layer" | "name";
  group: "none" | "layer" | "role" | "token";
  prompt: number;
  /** Split of the verification that is shown; "" for the first. */
  on: string;
  /** Labels that a link brings, see `Shared.tsx`; "" for the run's own. */
  labels: string;
}

const DEFAULTS: View = {
  run: "",
  vs: "",
  mode: "circuit",
  n: 100,
  map: "tokens",
  zoom: "",
  sel: "",
  pins: [],
  dir: "both",
  tab: "circuit",
  nodes: 100,
  edges: 0,
  q: "",
  sort: "strength",
  group: "none",
  prompt: 0,
  on: "",
  labels: "",
};
/** What the view of a newly opened run does not keep of another's. */
export const FRESH = { sel: "", pins: [] as string[], zoom: "", prompt: 0, on: "", labels: "" };
const CHOICES: Partial<Record<keyof View, readonly string[]>> = {
  mode: ["circuit", "ranking"],
  map: ["layers", "tokens"],
  dir: ["both", "in", "out"],
  tab: ["circuit", "layers", "proof", "run", "change", "groups"],
  sort: ["strength", "layer", "name"],
  group: ["none", "layer", "role", "token"],
};

export function read(search: string): View {
  const given = new URLSearchParams(search);
  const view: Record<string, unknown> = { ...DEFAULTS };
  for (const [key, value] of given) {
    const usual = DEFAULTS[key as keyof View];
    const choices = CHOICES[key as keyof View];
    if (usual === undefined || (choices && !choices.includes(value))) continue;
    if (key === "nodes" || key === "edges") view[key] = /^\d+$/.test(value) ? Math.min(100, Number(value)) : usual;
    else if (typeof usual === "number") view[key] = Math.max(0, Math.floor(Number(value)) || usual);
    else view[key] = Array.isArray(usual) ? value.split("|").filter(Boolean) : value;
  }
  const found = view as unknown as View;
  // A link may come from anyone, and a name in it may be none.
  const is = (key: string) => isKey(key) || isGraphKey(key);
  return { ...found, sel: is(found.sel) ? found.sel : "", pins: found.pins.filter(is) };
}

export function write(view: View): string {
  const out = new URLSearchParams();
  for (const key of Object.keys(DEFAULTS) as (keyof View)[]) {
    const value = view[key];
    const text = Array.isArray(value) ? value.join("|") : String(value);
    if (text !== String(Array.isArray(DEFAULTS[key]) ? "" : DEFAULTS[key])) out.set(key, text);
  }
  return `?${out}`;
}

let current = read(location.search);
let later: ReturnType<typeof setTimeout> | undefined;
const listeners = new Set<() => void>();
const tell = () => listeners.forEach((listener) => listener());
addEventListener("popstate", () => {
  clearTimeout(later);
  current = read(location.search);
  tell();
});

/** Changes the view. A step that `back` should undo is pushed; a slider's or a search's is not. */
export function show(patch: Partial<View>, step: "push" | "replace" = "push"): void {
  current = { ...current, ...patch };
  clearTimeout(later);
  if (step === "push") history.pushState(null, "", write(current));
  // Browsers refuse more than some hundred changes of the address in half a minute.
  else later = setTimeout(() => history.replaceState(null, "", write(current)), 150);
  tell();
}

export const useView = (): View =>
  useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => current,
  );
