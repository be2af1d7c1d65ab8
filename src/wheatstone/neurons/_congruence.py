"""Congruence of neurons with tokens: how far a neuron's activation pushes a token's logit, straight from the weights.

With w_n what neuron n writes per unit of its activation (its column of the MLP's last projection, times whatever the
model multiplies it with on its way), the congruence of n with token t is

    readout    U_t · γ ⊙ w_n       U the unembedding, γ the final norm's weight (w_n centred where that norm centres)
    embedding  E_t · w_n           E the input embedding

`readout` is what the neuron's write adds to t's logit, per unit of activation and per unit of 1/r, with r the root mean
square (or standard deviation) of the final residual stream: one factor for all neurons and tokens of a position. It
leaves out what later layers do with the write. `embedding` asks for the same token in the input's terms; the article
below used it, on weights with the norm folded in.

A neuron of a gated MLP is active in both directions: one that is congruent with a token at −3 raises it by a negative
activation. So every search here looks both ways, and says which: `sign` 1 or −1.

When this misleads: congruence is about the direct path alone. The residual stream's norm and what later layers write
against the neuron are not in it; see `neuron_effects` for what really happens.

Source: Miller and Neo 2023, "We Found An Neuron in GPT-2", section on congruence.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from wheatstone._errors import ModelError, RequestError
from wheatstone.models import Neuron, ResidualModel

Reading = Literal["readout", "embedding"]


@dataclass(frozen=True, eq=False)
class Congruence:
    """Reads neurons of a model as tokens, by its own weights, a layer at a time.

    Args:
        model: the model.
        reading: `readout` or `embedding`.

    Raises:
        ModelError: an MLP has no neurons, or the matrix of tokens is not there to be read.
        RequestError: another reading.
    """

    model: ResidualModel
    reading: str = "readout"

    def __post_init__(self) -> None:
        if self.reading not in get_args(Reading):
            choices = " or ".join(get_args(Reading))
            raise RequestError(expected=choices, got=repr(self.reading), do="choose one of these")
        _ = self.sizes  # which refuses an MLP without neurons
        if self.tokens.is_meta or self.tokens.shape[1] != self.directions(0).shape[1]:
            raise ModelError(
                expected=f"the token matrix of {self.model.id} in memory and as wide as what neurons write",
                got=f"{tuple(self.tokens.shape)} on {self.tokens.device}",
                do="load the model on one device, or use the other reading",
            )

    @property
    def sizes(self) -> tuple[int, ...]:
        """Neurons of each layer."""
        return tuple(block.neurons for block in self.model.blocks)

    @property
    def tokens(self) -> Float[Tensor, "vocab d_vocab"]:
        """What neurons are compared with: a row for each token, as the checkpoint has it."""
        matrix = self.model.unembedding if self.reading == "readout" else self.model.module.get_input_embeddings()
        weight = matrix.weight
        assert isinstance(weight, Tensor)
        return weight

    def directions(self, layer: int) -> Float[Tensor, "neuron d_vocab"]:
        """What a layer's neurons write per unit of activation, as the token matrix meets it."""
        block = self.model.blocks[layer]
        with block.present():
            written = block.neuron_weights.to(self.tokens.device)
            return self.model.unembedded_directions(written) if self.reading == "readout" else written.contiguous()

    def of_neuron(self, neuron: Neuron) -> Float[Tensor, " vocab"]:
        """One neuron's congruence with every token."""
        return (self.tokens @ self.directions(neuron.layer)[neuron.index]).cpu()

    def of_token(self, token: int) -> Float[Tensor, " neuron"]:
        """One token's congruence with every neuron, layer by layer."""
        row = self.tokens[token]
        return torch.cat([(self.directions(layer) @ row).cpu() for layer in range(len(self.sizes))])

    def by_neuron(self, use: Callable[[int, Tensor], None], *, tile: int) -> None:
        """Gives every layer's directions in tiles of neurons.

        Args:
            use: called with (the first neuron's place on the neuron axis, directions [neuron, d_vocab]).
            tile: most neurons in one.
        """
        first = 0
        for layer, size in enumerate(self.sizes):
            directions = self.directions(layer)
            for start in range(0, size, tile):
                use(first + start, directions[start : start + tile])
            first += size


def token_of(model: ResidualModel, text: str) -> int:
    """The token that a text is, its leading space included.

    Raises:
        RequestError: it is none, or several.
    """
    ids = model.continuation(text)
    if len(ids) != 1:
        parts = ", ".join(map(repr, model.decode(ids))) or "none"
        whole = any(len(model.continuation(part)) == 1 for part in model.decode(ids))  # else parts of characters
        raise RequestError(
            expected="a text that is one token of the model, with its leading space where it has one",
            got=f"{text!r}, which is {len(ids)} tokens ({parts})",
            do=f"choose {'one of them' if whole else 'another text'}, or add or leave out the leading space",
        )
    return ids[0]
