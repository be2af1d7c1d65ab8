"""MEMIT: many facts at once, spread over several layers.

    ω = the columns of K in (λ C + E Eᵀ)⁻¹ E = (λ C)⁻¹ E (I + Eᵀ (λ C)⁻¹ E)⁻¹,   E = [K₀ K]

K are the facts' keys, K₀ those of earlier edits, C the second moments of all keys, λ how much text as it is weighs
beside one fact. The earlier keys count as text does that must be left as it is. For fixed keys and values, edits one
after another then give the weights of one edit of all their facts (recursive least squares).

Sources: Meng et al. 2022 (arXiv 2210.07229), equation 14; λ = 15,000 there for 16,384 neurons of GPT-J. Earlier keys:
arXiv 2605.26670.
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
        return f"Many facts at once, spread over {self.layers} layers, least change for text and earlier edits."

    def key_weights(self, statistics: KeyStatistics, keys: Tensor, past: Tensor) -> Float[Tensor, "neuron fact"]:
        """ω of each fact, given statistics, the facts' keys and those of earlier edits."""
        every = torch.cat((past, keys), 1)
        solved = statistics.solve(every) / (self.weight * statistics.neurons)
        inner = torch.eye(every.shape[1], dtype=torch.float64) + every.T @ solved
        return torch.linalg.solve(inner, solved, left=False)[:, past.shape[1] :]
