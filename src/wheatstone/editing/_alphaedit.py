"""AlphaEdit: MEMIT within the directions that keys of ordinary text do not use.

    ω = P (K₀ K₀ᵀ P + K Kᵀ P + λ I)⁻¹ K,   P = U Uᵀ

U are the eigenvectors of C of the least eigenvalues, K₀ the keys of earlier edits, which are kept clear of.

Source: Fang et al. 2024 (arXiv 2410.02355), equation 9.

When this misleads: a key that lies in the used directions alone cannot be written at; the edit then does little.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from wheatstone.editing._spread import SpreadEditor
from wheatstone.editing._statistics import KeyStatistics


@dataclass(frozen=True, kw_only=True)
class AlphaEdit(SpreadEditor):
    """AlphaEdit.

    Args:
        unused: share of the trace of C that the directions written in may have together.
        ridge: λ, as a share of the facts' mean squared key within these directions.
    """

    name: str = "alphaedit"
    unused: float = 0.2
    ridge: float = 0.1

    @property
    def summary(self) -> str:
        """One sentence."""
        return "As memit, within the directions of keys that text leaves unused, and clear of earlier edits' keys."

    def key_weights(self, statistics: KeyStatistics, keys: Tensor, past: Tensor) -> Float[Tensor, "neuron fact"]:
        """ω of each fact, given statistics, the facts' keys and those of earlier edits."""
        basis = statistics.unused(self.unused)
        new, every = basis.T @ keys, basis.T @ torch.cat((past, keys), 1)
        ridge = self.ridge * float(new.square().sum(0).mean())
        inner = ridge * torch.eye(every.shape[1], dtype=torch.float64) + every.T @ every
        return basis @ (new - every @ torch.linalg.solve(inner, every.T @ new)) / ridge
