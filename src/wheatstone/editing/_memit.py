"""MEMIT: many facts at once, spread over several layers.

    ω = (λ C + K Kᵀ)⁻¹ K = (λ C)⁻¹ K (I + Kᵀ (λ C)⁻¹ K)⁻¹

K are the facts' keys, C the second moments of all keys, λ how much text as it is weighs beside one fact.

Source: Meng et al. 2022 (arXiv 2210.07229), equation 14; λ = 15,000 there for 16,384 neurons of GPT-J.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from wheatstone.editing._spread import SpreadEditor
from wheatstone.editing._statistics import KeyStatistics


@dataclass(frozen=True, kw_only=True)
class Memit(SpreadEditor):
    """MEMIT.

    Args:
        weight: λ for each neuron of the MLP.
    """

    name: str = "memit"
    weight: float = 0.1

    @property
    def summary(self) -> str:
        """One sentence."""
        return f"Many facts at once, spread over {self.layers} layers, least change for keys as texts have them."

    def key_weights(self, statistics: KeyStatistics, keys: Tensor, past: Tensor) -> Float[Tensor, "neuron fact"]:
        """ω of each fact, given statistics, the facts' keys and those of earlier edits."""
        solved = statistics.solve(keys) / (self.weight * statistics.neurons)
        return solved @ torch.linalg.inv(torch.eye(keys.shape[1], dtype=torch.float64) + keys.T @ solved)
