"""Which MLPs carry an answer straight to the logits, and which few neurons of the strongest carry it there.

The MLPs are found by path patching straight to the logits. Of the strongest, every neuron is screened by gradient and
the strongest are exactly patched. What some neurons alone keep is what is left of the MLP's effect when all its other
neurons are patched:

    kept = 1 − effect(all others) / effect(all)

Neurons that were chosen for their effect on some prompts keep too much there: measure them on others (`held_out`).

Source: Hanna, Liu and Variengien 2023 (arXiv 2305.00586), sections 3 and 4, on greater-than; any task will do.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from wheatstone._errors import RequestError
from wheatstone._intervals import mean_intervals, ratio_interval
from wheatstone._progress import Reporter, silent
from wheatstone.circuits import Experiment
from wheatstone.discovery import path_patching
from wheatstone.mechanisms._years_summary import Kept, MlpToLogits
from wheatstone.neurons import Patching, neuron_effects, screen_neurons

_SCREENED = 3
"""Neurons that are exactly patched for each one that is asked for."""


def mlps_to_logits(experiment: Experiment, *, report: Reporter = silent) -> list[MlpToLogits]:
    """Every MLP's direct effect, largest |effect| first.

    When this misleads: an MLP that acts by way of later ones has no direct effect.
    """
    mlps = [name for name in experiment.graph.nodes if name.startswith("m")]
    effects = path_patching(experiment, mlps, through="direct", report=report).values.double().numpy()
    gap = float(experiment.clean.mean() - experiment.corrupt.mean())
    rows = [
        MlpToLogits(mlp, len(of), float(of.mean()), low, high, float(of.mean()) / gap)
        for mlp, of, (low, high) in zip(mlps, effects, mean_intervals(effects), strict=True)
    ]
    return sorted(rows, key=lambda row: -abs(row.effect))


class NeuronOfMlp(NamedTuple):
    """One of the strongest neurons: a row of neurons_of_mlp.parquet.

    Args:
        neuron: such as `m23.n41`.
        n: prompts that it was measured on.
        effect: metric lost when it alone is patched from the counterfactual, exact, mean over prompts.
        share: of its MLP's effect.
    """

    neuron: str
    n: int
    effect: float
    effect_low: float | None
    effect_high: float | None
    share: float


def strongest_neurons(
    experiment: Experiment,
    layer: int,
    *,
    held_out: Experiment | None = None,
    count: int = 10,
    draws: int = 10,
    seed: int = 0,
    report: Reporter = silent,
) -> tuple[list[NeuronOfMlp], Kept]:
    """The neurons of one MLP that carry the metric, and how much of it they keep alone.

    Args:
        experiment: model, prompts and metric, under the counterfactual ablation: neurons are chosen on these prompts.
        layer: of the MLP.
        held_out: the same on other prompts, which everything that is returned but `chosen_kept` is measured on; the
            prompts that choose by default, which flatters.
        count: neurons wanted, at least 1.
        draws: random sets of as many neurons to compare with.
        seed: of the sets.
        report: progress callback.

    Raises:
        RequestError: another ablation, or no such number of neurons.
        ModelError: the MLP has no neurons (a mixture of experts).

    When this misleads: effects go all ways, not only straight to the logits. Neurons that no slope shows are not
    among the ones that are patched. Effects of single neurons do not add up.
    """
    patching = Patching(experiment, "noising")
    block = experiment.model.blocks[layer]
    if not 0 < count <= block.neurons:
        raise RequestError(expected=f"1 to {block.neurons} neurons", got=str(count), do="ask for fewer")
    screen = screen_neurons(patching, top=0, report=report)
    mine = [place for place, neuron in enumerate(screen.neurons) if neuron.layer == layer]
    order = screen.shares[mine].abs().argsort(descending=True, stable=True)[: _SCREENED * count].tolist()
    tried = [screen.neurons[mine[place]] for place in sorted(order)]
    exact = neuron_effects(patching, tried, report=report).double()
    best = exact.mean(-1).abs().argsort(descending=True, stable=True)[:count].tolist()
    neurons = [tried[place] for place in best]
    generator = torch.Generator().manual_seed(seed)
    random = [torch.randperm(block.neurons, generator=generator)[:count].tolist() for _ in range(draws)]
    sets = [[neuron.index for neuron in neurons], *random]
    measured = patching if held_out is None else Patching(held_out, "noising")
    effects = exact[best] if held_out is None else neuron_effects(measured, neurons, report=report).double()
    whole, *others = _without_others(measured, layer, sets, report)
    chosen = kept = [float(1 - effect.mean() / whole.mean()) for effect in others]
    if held_out is not None:
        there, alone = _without_others(patching, layer, sets[:1], report)
        chosen = [float(1 - alone.mean() / there.mean())]
    low, high = ratio_interval((whole - others[0]).numpy(), whole.numpy()) or (None, None)
    rows = [
        NeuronOfMlp(str(neuron), len(values), float(values.mean()), *interval, float(values.mean() / whole.mean()))
        for neuron, values, interval in zip(neurons, effects, mean_intervals(effects.numpy()), strict=True)
    ]
    lost = [float(effect.mean()) / measured.gap for effect in (whole, others[0])]
    by_chance = (float(np.mean(kept[1:])), min(kept[1:]), max(kept[1:]), draws)
    about = (effects.shape[1], exact.shape[1], held_out is not None, chosen[0])
    return rows, Kept(
        count, block.neurons, float(whole.mean()), kept[0], low, high, *by_chance, lost[0], lost[1], *about
    )


def _without_others(
    patching: Patching, layer: int, sets: list[list[int]], report: Reporter
) -> Float[Tensor, "run batch"]:
    """Metric lost with all neurons of an MLP patched, then with all but each of some sets."""
    block, node = patching.experiment.model.blocks[layer], patching.experiment.graph.mlp_nodes(layer).start
    own, other = patching.neurons.activations[layer], patching.other_neurons.activations[layer]
    with block.present():
        wrote = block.mlp_of_neurons(own)

    def change(index: int) -> Float[Tensor, "batch pos d_model"]:
        patched = other.clone()
        if index:
            patched[..., sets[index - 1]] = own[..., sets[index - 1]]
        with block.present():
            return (block.mlp_of_neurons(patched) - wrote) * patching.at(None)[..., None]

    return patching.effects([node] * (len(sets) + 1), change, stage="patching an MLP", report=report).double()
