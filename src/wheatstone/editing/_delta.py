"""What is added to one weight, in the checkpoint's own orientation of that weight."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from jaxtyping import Float
from torch import Tensor


@final
@dataclass(frozen=True, eq=False)
class LowRank:
    """left · rightᵀ.

    Args:
        left: one column a rank.
        right: likewise.
    """

    left: Float[Tensor, "row rank"]
    right: Float[Tensor, "column rank"]

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
class Dense:
    """A whole matrix.

    Args:
        change: what is added.
    """

    change: Float[Tensor, "row column"]

    @property
    def tensors(self) -> dict[str, Tensor]:
        """What there is to store, by name."""
        return {"change": self.change}


Delta = LowRank | Dense


def delta_of(tensors: dict[str, Tensor]) -> Delta:
    """A delta of its stored tensors.

    Raises:
        ValueError: they are not what either kind stores.
    """
    if set(tensors) == {"change"} and tensors["change"].ndim == 2:
        return Dense(tensors["change"])
    if set(tensors) == {"left", "right"} and all(part.ndim == 2 for part in tensors.values()):
        left, right = tensors["left"], tensors["right"]
        if left.shape[1] == right.shape[1]:
            return LowRank(left, right)
    raise ValueError(f"no delta: {', '.join(f'{name} {list(part.shape)}' for name, part in sorted(tensors.items()))}")
