"""Texts to put before a prompt, so that a key is the subject's and not that of one sentence's beginning.

Source: Meng et al. 2022 (arXiv 2202.05262), section 3.1: prefixes that the model itself made.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from wheatstone.editing._asked import Asked, asked
from wheatstone.editing._corpus import model_samples
from wheatstone.editing._edit import unedited
from wheatstone.editing._passes import at, mlp_inside
from wheatstone.models import ResidualModel, Tokens

_SHORT, _LONG = 3, 8
"""Tokens of a prefix."""


def in_contexts(model: ResidualModel, request: Asked, contexts: int) -> list[Asked]:
    """A request alone, and after prefixes of several lengths.

    Args:
        model: the model.
        request: the request.
        contexts: how many prefixes.
    """
    if contexts == 0:
        return [request]
    with unedited(model):
        samples = model_samples(model)
    lengths = [_SHORT + place * (_LONG - _SHORT) // max(1, contexts - 1) for place in range(contexts)]
    texts = [model.written(row[:length]) for row, length in zip(samples.tolist(), lengths, strict=False)]
    prefixes = (" ".join(text.split()).rstrip(".") + ". " for text in texts)
    return [request, *(asked(model, request.request, prefix) for prefix in prefixes)]


def keys_of(model: ResidualModel, layer: int, contexts: Sequence[Asked]) -> Float[Tensor, "context neuron"]:
    """What the layer's memory is asked with at the subject's last token."""
    tokens = Tokens.of([one.prompt for one in contexts], model.device)
    return keys_at(model, layer, tokens, torch.tensor([one.key_at for one in contexts], device=model.device))


def keys_at(
    model: ResidualModel, layer: int, tokens: Tokens, positions: Int[Tensor, " batch"]
) -> Float[Tensor, "batch neuron"]:
    """What the layer's memory is asked with at a position of each prompt."""
    neurons, _, _ = mlp_inside(model, tokens, layer)
    return at(neurons, positions)
