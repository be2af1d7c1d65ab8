// The words of the page that mean something exact here, each with its definition one hover away.
const TERMS: Record<string, string> = {
  "whole model": "Nothing is ablated.",
  "circuit alone": "Every edge outside the circuit carries what it carries on the counterfactual (or zeros, or means).",
  "without it": "The edges of the circuit are ablated, all others are kept.",
  "without the circuit": "The edges of the circuit are ablated, all others are kept.",
  "random circuits": "As many edges as the circuit has, drawn at random; a mean over the draws.",
  "nothing kept": "Every edge is ablated.",
  faithfulness: "(circuit − ablated) / (model − ablated), of the metric: 1 where the circuit alone does what the model does, 0 where it does no more than with everything ablated.",
  completeness:
    "Share of the metric that is lost when the circuit alone is ablated. 1 does not rule out a second path that shares an edge with it.",
  "held out": "Faithfulness on prompts that the search did not see: the test split, where there is one.",
  "exact effect": "What running the circuit without this edge costs.",
  score: "An estimate of what ablating the edge alone would change, from gradients; it ranks the edges.",
  "removed as": "Edges that were removed together to measure their effect.",
  "kl (nats)": "How far the next-token distribution is from the whole model's; 0 where they are equal.",
  kl: "How far the next-token distribution is from the whole model's; 0 where they are equal.",
  "hit@1": "Share of prompts whose answer is the first choice.",
  "hit@10": "Share of prompts whose answer is among the first ten choices.",
  "ablation, metric": "What takes the place of what is left out; what is measured of the next token.",
  method: "How the edges were chosen.",
  "circuits run": "Exact runs of the model with some edges ablated that the search made.",
  "compared with": "Prompts that differ in what the answer depends on; nodes that are ablated take their values from there.",
  "ablated to": "Where the values of ablated nodes come from.",
  "alone they keep": "The target's value with all other nodes ablated, as a share of what ablating everything takes away.",
  "lost without them": "Share of the target's value that is lost when these nodes alone are ablated.",
  influence: "Share of what reaches the target that passes through it, by the graph's linear weights.",
  share: "Part of everything that the receiver gets.",
  weight: "What the sender adds to the receiver, by the graph's linear rules.",
  sends: "What it adds to all others and the target together, by the linear rules.",
  slope: "What the target would lose without it, by the gradient.",
  effect: "What the target loses when it alone is ablated, run exactly.",
  "from outside": "What nodes that are not in the graph send to it.",
  activation: "The value of the neuron at this token.",
  promotes: "Tokens that what it writes makes likelier, read with the model's unembedding.",
  suppresses: "Tokens that what it writes makes less likely, read with the model's unembedding.",
  density: "Edges that are drawn, of all that could lead forward between the nodes that are drawn.",
  n: "Prompts that it was measured on.",
  edges: "Of the circuit.",
  "made by": "The command that made the run.",
};

/** A word as it is, with its definition where it has one. */
export function Term({ children }: { children: string }) {
  const words = TERMS[children.toLowerCase()];
  return words ? <abbr title={words}>{children}</abbr> : children;
}
