// Changes to what a person wrote: each a function, so that one that met another's can be made again on theirs.
import type { Labels } from "./server";

export type Edit = (labels: Labels) => Labels;

export const labelOf = (labels: Labels, node: string): string => labels.labels.find((label) => label.node === node)?.text ?? "";

export const withLabel =
  (node: string, text: string): Edit =>
  (labels) => ({ ...labels, labels: [...labels.labels.filter((label) => label.node !== node), ...(text ? [{ node, text }] : [])] });

/** A supernode of these nodes; those of them that were in another leave it. */
export const withSupernode =
  (name: string, members: string[]): Edit =>
  (labels) => ({
    ...labels,
    supernodes: [
      ...labels.supernodes
        .filter((known) => known.name !== name)
        .map((known) => ({ ...known, members: known.members.filter((node) => !members.includes(node)) }))
        .filter((known) => known.members.length > 1),
      { name, members },
    ],
  });

export const renamed =
  (from: string, to: string): Edit =>
  (labels) => ({ ...labels, supernodes: labels.supernodes.filter((known) => known.name !== to).map((known) => (known.name === from ? { ...known, name: to } : known)) });

export const withoutSupernode =
  (name: string): Edit =>
  (labels) => ({ ...labels, supernodes: labels.supernodes.filter((known) => known.name !== name) });

/** A supernode without one of its members; with fewer than two it is none. */
export const withoutMember =
  (name: string, node: string): Edit =>
  (labels) => ({
    ...labels,
    supernodes: labels.supernodes.map((known) => (known.name === name ? { ...known, members: known.members.filter((member) => member !== node) } : known)).filter((known) => known.members.length > 1),
  });

export const withView =
  (name: string, query: string): Edit =>
  (labels) => ({ ...labels, views: [...labels.views.filter((known) => known.name !== name), { name, query }] });

export const renamedView =
  (from: string, to: string): Edit =>
  (labels) => ({ ...labels, views: labels.views.filter((known) => known.name !== to).map((known) => (known.name === from ? { ...known, name: to } : known)) });

export const withoutView =
  (name: string): Edit =>
  (labels) => ({ ...labels, views: labels.views.filter((known) => known.name !== name) });
