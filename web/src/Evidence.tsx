// What a neuron does in running text: from a corpus scan of the same weights, read when it is wanted.
import type { Graph } from "./server";

export function Evidence(_: { graph: Graph; neuron: string }) {
  return null;
}
