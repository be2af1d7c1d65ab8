"""Direct logit attribution: what every head, MLP and neuron itself writes into the answer's logit.

With the final norm's scale frozen at each prompt's own, the logit of the first answer less that of the first distractor
is a sum over nodes,

    logit(answer) − logit(distractor) = Σ over nodes w of L_x(w)·(answer − distractor)  +  what biases write

and node w's term is its direct effect. Neurons share their MLP's term in the same way. It is the metric `logit_diff`
where answer and distractor are written in one way; that metric takes all their spellings together.

Terms of both signs nearly cancel, so a term's share of their sum says little: logits are what is reported.

Source: Wang et al. 2022 (arXiv 2211.00593), section 3.1 ("direct effect on the logit difference"); nostalgebraist 2020.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from wheatstone._intervals import halves_of, interval_note, mean_intervals, measured_on
from wheatstone._progress import Reporter
from wheatstone.lenses._section import Explanation, Material, Section
from wheatstone.lenses._summaries import AttributionSummary, NamedEffect
from wheatstone.models import wide
from wheatstone.runs import Table

_NEURONS = 40
"""Neurons that are kept, by |mean direct effect|."""
_KINDS = ("head", "mlp", "input", "biases")


class NodeAttribution(NamedTuple):
    """A node's direct effect over all prompts: a row of attribution_nodes.parquet.

    Args:
        node: such as `a23.h4`, `m29`, `input`; `biases` for what no node writes.
        layer: of the node; None for `input` and `biases`.
        kind: `head`, `mlp`, `input` or `biases`.
        direct: logits, mean over prompts; positive is towards the answer.
        share: of the mean difference; may be far beyond 1 where terms cancel.
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
        report: progress callback.

    When this misleads: the direct effect leaves out all that goes through later layers, which is most of what early
    heads and MLPs do, and a large direct effect may be cancelled by another's. It is no ablation.
    """
    report("direct logit attribution", 0, None)
    graph, effects = material.experiment.graph, direct_effects(material).double().cpu()
    total = float(effects.sum(0).mean())
    senders = {edge.sender.partition("@")[0] for edge in material.circuit.edges}
    names = (*graph.nodes, "biases")
    halves = halves_of(material.n)
    order = effects if halves is None else effects[:, list(halves[0])]
    strength = dict(zip(names, order.mean(1).tolist(), strict=True))
    held = effects if halves is None else effects[:, list(halves[1])]
    of_others = dict(zip(names, zip(held.mean(1).tolist(), mean_intervals(held.numpy()), strict=True), strict=True))
    means, intervals = effects.mean(1).tolist(), mean_intervals(effects.numpy())
    nodes = [
        NodeAttribution(name, *_place(name), mean, *interval, mean / total if total else 0.0, name in senders)
        for name, mean, interval in zip(names, means, intervals, strict=True)
    ]
    neurons = sorted(_neurons(material), key=lambda row: -abs(row.direct))
    by_half = _best_neurons(material)
    measured = material.answer_gap(material.experiment.clean_logits)
    strongest = sorted((row for row in nodes if row.kind in ("head", "mlp")), key=lambda row: -abs(strength[row.node]))

    def named(kind: str, sign: int, most: int) -> tuple[NamedEffect, ...]:
        """The strongest on one half of the prompts, with their numbers on the other."""
        rows = [row for row in strongest if row.kind == kind and sign * strength[row.node] > 0][:most]
        return tuple(_named(row.node, of_others[row.node]) for row in rows)

    against = "the distractor" if material.has_distractors else "the mean of all logits"
    summary = AttributionSummary(
        difference=total,
        measured=float(measured.double().mean()),
        largest_gap=float((effects.sum(0) - measured.double().cpu()).abs().max()),
        against=against,
        heads=named("head", 1, 5),
        against_heads=named("head", -1, 3),
        mlps=named("mlp", 1, 3),
        neurons=by_half,
        n=held.shape[1],
        held_out=halves is not None,
        parts={kind: sum(row.direct for row in nodes if row.kind == kind) for kind in _KINDS},
    )
    method = (
        f"Direct logit attribution at the last token, the final norm's scale frozen at each prompt's own, n = "
        f"{material.n}: first answer against {against}, mean over prompts, {interval_note(held.shape[1])}. The "
        f"components named in sentences are {measured_on(material.n)}. Terms add up to the difference; largest gap "
        f"{summary.largest_gap:.1g} logits."
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


def _best_neurons(material: Material, most: int = 3) -> tuple[NamedEffect, ...]:
    """The strongest neurons on one half of the prompts, with their effects on the other."""
    halves = halves_of(material.n)
    chosen, measured = (None, None) if halves is None else (list(half) for half in halves)
    found: list[tuple[float, str, np.ndarray]] = []
    for layer, effects, _ in _neuron_effects(material):
        order = effects if chosen is None else effects[chosen]
        held = effects if measured is None else effects[measured]
        best = np.argsort(-np.abs(order.mean(0)))[:most]
        found += [(abs(float(order[:, at].mean())), f"m{layer}.n{at}", held[:, at]) for at in best.tolist()]
    rows = sorted(found, key=lambda row: -row[0])[:most]
    return tuple(_named(name, (float(values.mean()), mean_intervals(values[None])[0])) for _, name, values in rows)


def _neurons(material: Material) -> Iterator[NeuronAttribution]:
    """The strongest neurons of every layer."""
    for layer, effects, activations in _neuron_effects(material):
        strongest = np.argsort(-np.abs(effects.mean(0)))[:_NEURONS]
        intervals = mean_intervals(effects[:, strongest].T)
        for neuron, interval in zip(strongest.tolist(), intervals, strict=True):
            mean, activation = float(effects[:, neuron].mean()), float(activations[:, neuron].mean())
            yield NeuronAttribution(f"m{layer}.n{neuron}", layer, mean, *interval, activation)


def _neuron_effects(material: Material) -> Iterator[tuple[int, np.ndarray, Float[Tensor, "batch neuron"]]]:
    """Direct effects [prompt, neuron] and activations, layer by layer; none where an MLP routes to experts."""
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
        yield layer, effects.double().cpu().numpy(), activations


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


def _named(name: str, numbers: tuple[float, tuple[float | None, float | None]]) -> NamedEffect:
    direct, interval = numbers
    return NamedEffect(name, direct, *interval)


ATTRIBUTION = Section("attribution", "Which heads, MLPs and neurons write the answer themselves?", attribution)
