"""Every neuron of the model screened by gradient, the strongest confirmed by exact runs.

A neuron's activation a (in a gated MLP, gate x up) is an input of the MLP's last projection. With base the run that is
patched and other the run it is patched from (see `Patching`),

    estimate(n) = ± sum over positions of (a_other − a_base) · ∂metric/∂a  at the base run,   + denoising, − noising

one forward and one backward pass for all neurons at all positions; it is the attribution of `node_scores`, a neuron
being a node. The neurons with the largest |mean estimate| are then really patched, one at a time, in batches.

Sources: Miller and Neo 2023, for the patched neurons; Kramár et al. 2024 (arXiv 2403.00745), section 2, for
attribution patching; Nanda 2023, "Attribution Patching".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from wheatstone._errors import RequestError
from wheatstone._intervals import rank_correlation
from wheatstone._progress import Reporter, silent
from wheatstone._view import Brief, Tabular
from wheatstone.models import Neuron, NeuronRecording
from wheatstone.neurons._patches import Patching

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, eq=False)
class Confirmed(Brief):
    """A neuron that was really patched.

    Args:
        neuron: which.
        estimate: what the screen said, as a share of the difference.
        exact: the same from a real run, all positions patched.
        exact_last: with the last position alone patched.
        effects: exact, on each prompt, in units of the metric.
        mlp: exact recovery of its whole MLP, all positions.
        clean: its activation at the last position on the clean prompts, mean.
        corrupt: on the counterfactuals.
    """

    neuron: Neuron
    estimate: float
    exact: float
    exact_last: float
    effects: tuple[float, ...]
    mlp: float
    clean: float
    corrupt: float

    @property
    def share_of_mlp(self) -> float | None:
        """Of its MLP's recovery; None where a share means little.

        That is where the MLP recovers less than 10% of the difference, and where the neuron pulls against the rest of
        its MLP or recovers more than all of it.
        """
        share = self.exact / self.mlp if abs(self.mlp) >= _LEAST else -1.0
        return share if 0 <= share <= 1 else None


_LEAST = 0.1
"""Least recovery of an MLP for which shares are given."""


@dataclass(frozen=True, eq=False, repr=False)
class NeuronScreen(Tabular):
    """All neurons, and the confirmed ones.

    Args:
        patching: what was patched into what.
        sizes: neurons of each layer; the neuron axis is layer by layer.
        estimates: of every neuron on every prompt, in units of the metric.
        by_position: mean over prompts, positions counted from the end; 0 before a prompt's start.
        confirmed: exactly patched, largest |exact| first.
        mlps: exact recovery of every layer's whole MLP.
    """

    patching: Patching
    sizes: tuple[int, ...]
    estimates: Float[Tensor, "neuron batch"]
    by_position: Float[Tensor, "neuron pos"]
    confirmed: tuple[Confirmed, ...]
    mlps: tuple[float, ...]

    def to_arrow(self) -> pa.Table:
        """The confirmed neurons as an Arrow table, strongest first."""
        import pyarrow as pa

        names = ("estimate", "exact", "exact_last", "mlp", "share_of_mlp", "clean", "corrupt")
        columns: dict[str, Any] = {"neuron": [str(row.neuron) for row in self.confirmed]}
        return pa.table(columns | {name: [getattr(row, name) for row in self.confirmed] for name in names})

    def _title(self) -> str:
        return f"NeuronScreen of {len(self.neurons):,} neurons: {len(self.confirmed)} patched exactly"

    @cached_property
    def neurons(self) -> tuple[Neuron, ...]:
        """The neuron axis."""
        return tuple(Neuron(layer, index) for layer, size in enumerate(self.sizes) for index in range(size))

    @cached_property
    def shares(self) -> Float[Tensor, " neuron"]:
        """Estimates as shares of the difference, averaged over prompts."""
        return self.patching.share(self.estimates)

    @property
    def rank_correlation(self) -> float:
        """Spearman's, of estimate and exact effect over the confirmed neurons; NaN for fewer than three, or equal ones.

        When this misleads: the confirmed neurons were chosen by their estimates, which narrows the range.
        """
        estimates, exact = [row.estimate for row in self.confirmed], [row.exact for row in self.confirmed]
        ranks = rank_correlation(np.array(estimates), np.array(exact))
        return float("nan") if ranks is None else ranks.value


def screen_neurons(
    patching: Patching,
    *,
    top: int = 100,
    chosen_on: Sequence[int] | None = None,
    only: Sequence[Neuron] | None = None,
    report: Reporter = silent,
) -> NeuronScreen:
    """Screens every neuron by gradient and confirms the strongest exactly.

    Args:
        patching: the runs; denoising by default, which is the patch score.
        top: how many to confirm, those with the largest |estimate| over all positions.
        chosen_on: numbers of the prompts whose estimates choose them; all by default.
        only: confirm these neurons instead.
        report: progress callback.

    Raises:
        ModelError: an MLP has no neurons (a mixture of experts).
        RequestError: fewer than none are to be confirmed.

    When this misleads: an estimate is a slope at one run and misses what saturates; a neuron whose effect the slope
    does not show is not confirmed. Many neurons that carry little each can carry more together than the best one.
    """
    if top < 0:
        raise RequestError(expected="a number of neurons to confirm, 0 or more", got=str(top), do="give such a number")
    estimates, by_position = _estimates(patching, report)
    sizes = tuple(block.neurons for block in patching.experiment.model.blocks)
    screen = NeuronScreen(patching, sizes, estimates, by_position, (), mlp_recovery(patching, report=report))
    shares = estimates if chosen_on is None else estimates[:, list(chosen_on)]
    order = shares.mean(-1).abs().argsort(descending=True, stable=True)[:top].tolist()
    if only is not None:
        order = [screen.neurons.index(neuron) for neuron in only]
    return replace(screen, confirmed=_confirmed(screen, order, report))


def neuron_effects(
    patching: Patching, neurons: Sequence[Neuron], *, position: int | None = None, report: Reporter = silent
) -> Float[Tensor, "patch batch"]:
    """Exact effects of neurons, each patched alone, in units of the metric.

    Args:
        patching: the runs.
        neurons: which; those of one layer in a row are the fastest.
        position: counted from the end, -1 for the last; all by default.
        report: progress callback.

    Returns:
        What the metric gains (denoising) or loses (noising); `patching.share` makes shares of it.
    """
    graph, blocks = patching.experiment.model.graph, patching.experiment.model.blocks
    own, other = patching.neurons.activations, patching.other_neurons.activations
    where = patching.at(position)

    def change(index: int) -> Float[Tensor, "batch pos d_model"]:
        layer, at = neurons[index].layer, neurons[index].index
        moved = (other[layer][..., at] - own[layer][..., at]) * where.to(own[layer].device)
        with blocks[layer].present():
            return blocks[layer].neuron_changes(own[layer], [at], moved[None])[0]

    nodes = [graph.mlp_nodes(neuron.layer).start for neuron in neurons]
    return patching.effects(nodes, change, stage="patching neurons", report=report)


def mlp_recovery(
    patching: Patching, layers: Sequence[int] | None = None, *, report: Reporter = silent
) -> tuple[float, ...]:
    """Exact recovery of whole MLPs, all positions patched.

    Args:
        patching: the runs.
        layers: whose MLPs; all by default.
        report: progress callback.
    """
    graph = patching.experiment.model.graph
    layers = range(graph.layers) if layers is None else layers
    writes = (patching.other.stream - patching.plain.stream).diff(dim=0)[1::2]
    nodes = [graph.mlp_nodes(layer).start for layer in layers]
    effects = patching.effects(nodes, lambda at: writes[layers[at]], stage="patching MLPs", report=report)
    return tuple(patching.share(effects).tolist())


def _estimates(patching: Patching, report: Reporter) -> tuple[Tensor, Tensor]:
    """The screen: of every neuron on every prompt, and by position counted from the end."""
    experiment, others = patching.experiment, patching.other_neurons.activations
    report("screening neurons", 0, 1)
    inside = patching.at(None)
    by_position: list[Tensor] = []

    def products(rows: slice, found: NeuronRecording) -> Float[Tensor, "neuron batch"]:
        scores: list[Tensor] = []
        summed: list[Tensor] = []
        for layer, own in found.activations.items():
            product = (others[layer][rows] - own) * found.gradients[layer] * patching.sign
            product = torch.where(inside[rows, :, None].to(own.device), product, 0).movedim(-1, 0).cpu()
            scores.append(product.sum(-1))
            summed.append(patching.from_end(product, rows).sum(1))
        by_position.append(torch.cat(summed))
        return torch.cat(scores)

    budget = experiment.memory
    pieces = experiment.model.neuron_gradients(patching.tokens, experiment.step_values, products, budget)
    report("screening neurons", 1, 1)
    return torch.cat(pieces, dim=1), torch.stack(by_position).sum(0) / patching.tokens.batch


def _confirmed(screen: NeuronScreen, order: Sequence[int], report: Reporter) -> tuple[Confirmed, ...]:
    """Patches the neurons at these places of the neuron axis; layer by layer, as runs of neighbours belong together."""
    patching, places = screen.patching, sorted(order)
    neurons = [screen.neurons[place] for place in places]
    everywhere = neuron_effects(patching, neurons, report=report)
    last = neuron_effects(patching, neurons, position=-1, report=report)
    runs = (patching.neurons, patching.other_neurons)
    corrupt, clean = (run.activations for run in runs[:: patching.sign])
    rows = [
        Confirmed(
            neuron=neuron,
            estimate=float(screen.shares[place]),
            exact=float(patching.share(effects)),
            exact_last=float(patching.share(effects_last)),
            effects=tuple(effects.tolist()),
            mlp=screen.mlps[neuron.layer],
            clean=float(patching.last(clean[neuron.layer][..., neuron.index]).mean()),
            corrupt=float(patching.last(corrupt[neuron.layer][..., neuron.index]).mean()),
        )
        for place, neuron, effects, effects_last in zip(places, neurons, everywhere, last, strict=True)
    ]
    return tuple(sorted(rows, key=lambda row: -abs(row.exact)))
