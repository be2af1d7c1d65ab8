// Names of nodes and channels, taken apart: `a14.h7@5`, `a14.g2<k>`, `m17`, `m29.n892`, `input`, `logits`.
export type Kind = "input" | "logits" | "mlp" | "head" | "group" | "super";

export interface Name {
  /** As it is written in the run. */
  full: string;
  /** Without input and position: the component that is drawn. */
  node: string;
  kind: Kind;
  /** -1 for the input; for the logits the number of layers, which the caller sets. */
  layer: number;
  index: number;
  reads: "" | "q" | "k" | "v";
  /** What it is of an MLP: all of it, a neuron or an expert. */
  part: "" | "neuron" | "expert";
  /** Where in the prompt, where positions were kept apart. */
  span: string;
}

const PATTERN = /^(?:a(\d+)\.([hg])(\d+)(?:<([qkv])>)?|m(\d+)(?:\.([ne])(\d+))?|(input|logits))(?:@([^>]+))?$/;
const known = new Map<string, Name>();

export function parse(full: string): Name {
  const had = known.get(full);
  if (had) return had;
  if (full.startsWith("*")) {
    const [node = "", span = ""] = full.split("@");
    const name: Name = { full, node, kind: "super", layer: NaN, index: 0, reads: "", part: "", span };
    known.set(full, name);
    return name;
  }
  const match = PATTERN.exec(full);
  if (!match) throw new Error(`${full} is not the name of a node or channel`);
  const [, layer, kind, index, reads, mlp, part, place, end, span] = match;
  const name: Name = {
    full,
    node: full.replace(/<.>|@.*/g, ""),
    kind: end ? (end as Kind) : mlp !== undefined ? "mlp" : kind === "h" ? "head" : "group",
    layer: end === "input" ? -1 : end === "logits" ? Infinity : Number(layer ?? mlp),
    index: Number(index ?? place ?? 0),
    reads: (reads ?? "") as Name["reads"],
    part: part === "n" ? "neuron" : part === "e" ? "expert" : "",
    span: span ?? "",
  };
  known.set(full, name);
  return name;
}

/** Whether something can be locked or pinned: a node, or an edge by its two ends. */
export const isKey = (key: string): boolean => {
  const ends = key.split(">");
  // The inputs of heads end in the sign that parts the ends of an edge: `m0>a23.g1<v>`.
  const [from, to] = [ends[0]!, key.slice(ends[0]!.length + 1)];
  return isName(from) && (ends.length === 1 || isName(to));
};

/** The same of a graph in neurons, which may be another tool's: `m29.n392@5`, `12_345_6`, `target`. */
export const isGraphKey = (key: string): boolean => {
  const ends = key.split(">");
  return ends.length <= 2 && ends.every((end) => isName(end) || end === "target" || /^(E|\d{1,4})_\d{1,9}_\d{1,6}$/.test(end));
};

/** A node that labels and changes can name, as the server takes it. */
export const isNode = (name: string): boolean => /^((a\d{1,4}\.h\d{1,4}|m\d{1,4}(\.[ne]\d{1,7})?|input)(@\d{1,6})?|(E|\d{1,4})_\d{1,9}_\d{1,6})$/.test(name);

const isName = (name: string): boolean => PATTERN.test(name) || /^\*[^<>|*]+$/.test(name);

/** How a supernode is written among the nodes. */
export const together = (name: string): string => `*${name}`;

/** A node or channel as it is read: a supernode by its own name. */
export const plain = (full: string): string => (full.startsWith("*") ? `“${full.slice(1).replace(/@.*/, "")}”` : full);

/** What is locked or pinned, as it is read: a node, or an edge by its two ends. */
export function titled(key: string): string {
  const [, from, to] = /^([^>]*)>(.*)$/.exec(key) ?? [];
  return from !== undefined && to !== undefined ? `${plain(from)} → ${plain(to)}` : plain(key);
}

/** The heads of a group. */
const headsIn = ({ index }: Name, share: number): string => (share > 1 ? `heads ${index * share}-${(index + 1) * share - 1}` : `head ${index}`);

/** What an input of heads is, for those who do not know how it is written: `values of heads 3-5, layer 23`. */
export function inputInWords(full: string, share: number): string {
  const name = parse(full);
  return name.reads && `${READS[name.reads]}${name.kind === "group" ? headsIn(name, share) : `head ${name.index}`}, layer ${name.layer}`;
}

const READS = { "": "", q: "query of ", k: "keys of ", v: "values of " };

/**
 * A component in words.
 *
 * @param spans says a place in the prompt.
 * @param share heads that read one pair of keys and values; a group is called by its heads where it is known.
 */
export function inWords(full: string, spans?: (span: string) => string, share?: number): string {
  const name = parse(full);
  const at = name.span ? ` at ${spans ? spans(name.span) : name.span}` : "";
  switch (name.kind) {
    case "super":
      return `the supernode ${plain(name.node)}${at}`;
    case "input":
      return `the embedding of the prompt's tokens${at}`;
    case "logits":
      return "the scores of the next token";
    case "mlp":
      return `${name.part ? `${name.part} ${name.index} of ` : ""}the MLP of layer ${name.layer}${at}`;
    case "head":
      return `the ${READS[name.reads]}attention head ${name.index} of layer ${name.layer}${at}`;
    case "group":
      return `the ${READS[name.reads]}${share ? headsIn(name, share) : `head group ${name.index}`} of layer ${name.layer}${at}`;
  }
}
