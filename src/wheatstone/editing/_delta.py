"""What is added to one weight, in the checkpoint's own orientation of that weight."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from wheatstone._view import Brief


@final
@dataclass(frozen=True, eq=False)
class LowRank(Brief):
    """left · rightᵀ.

    Args:
        left: one column a rank.
        right: likewise.
    """

    left: Float[Tensor, "row rank"]
    right: Float[Tensor, "column rank"]

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the weight."""
        return len(self.left), len(self.right)

    @property
    def change(self) -> Float[Tensor, "row column"]:
        """The whole matrix."""
        return self.left @ self.right.T

    @property
    def tensors(self) -> dict[str, Tensor]:
        """What there is to store, by name."""
        return {"left": self.left, "right": self.right}


@final
@dataclass(frozen=True, eq=False)
class Dense(Brief):
    """A whole matrix.

    Args:
        change: what is added.
    """

    change: Float[Tensor, "row column"]

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the weight."""
        rows, columns = self.change.shape
        return rows, columns

    @property
    def tensors(self) -> dict[str, Tensor]:
        """What there is to store, by name."""
        return {"change": self.change}


@final
@dataclass(frozen=True, eq=False)
class Chain(Brief):
    """Several changes of one weight, each added to what the one before it has left, and rounded.

    Args:
        parts: in their order; at least one.
    """

    parts: tuple[LowRank | Dense, ...]

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the weight."""
        return self.parts[0].shape

    @property
    def change(self) -> Float[Tensor, "row column"]:
        """Their sum, without the roundings between them."""
        return torch.stack([part.change for part in self.parts]).sum(0)

    @property
    def tensors(self) -> dict[str, Tensor]:
        """What there is to store, by name."""
        return {
            f"{place}.{name}": tensor for place, part in enumerate(self.parts) for name, tensor in part.tensors.items()
        }


Delta = LowRank | Dense | Chain


def added(weight: Float[Tensor, "row column"], delta: Delta) -> Float[Tensor, "row column"]:
    """A weight with a delta added, the same bits on every machine.

    Ranks are summed one after another, each step a product and a sum of single entries: a matrix product adds in an
    order that depends on the processor and on the number of threads. All is done in float32 at least; in half
    precision a product would round twice.
    """
    if isinstance(delta, Chain):
        for part in delta.parts:
            weight = added(weight, part)
        return weight
    exact = torch.promote_types(weight.dtype, torch.float32)
    if isinstance(delta, Dense):
        return (weight.to(exact) + delta.change.to(weight.device, exact)).to(weight.dtype)
    left, right = (part.to(weight.device, exact) for part in (delta.left, delta.right))
    change = torch.zeros(delta.shape, dtype=exact, device=weight.device)
    product = torch.empty_like(change)
    for rank in range(left.shape[1]):
        torch.mul(left[:, rank, None], right[:, rank], out=product)
        change += product
    return (weight.to(exact) + change).to(weight.dtype)


def delta_of(tensors: dict[str, Tensor]) -> Delta:
    """A delta of its stored tensors.

    Raises:
        ValueError: they are not what a kind of delta stores.
    """
    if tensors and all("." in name for name in tensors):
        parts: dict[int, dict[str, Tensor]] = {}
        for name, tensor in tensors.items():
            place, _, part = name.partition(".")
            parts.setdefault(int(place), {})[part] = tensor
        return Chain(tuple(_single(parts[place]) for place in sorted(parts)))
    return _single(tensors)


def _single(tensors: dict[str, Tensor]) -> LowRank | Dense:
    if set(tensors) == {"change"} and tensors["change"].ndim == 2:
        return Dense(tensors["change"])
    if set(tensors) == {"left", "right"} and all(part.ndim == 2 for part in tensors.values()):
        left, right = tensors["left"], tensors["right"]
        if left.shape[1] == right.shape[1]:
            return LowRank(left, right)
    raise ValueError(f"no delta: {', '.join(f'{name} {list(part.shape)}' for name, part in sorted(tensors.items()))}")
