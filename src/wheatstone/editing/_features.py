"""What a matrix reads where a target token is predicted, and the gradient by what it writes there; their statistics."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from wheatstone.editing._corpus import model_samples
from wheatstone.editing._edit import unedited
from wheatstone.editing._weights import Projection
from wheatstone.models import ResidualModel, Tokens, start_token

_INSIDE = 16
"""Tokens of a text before its target."""


@dataclass(frozen=True, eq=False)
class Moments:
    """Count, mean and summed squared deviations of rows; `+` gives those of both sets of rows together."""

    count: int
    mean: Float[Tensor, " feature"]
    squares: Float[Tensor, " feature"]

    @classmethod
    def of(cls, columns: Float[Tensor, "feature row"]) -> Moments:
        """Those of some rows, each a column."""
        exact = columns.double()
        mean = exact.mean(1)
        return cls(exact.shape[1], mean, (exact - mean[:, None]).square().sum(1))

    def __add__(self, other: Moments) -> Moments:
        count, apart = self.count + other.count, other.mean - self.mean
        squares = self.squares + other.squares + apart.square() * (self.count * other.count / count)
        return Moments(count, self.mean + apart * (other.count / count), squares)

    def normalised(self, columns: Float[Tensor, "feature row"]) -> Float[Tensor, "feature row"]:
        """(x − μ) / σ; 0 where σ is 0."""
        deviation = (self.squares / max(1, self.count - 1)).sqrt()[:, None]
        return torch.where(deviation > 0, (columns.double() - self.mean[:, None]) / deviation, 0.0)


def features_of_texts(model: ResidualModel, places: Sequence[Projection], most: int) -> dict[str, Tensor]:
    """(h, v) of one token in each of the unedited model's own texts, whose next token is the target. Kept in memory.

    Args:
        model: the model.
        places: the matrices.
        most: texts.
    """
    kept = _REMEMBERED.setdefault(model.module, {})
    asked_for = (most, *(where.name for where in places))
    if asked_for not in kept:
        with unedited(model):
            rows = [row[: _INSIDE + 1] for row in model_samples(model)[:most].tolist()]
            tokens = Tokens.of([[start_token(model), *row[:-1]] for row in rows], model.device)
            following = torch.full_like(tokens.ids, -100)
            following[:, -1] = torch.tensor([row[-1] for row in rows], device=model.device)
            kept[asked_for] = features_of(model, places, tokens, following)
    return kept[asked_for]


_REMEMBERED: WeakKeyDictionary[nn.Module, dict[tuple[int | str, ...], dict[str, Tensor]]] = WeakKeyDictionary()


def features_of(
    model: ResidualModel, places: Sequence[Projection], tokens: Tokens, following: Int[Tensor, "batch pos"]
) -> dict[str, Float[Tensor, "feature row"]]:
    """(h, v) of every token with one to follow, by name of the weight.

    Args:
        model: the model.
        places: the matrices.
        tokens: the prompts with their targets.
        following: the token that is to follow each, −100 where none is asked for.
    """
    wanted = following >= 0
    columns = wanted.any(0).nonzero()[:, 0]
    hidden: dict[str, Tensor] = {}
    added: dict[str, Tensor] = {}

    def read(name: str, _module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> Tensor:
        hidden[name] = inputs[0].detach()[wanted]
        added[name] = torch.zeros_like(output, requires_grad=True)
        return output + added[name]

    with ExitStack() as hooks, torch.enable_grad(), model.rotary.alone(tokens.lengths):
        for where in places:
            hooks.callback(where.module.register_forward_hook(partial(read, where.name)).remove)
        module: Any = model.module
        logits = module(tokens.ids, use_cache=False, logits_to_keep=columns).logits[wanted[:, columns]]
        missing = torch.nn.functional.cross_entropy(logits.float(), following[wanted], reduction="none")
        each = wanted.sum(1, keepdim=True).expand_as(wanted)[wanted]
        slopes = torch.autograd.grad((missing / each).sum(), [added[where.name] for where in places])
    return {
        where.name: torch.cat((hidden[where.name], slope[wanted]), 1).T.float().cpu()
        for where, slope in zip(places, slopes, strict=True)
    }
