// A view as an attribution graph in the schema that Neuronpedia and circuit-tracer read. It knows features of transcoders;
// ours are heads and MLPs, which have no feature page there: they are named in `clerp`.
import { type Edge, measureOf, moves, weightOf, weightWords } from "./graph";
import { labelOf } from "./edits";
import { inWords, parse } from "./names";
import type { Labels, Run } from "./server";
import { spanWords } from "./spans";
import type { View } from "./view";
import { homeless } from "./words";

interface Node {
  node_id: string;
  feature: number;
  layer: string;
  ctx_idx: number;
  feature_type: string;
  jsNodeId: string;
  clerp: string;
  token_prob?: number;
  is_target_logit?: boolean;
}

/** The pair of two numbers as one (Cantor's): how the schema's version 1 writes layer and index in `feature`. */
const paired = (layer: number, index: number): number => ((layer + index) * (layer + index + 1)) / 2 + index;

/** The probability is the answer's in the whole model, NaN where it was not measured. */
export function neuronpedia(run: Run, edges: Edge[], view: View, labels: Labels, about: string, probability: number): object {
  const prompt = run.prompts[0]!;
  const { layers, heads } = run.model;
  const place = (span: string): number => Math.max(...(run.spans.find((known) => known.name === span)?.positions ?? []), -1);
  const at = (span: string): number => (place(span) >= 0 ? place(span) : prompt.last);
  const nodes = new Map<string, Node>();
  const links = new Map<string, number>();
  const units = new Set<string>();
  const node = (component: string, ctx_idx: number): string => {
    const name = parse(component);
    // Rows as in circuit-tracer: embeddings, layers, and the logits one above the last.
    const layer = name.kind === "input" ? "E" : name.kind === "logits" ? String(layers + 1) : String(name.layer);
    const index = name.kind === "head" ? name.index : name.kind === "mlp" ? heads + name.index : 0;
    const feature = name.layer >= 0 && name.layer < layers ? paired(name.layer, index) : index;
    const node_id = `${layer}_${index}_${ctx_idx}`;
    // The viewer calls an "embedding" by the token at its place, which is right only where places are told apart.
    const feature_type = { input: run.spans.length ? "embedding" : "token embeddings", logits: "logit", head: "attention head", mlp: "mlp" }[name.kind as "input"];
    const called = labelOf(labels, component);
    // A logit's probability is read out of its words, and a viewer stops where there is none.
    const against = prompt.distractors[0] ? ` rather than "${prompt.distractors[0]}"` : "";
    const clerp = name.kind === "logits" ? `Output "${prompt.answers[0] ?? ""}"${against} (p=${probability.toFixed(3)})` : `${component}: ${called || inWords(component)}`;
    const target = name.kind === "logits" ? { token_prob: probability || 0, is_target_logit: true } : {};
    nodes.set(node_id, { node_id, feature, layer, ctx_idx, feature_type, jsNodeId: `${layer}_${index}-${ctx_idx}`, clerp, ...target });
    return node_id;
  };
  const by = measureOf(edges, view.mode);
  const writers = Map.groupBy(edges, (edge) => edge.from.node);
  for (const edge of edges) {
    const here = at(edge.from.span);
    const source = node(edge.from.node, here);
    // Keys and values are read by a group of heads, and each of its heads at every place where it writes: its links
    // share the weight, so that they add up to what was measured.
    const readers = edge.into.length > 1 ? edge.into.filter((name) => writers.has(name)) : edge.into;
    const ends = readers.flatMap((reader) => {
      // Keys and values are read wherever their head stands further on; all else stays in its place.
      const places = edge.to.kind === "logits" ? [prompt.last] : moves(edge) ? [...new Set((writers.get(reader) ?? []).map((written) => at(written.from.span)))].filter((ctx) => ctx >= here) : [here];
      return (places.length ? places : [here]).map((ctx) => `${source} ${node(reader, ctx)}`);
    });
    for (const key of ends) {
      // Edges that were removed together share one effect, which counts once.
      const counted = `${key} ${edge.unit}`;
      if (by === "effect" && units.has(counted)) continue;
      units.add(counted);
      links.set(key, (links.get(key) ?? 0) + weightOf(edge, by) / ends.length);
    }
  }
  const ids = (component: string): string[] => [...nodes.values()].filter((known) => known.clerp.startsWith(`${component}:`)).map((known) => known.node_id);
  return {
    metadata: {
      slug: `${homeless(run.model.id)}-${run.title}`.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, ""),
      scan: homeless(run.model.id),
      schema_version: 1,
      transcoder_list: [],
      prompt_tokens: prompt.tokens,
      prompt: prompt.prompt,
      info: {
        description: `${about} Nodes are attention heads and MLPs, not features.${run.spans.length ? ` Positions are those of ${run.spans.map((span) => spanWords(run, span.name)).join(", ")}.` : " Positions were not distinguished: every node is at the last token."} A link's weight is the ${weightWords(run, by)}, summed over a head's query, key and value inputs; that of an input which a group of heads shares is divided equally between them.`,
        generator: { name: "Wheatstone", version: run.versions.wheatstone ?? "" },
        create_time_ms: Date.parse(run.created),
      },
    },
    qParams: {
      pinnedIds: view.pins.filter((pin) => !pin.includes(">")).flatMap((pin) => ids(parse(pin).node)),
      supernodes: labels.supernodes.map(({ name, members }) => [name, ...members.flatMap(ids)]).filter((known) => known.length > 2),
      linkType: "both",
      clickedId: (view.sel && !view.sel.includes(">") && ids(parse(view.sel).node)[0]) || "",
      sg_pos: "",
    },
    nodes: [...nodes.values()],
    links: [...links].map(([key, weight]) => {
      const [source, target] = key.split(" ");
      return { source, target, weight };
    }),
  };
}
