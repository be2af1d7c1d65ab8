"""One neuron over all tokens, one token over all neurons: the ends of the distribution, and its shape."""

from __future__ import annotations

from collections.abc import Iterator
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


class TokenWriter(NamedTuple):
    """A neuron that writes a token.

    Args:
        neuron: by name.
        layer: of the neuron.
        sign: 1 where a positive activation raises the token's logit, −1 where a negative one does.
        write: added to the token's logit less the mean of all logits, per unit of activation and of 1/r (`Congruence`).
        z: of sign · write, among all neurons.
        rank: of the token among all tokens that the neuron raises with that sign, 1 for the first.
    """

    neuron: str
    layer: int
    sign: int
    write: float
    z: float
    rank: int


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
    return tuple(_strongest(congruence, values, most)), Histogram.of(values)


def _strongest(congruence: Congruence, values: Float[Tensor, " neuron"], most: int) -> Iterator[tuple[Neuron, float]]:
    """The neurons of the largest |value|, and the values; `values` go through the layers."""
    bounds = torch.tensor(congruence.sizes).cumsum(0)
    for place in values.abs().topk(min(most, len(values))).indices.tolist():
        layer = int((bounds <= place).sum())
        yield Neuron(layer, place - int(bounds[layer]) + congruence.sizes[layer]), float(values[place])


def writers_of(congruence: Congruence, token: int, *, most: int = 20) -> tuple[TokenWriter, ...]:
    """The neurons that write a token most, by their output weights and the centred unembedding.

    The write is (U_t − mean U) · γ ⊙ w_n: what adding a constant to all logits does not change.

    Args:
        congruence: model and reading.
        token: its id.
        most: neurons to list.

    Returns:
        Largest |write| first.

    When this misleads: weights say what a neuron would write, not when it is active, nor what later layers do with it.
    `wheatstone.neurons.screen` measures neurons on prompts.
    """
    matrix = congruence.tokens
    precise = torch.promote_types(matrix.dtype, torch.float32)
    row = matrix[token].to(precise) - matrix.mean(0, dtype=precise)
    layers = range(len(congruence.sizes))
    writes = torch.cat([(congruence.directions(layer).to(precise) @ row).double().cpu() for layer in layers])
    mean, spread = float(writes.mean()), float(writes.std())
    found: list[TokenWriter] = []
    for neuron, write in _strongest(congruence, writes, most):
        sign = 1 if write >= 0 else -1
        values = sign * congruence.of_neuron(neuron)
        z = sign * (write - mean) / spread if spread else 0.0
        found.append(TokenWriter(str(neuron), neuron.layer, sign, write, z, int((values >= values[token]).sum())))
    return tuple(found)
