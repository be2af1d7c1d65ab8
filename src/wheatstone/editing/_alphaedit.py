"""AlphaEdit: MEMIT within the directions that keys of ordinary text do not use.

    ω = P (K₀ K₀ᵀ P + K Kᵀ P + λ I)⁻¹ K,   P = U Uᵀ

U are the eigenvectors of C of the least eigenvalues, K₀ the keys of earlier edits, which are kept clear of.

Source: Fang et al. 2024 (arXiv 2410.02355), equation 9.

When this misleads: a key that lies in the used directions alone cannot be written at; the edit then does little.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from wheatstone._progress import Reporter, silent
from wheatstone.editing._asked import Asked
from wheatstone.editing._edit import Edit
from wheatstone.editing._spread import spread_edit
from wheatstone.editing._statistics import KeyStatistics
from wheatstone.editing._tracing import traced_layer
from wheatstone.editing._value import ValueSearch
from wheatstone.models import ResidualModel


@dataclass(frozen=True, kw_only=True)
class AlphaEdit:
    """AlphaEdit.

    Args:
        layers: how many, the last of them the one that is traced or given.
        unused: share of the trace of C that the directions written in may have together.
        ridge: λ, as a share of the facts' mean squared key within these directions.
        contexts: prefixes that keys are averaged over.
        value_contexts: of them, those values are searched in.
        search: of the values.
        tokens: of text for C; see `key_statistics`.
    """

    name: str = "alphaedit"
    layers: int = 3
    unused: float = 0.2
    ridge: float = 0.1
    contexts: int = 5
    value_contexts: int = 3
    search: ValueSearch = field(default_factory=ValueSearch)
    tokens: int | None = None

    @property
    def summary(self) -> str:
        """One sentence."""
        return "As memit, within the directions of keys that text leaves unused, and clear of earlier edits' keys."

    def edit(
        self,
        model: ResidualModel,
        requests: Sequence[Asked],
        *,
        layer: int | None = None,
        before: Sequence[Edit] = (),
        report: Reporter = silent,
    ) -> Edit:
        """See `Editor` and `spread_edit`."""
        last = traced_layer(model, requests, report=report) if layer is None else layer
        return spread_edit(
            model,
            self.name,
            requests,
            asdict(self),
            self.key_weights,
            layers=range(max(0, last - self.layers + 1), last + 1),
            search=self.search,
            contexts=self.contexts,
            value_contexts=self.value_contexts,
            tokens=self.tokens,
            before=before,
            report=report,
        )

    def key_weights(self, statistics: KeyStatistics, keys: Tensor, past: Tensor) -> Float[Tensor, "neuron fact"]:
        """ω of each fact, given statistics, the facts' keys and those of earlier edits."""
        basis = statistics.unused(self.unused)
        new, every = basis.T @ keys, basis.T @ torch.cat((past, keys), 1)
        ridge = self.ridge * float(new.square().sum(0).mean())
        inner = ridge * torch.eye(every.shape[1], dtype=torch.float64) + every.T @ every
        return basis @ (new - every @ torch.linalg.solve(inner, every.T @ new)) / ridge
