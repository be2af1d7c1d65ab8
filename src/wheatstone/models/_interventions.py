"""Interventions as data: what a run should do to the model, written as values before it runs.

An intervention names a place and the positions where it acts. Places are nodes (`input`, `a3.h2`, `m7`: what the node
writes to the residual stream), neurons (`m31.n892`: the 892nd input of the MLP's last projection), and all others of
`wheatstone.models.Place`, such as `r3.post`, `a3.h2.q` and `a3.pattern`. Attention edges are knocked out in the mask
before the softmax, so that a query's remaining weights still sum to 1. The checkpoint itself is never changed;
interventions at one place act in the order given.

Sources: activation patching, Vig et al. 2020 (arXiv 2004.12265); attention knock-out, Geva et al. 2023
(arXiv 2304.14767), section 5.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any, final

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from wheatstone._errors import RequestError
from wheatstone._view import Brief
from wheatstone.models._tokens import Tokens

Numbered = Sequence[int] | Sequence[Sequence[int]] | None
Positions = int | str | Numbered
"""The same position or positions in every prompt, or a sequence per prompt; None for all. Negative ones count from a
prompt's end. A text names the tokens that it shares a character with; every prompt has it once."""


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class AtPlace(Brief, ABC):
    """An intervention on what is at one place.

    Args:
        at: the place, by its name or TransformerLens' hook.
        positions: where in the prompts; of attention weights, the queries.
    """

    at: str
    positions: Positions = None

    @abstractmethod
    def apply(self, written: Tensor) -> Tensor:
        """What is there instead of `written`, of the same shape; see `wheatstone.models.Place`.

        Raises:
            RequestError: it would have another shape.
        """


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class WithValue(AtPlace):
    """An intervention with a value.

    Args:
        value: broadcast over [batch, pos, d_model] for a node, [batch, pos] for a neuron.

    Raises:
        RequestError: the value is not finite.
    """

    value: Tensor

    def __post_init__(self) -> None:
        if not self.value.isfinite().all():
            raise RequestError(
                expected=f"a finite value at {self.at}",
                got="NaN or infinity in it",
                do="look at where the value comes from",
            )


@final
class Replace(WithValue):
    """Writes something else, such as what the node wrote on another prompt (activation patching)."""

    def apply(self, written: Tensor) -> Tensor:
        return _like(written, self.value, self.at)


@final
class Add(WithValue):
    """Adds something to what is written (steering)."""

    def apply(self, written: Tensor) -> Tensor:
        return written + _like(written, self.value, self.at)


@final
@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Apply(AtPlace):
    """Puts what a function gives in place of what is there: a projection, a clamp, any change.

    Args:
        function: from a copy of what is at the place to a tensor of its shape.
    """

    function: Callable[[Tensor], Any]

    def apply(self, written: Tensor) -> Tensor:
        given = self.function(written.clone())
        shape = list(given.shape) if isinstance(given, Tensor) else None
        if shape != list(written.shape):
            raise RequestError(
                expected=f"a function at {self.at} that returns a tensor of the shape it is given",
                got=f"{list(given.shape)} for {list(written.shape)}"
                if isinstance(given, Tensor)
                else type(given).__name__,
                do="return the changed tensor",
            )
        return given.to(written)


@final
@dataclass(frozen=True, kw_only=True)
class Scale(AtPlace):
    """Multiplies what is written."""

    factor: float

    def apply(self, written: Tensor) -> Tensor:
        return written * self.factor


@final
@dataclass(frozen=True, kw_only=True)
class KnockOut(AtPlace):
    """Writes nothing.

    When this misleads: zero is no value the model was trained on; a node's mean may be far from it.
    """

    def apply(self, written: Tensor) -> Tensor:
        return torch.zeros_like(written)


@final
@dataclass(frozen=True, kw_only=True)
class KnockOutAttention(Brief):
    """Cuts every attention edge from one of `queries` to one of `keys`.

    Args:
        layer: from 0.
        queries: positions that look.
        keys: positions that are looked at. Those after a query are never looked at anyway.
        heads: of the layer; None for all.

    When this misleads: what the key held may have moved to other positions in earlier layers.
    """

    layer: int
    queries: Positions = None
    keys: Positions = None
    heads: tuple[int, ...] | None = None


@final
@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class AddScore(Brief):
    """Adds something to what a head's attention scores are before the softmax, after any softcap.

    Args:
        head: such as `a23.h4`.
        queries: positions that look.
        keys: positions that are looked at. Those that a query cannot see stay hidden.
        value: what is added, broadcast over [batch]: one number, or one for each prompt.
    """

    head: str
    queries: Positions = None
    keys: Positions = None
    value: Float[Tensor, "*batch"]


Intervention = AtPlace | KnockOutAttention | AddScore


def _like(written: Tensor, value: Tensor, at: str) -> Tensor:
    """A value in the shape and precision of what is at a place."""
    try:
        return value.to(written).expand_as(written)
    except RuntimeError as error:
        raise RequestError(
            expected=f"a value that broadcasts to {list(written.shape)}, the shape of what is at {at}",
            got=f"one of shape {list(value.shape)}",
            do="give a number, a vector of the last axis, or a tensor of that shape",
        ) from error


def chosen(positions: Numbered, tokens: Tokens) -> Bool[Tensor, "batch pos"]:
    """Where positions, given as numbers, lie in a batch; never after a prompt's end.

    Raises:
        RequestError: a prompt has no such position, or there are positions for another number of prompts.
    """
    where = torch.zeros(tokens.batch, tokens.width, dtype=torch.bool)
    for index, row in enumerate(located(positions, tokens)):
        where[index, row] = True
    return where.to(tokens.ids.device)


def located(positions: Numbered, tokens: Tokens) -> list[list[int]]:
    """The positions in each prompt of a batch, counted from its start, in the order in which they were given.

    Raises:
        RequestError: a prompt has no such position, there are positions for another number of prompts, or something
            else than whole numbers.
    """
    lengths = tokens.lengths.tolist()
    if positions is None:
        return [list(range(length)) for length in lengths]
    given: list[Any] = list(positions)
    rows = given if given and all(isinstance(row, tuple | list) for row in given) else [given] * tokens.batch
    other = next((position for row in rows for position in row if not isinstance(position, Integral)), None)
    if other is not None:
        raise RequestError(
            expected="positions as whole numbers, the same for all prompts or a tuple of them per prompt",
            got=f"{other!r} among them"[:200],
            do="give a number, a tuple of numbers, or one such tuple per prompt",
        )
    if len(rows) != tokens.batch:
        raise RequestError(
            expected=f"positions for {tokens.batch} prompts",
            got=f"positions for {len(rows)}",
            do="give one tuple per prompt, or one for all",
        )
    return [
        [position_of(int(position), length, f"prompt {index}") for position in row]
        for index, (row, length) in enumerate(zip(rows, lengths, strict=True))
    ]


def position_of(position: int, length: int, prompt: str = "the prompt") -> int:
    """A position counted from the start.

    Args:
        position: from 0, or negative counting from the end.
        length: tokens of the prompt.
        prompt: what to call it in an error.

    Raises:
        RequestError: the prompt has no such position.
    """
    if not -length <= position < length:
        raise RequestError(
            expected=f"a position in {prompt}, which has {length} tokens",
            got=str(position),
            do=f"choose one from 0 to {length - 1}, or from -{length} to -1 counting from its end",
        )
    return position % length
