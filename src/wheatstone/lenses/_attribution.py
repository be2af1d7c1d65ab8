"""Direct logit attribution: what every head, MLP and neuron itself writes into the answer's logit.

With the final norm's scale frozen at each prompt's own, the logit difference is a sum over nodes,

    logit(answer) − logit(distractor) = Σ over nodes w of L_x(w)·(answer − distractor)  +  what biases write

and node w's term is its direct effect. Neurons share their MLP's term in the same way.

Source: Wang et al. 2022 (arXiv 2211.00593), section 3.1 ("direct effect on the logit difference"); nostalgebraist 2020.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from wheatstone._progress import Reporter
from wheatstone.lenses._section import Explanation, Material, Section, Table
from wheatstone.models import wide
from wheatstone.verification import mean_intervals

_NEURONS = 40
"""Neurons that are kept, by |mean direct effect|."""


class NodeAttribution(NamedTuple):
    """A node's direct effect over all prompts: a row of attribution_nodes.parquet.

    Args:
        node: such as `a23.h4`, `m29`, `input`; `biases` for what no node writes.
        layer: of the node; None for `input` and `biases`.
        kind: `head`, `mlp`, `input` or `biases`.
        direct: logits, mean over prompts; positive is towards the answer.
        share: of the mean logit difference.
        in_circuit: whether the circuit keeps an edge from it.
    """

    node: str
    layer: int | None
    kind: str
    direct: float
    direct_low: float | None
    direct_high: float | None
    share: float
    in_circuit: bool


class NeuronAttribution(NamedTuple):
    """A neuron's direct effect over all prompts: a row of attribution_neurons.parquet.

    Args:
        neuron: such as `m29.n392`.
        layer: of the neuron.
        direct: logits, mean over prompts.
        activation: mean over prompts, at the last token.
    """

    neuron: str
    layer: int
    direct: float
    direct_low: float | None
    direct_high: float | None
    activation: float


class PromptAttribution(NamedTuple):
    """A node's direct effect on one prompt: a row of attribution_prompts.parquet."""

    prompt: int
    node: str
    direct: float


def direct_effects(material: Material) -> Float[Tensor, "term batch"]:
    """The terms of each prompt's logit difference: every node in order, then what biases write.

    They add up to logit(first answer) − logit(first distractor); without distractors, to logit(answer) − the mean
    over all logits.
    """
    readout, directions = material.readout, material.answer_directions
    nodes = material.last_nodes
    biases = material.last_stream - nodes.sum(0)
    terms = torch.cat([nodes, biases[None]])
    effects = (terms * directions).sum(-1)
    effects[-1] += material.answer_gap(readout.offset[None].expand(material.n, -1))
    return effects


def attribution(material: Material, report: Reporter) -> Explanation:
    """Direct effects of all nodes and of the strongest neurons.

    Args:
        material: read at each clean prompt's last token.
        report: told how far it is.

    When this misleads: the direct effect leaves out all that goes through later layers, which is most of what early
    heads and MLPs do, and a large direct effect may be cancelled by another's. It is no ablation.
    """
    report("direct logit attribution", 0, None)
    graph, effects = material.experiment.graph, direct_effects(material).double().cpu()
    total = float(effects.sum(0).mean())
    senders = {edge.sender.partition("@")[0] for edge in material.circuit.edges}
    names = (*graph.nodes, "biases")
    means, intervals = effects.mean(1).tolist(), mean_intervals(effects.numpy(), material.seed)
    nodes = [
        NodeAttribution(name, *_place(name), mean, *interval, mean / total if total else 0.0, name in senders)
        for name, mean, interval in zip(names, means, intervals, strict=True)
    ]
    neurons = sorted(_neurons(material), key=lambda row: -abs(row.direct))
    measured = material.answer_gap(material.experiment.clean_logits)
    strongest = sorted((row for row in nodes if row.kind in ("head", "mlp")), key=lambda row: -abs(row.direct))
    against = "the distractor" if material.has_distractors else "the mean of all logits"
    summary = {
        "difference": total,
        "measured": float(measured.double().mean()),
        "largest_gap": float((effects.sum(0) - measured.double().cpu()).abs().max()),
        "against": against,
        "heads": [_named(row) for row in strongest if row.kind == "head" and row.direct > 0][:5],
        "against_heads": [_named(row) for row in strongest if row.kind == "head" and row.direct < 0][:3],
        "mlps": [_named(row) for row in strongest if row.kind == "mlp" and row.direct > 0][:3],
        "neurons": [{"name": row.neuron, "direct": row.direct} for row in neurons[:3]],
        "heads_share": sum(row.share for row in nodes if row.kind == "head"),
        "mlps_share": sum(row.share for row in nodes if row.kind == "mlp"),
    }
    none = "" if material.n > 1 else " (none for one prompt)"
    method = (
        f"Direct logit attribution at the last token, the final norm's scale frozen at each prompt's own, n = "
        f"{material.n}: first answer against {against}, mean over prompts, bootstrap 95% intervals{none}. Terms add up "
        f"to the logit difference; largest gap {summary['largest_gap']:.1g} logits."
    )
    prompts = (
        PromptAttribution(prompt, name, value)
        for name, row in zip(names, effects.tolist(), strict=True)
        for prompt, value in enumerate(row)
    )
    tables = {
        "attribution_nodes": Table.of(NodeAttribution, sorted(nodes, key=lambda row: -abs(row.direct))),
        "attribution_neurons": Table.of(NeuronAttribution, neurons[:_NEURONS]),
        "attribution_prompts": Table.of(PromptAttribution, prompts),
    }
    return Explanation(tables, summary, method)


def _neurons(material: Material) -> Iterator[NeuronAttribution]:
    """The strongest neurons of every layer; none of a layer whose MLP routes to experts."""
    model, encoded = material.experiment.model, material.experiment.encoded
    dense = [block.index for block in model.blocks if block.dense]
    if not dense:
        return
    found = model.neurons(encoded.clean, layers=dense).activations
    directions, every = material.answer_directions, range(material.n)
    for layer in dense:
        block = model.blocks[layer]
        activations = wide(found[layer][every, encoded.last])
        with block.present():
            weights = wide(block.neuron_weights)
            effects = activations * (directions @ weights.T)
            if model.family.mlp_output_norm is not None:
                whole = material.last_nodes[material.experiment.graph.mlp_nodes(layer)].sum(0)
                effects = effects * norm_scale(whole, activations @ weights)
        effects = effects.double().cpu().numpy()
        strongest = np.argsort(-np.abs(effects.mean(0)))[:_NEURONS]
        intervals = mean_intervals(effects[:, strongest].T, material.seed)
        for neuron, interval in zip(strongest.tolist(), intervals, strict=True):
            mean, activation = float(effects[:, neuron].mean()), float(activations[:, neuron].mean())
            yield NeuronAttribution(f"m{layer}.n{neuron}", layer, mean, *interval, activation)


def norm_scale(
    written: Float[Tensor, "batch d_model"], before: Float[Tensor, "batch d_model"]
) -> Float[Tensor, "batch 1"]:
    """What a norm on a sublayer's output divides by, from what came out and what went in (times the norm's weight)."""
    return (written * before).sum(-1, keepdim=True) / before.square().sum(-1, keepdim=True)


def _place(name: str) -> tuple[int | None, str]:
    if name in ("input", "biases"):
        return None, name
    layer = int(name[1:].partition(".")[0])
    return layer, "head" if name[0] == "a" else "mlp"


def _named(row: NodeAttribution) -> dict[str, object]:
    return {"name": row.node, "direct": row.direct, "low": row.direct_low, "high": row.direct_high}


ATTRIBUTION = Section("attribution", "Which heads, MLPs and neurons write the answer themselves?", attribution)
