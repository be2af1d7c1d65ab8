"""What a node writes, as tokens that it makes likelier and less likely: through the final norm and the unembedding.

The unembedding is centred over the vocabulary: what is added to all logits alike changes no probability. Only the first
third of the vocabulary is looked at, in most tokenizers the commoner tokens: the rarest, which were hardly trained, are
moved most by almost everything. Whole words come before parts of words.

When this misleads: what a node writes is read by later layers as well, and many nodes write nothing about the next
token. Then the tokens are noise that looks like words.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from wheatstone.models import ResidualModel

_LOOKED = 30
"""Tokens among which whole words are looked for."""
_COMMON = 3
"""Tokens are named from the first of this many parts of the vocabulary."""


@torch.no_grad()
def token_pushes(model: ResidualModel, written: Float[Tensor, "node d_model"]) -> Float[Tensor, "node vocab"]:
    """How what each node writes moves every token's logit, less the mean over tokens; up to the final norm's scale.

    Args:
        model: the model.
        written: what nodes write.
    """
    read = model.unembedded_directions(written.to(model.dtype).to(model.device))
    logits = read @ model.unembedding.weight.T.to(read)
    return (logits - logits.mean(-1, keepdim=True)).float()


def poles(
    model: ResidualModel, written: Float[Tensor, "node d_model"], *, most: int = 5
) -> list[tuple[list[str], list[str]]]:
    """Of each node the tokens that it makes likelier most, and those that it makes less likely most.

    Args:
        model: the model.
        written: what nodes write.
        most: tokens of either.
    """
    found: list[tuple[list[str], list[str]]] = []
    for part in written.split(256):
        pushes = token_pushes(model, part)[:, : max(2 * most, model.vocabulary // _COMMON)]
        sides = [
            [model.decode(row) for row in (sign * pushes).topk(min(_LOOKED, pushes.shape[1])).indices.tolist()]
            for sign in (1, -1)
        ]
        found += [(_words(up, most), _words(down, most)) for up, down in zip(*sides, strict=True)]
    return found


def _words(tokens: Sequence[str], most: int) -> list[str]:
    """Whole words first, in their order; then the rest."""
    whole = [token for token in tokens if token[:1] == " " and token[1:].isalpha()]
    return [*whole, *(token for token in tokens if token not in whole)][:most]
