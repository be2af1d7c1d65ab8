"""Interventions as data: what a run should do to the model, said as values before it runs.

An intervention names a place and the positions it holds at. Places are nodes (`input`, `a3.h2`, `m7`: what the node
writes to the residual stream) and neurons (`m31.n892`: the 892nd input of the MLP's last projection). Attention
edges are knocked out in the mask before the softmax, so that a query's remaining weights still sum to 1. The
checkpoint itself is never changed; interventions at one place act in the order given.

Sources: activation patching, Vig et al. 2020 (arXiv 2004.12265); attention knock-out, Geva et al. 2023
(arXiv 2304.14767), section 5.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from wheatstone._errors import RequestError
from wheatstone.models._tokens import Tokens

Positions = tuple[int, ...] | tuple[tuple[int, ...], ...] | None
"""The same positions in every prompt, or a tuple per prompt; None for all. Negative ones count from a prompt's end."""


@dataclass(frozen=True, eq=False, kw_only=True)
class AtPlace(ABC):
    """An intervention on what one node or neuron puts out.

    Args:
        at: the node or neuron.
        positions: where in the prompts.
    """

    at: str
    positions: Positions = None

    @abstractmethod
    def apply(self, written: Tensor) -> Tensor:
        """The output in place of `written`: [batch, pos, d_model] of a node, [batch, pos] of a neuron."""


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Replace(AtPlace):
    """Writes something else, such as what the node wrote on another prompt (activation patching).

    Args:
        value: broadcast over [batch, pos, d_model] for a node, [batch, pos] for a neuron.
    """

    value: Tensor

    def apply(self, written: Tensor) -> Tensor:
        return self.value.to(written).expand_as(written)


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Add(AtPlace):
    """Adds something to what is written (steering).

    Args:
        value: broadcast over [batch, pos, d_model] for a node, [batch, pos] for a neuron.
    """

    value: Tensor

    def apply(self, written: Tensor) -> Tensor:
        return written + self.value.to(written).expand_as(written)


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
class KnockOutAttention:
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
@dataclass(frozen=True, eq=False, kw_only=True)
class AddScore:
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


def chosen(positions: Positions, tokens: Tokens) -> Bool[Tensor, "batch pos"]:
    """Where positions lie in a batch; never after a prompt's end.

    Raises:
        RequestError: a prompt has no such position, or there are positions for another number of prompts.
    """
    lengths = tokens.lengths.tolist()
    if positions is None:
        rows = [tuple(range(length)) for length in lengths]
    else:
        each = [row for row in positions if isinstance(row, tuple)]
        rows = each or [tuple(p for p in positions if isinstance(p, int))] * tokens.batch
    if len(rows) != tokens.batch:
        raise RequestError(
            expected=f"positions for {tokens.batch} prompts",
            got=f"positions for {len(rows)}",
            do="give one tuple per prompt, or one for all",
        )
    where = torch.zeros(tokens.batch, tokens.width, dtype=torch.bool)
    for index, (row, length) in enumerate(zip(rows, lengths, strict=True)):
        for position in row:
            where[index, position_of(position, length, f"prompt {index}")] = True
    return where.to(tokens.ids.device)


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
