"""One neuron over all tokens, one token over all neurons: the ends of the distribution, and its shape."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from wheatstone.models import Neuron
from wheatstone.neurons._congruence import Congruence


class CongruentToken(NamedTuple):
    """A token and its congruence with the neuron that was asked about."""

    token: int
    text: str
    congruence: float


class Histogram(NamedTuple):
    """How values are spread.

    Args:
        low: where the first bin begins.
        high: where the last one ends.
        counts: in bins of equal width.
        mean: of the values.
        std: their standard deviation.
    """

    low: float
    high: float
    counts: tuple[int, ...]
    mean: float
    std: float

    @classmethod
    def of(cls, values: Float[Tensor, " n"], *, bins: int = 80) -> Histogram:
        """Counts values.

        Args:
            values: at least one.
            bins: how many.
        """
        numbers = values.double().numpy()
        counts, edges = np.histogram(numbers, bins=bins)
        return cls(
            float(edges[0]), float(edges[-1]), tuple(counts.tolist()), numbers.mean().item(), numbers.std().item()
        )


def ends_of(
    congruence: Congruence, neuron: Neuron, *, most: int = 20
) -> tuple[tuple[CongruentToken, ...], tuple[CongruentToken, ...], Histogram]:
    """What a positive activation of a neuron promotes and suppresses most (a negative one the other way round).

    Args:
        congruence: model and reading.
        neuron: which.
        most: tokens of each.

    Returns:
        Promoted tokens, the most congruent first; suppressed, the least congruent first; all tokens' histogram.
    """
    values = congruence.of_neuron(neuron)

    def strongest(largest: bool) -> tuple[CongruentToken, ...]:
        ids = values.topk(min(most, len(values)), largest=largest).indices.tolist()
        texts = congruence.model.decode(ids)
        return tuple(CongruentToken(t, text, float(values[t])) for t, text in zip(ids, texts, strict=True))

    return strongest(True), strongest(False), Histogram.of(values)


def neurons_of_token(
    congruence: Congruence, token: int, *, most: int = 20
) -> tuple[tuple[tuple[Neuron, float], ...], Histogram]:
    """The neurons most congruent with a token, whichever way, and all neurons' histogram.

    Args:
        congruence: model and reading.
        token: which.
        most: neurons to tell.
    """
    values = congruence.of_token(token)
    bounds = torch.tensor(congruence.sizes).cumsum(0)
    found: list[tuple[Neuron, float]] = []
    for place in values.abs().topk(min(most, len(values))).indices.tolist():
        layer = int((bounds <= place).sum())
        found.append((Neuron(layer, place - int(bounds[layer]) + congruence.sizes[layer]), float(values[place])))
    return tuple(found), Histogram.of(values)
