"""Adam for masks over edges or nodes, most of which do not matter."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

_DECAY = (0.9, 0.95)
"""Of the running means, of the gradient and of its square."""
_MATTER = 5
"""Edges that matter, as a multiple of the target number: others move by less than the learning rate."""


class MaskAdam:
    """Adam whose ε is as large as the gradient of the (5 · target)-th edge.

    Edges with a smaller gradient move in proportion to it. With the usual tiny ε, edges that matter to nothing would
    move by noise as fast as those that do.

    Args:
        valid: where there are edges.
        target: how many are to be kept.
        learning_rate: of a step, in the parameter's own unit.
    """

    def __init__(self, valid: Bool[Tensor, "*entry"], target: int, learning_rate: float) -> None:
        self.valid, self.rate = valid, learning_rate
        self.matter = min(_MATTER * target, int(valid.sum()))
        self.mean, self.square = (torch.zeros(valid.shape, dtype=torch.float64) for _ in range(2))
        self.steps = 0

    def step(self, slope: Float[Tensor, "*entry"]) -> Float[Tensor, "*entry"]:
        """What to add to the parameters, given the loss's gradient by them."""
        self.steps += 1
        self.mean = self.mean.lerp(slope, 1 - _DECAY[0])
        self.square = self.square.lerp(slope.square(), 1 - _DECAY[1])
        size = (self.square / (1 - _DECAY[1] ** self.steps)).sqrt()
        floor = size[self.valid].topk(self.matter).values[-1] + torch.finfo(torch.float32).tiny
        return -self.rate * self.mean / (1 - _DECAY[0] ** self.steps) / (size + floor)
