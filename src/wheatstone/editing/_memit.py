"""MEMIT: many facts at once, spread over several layers.

    ω = (λ C + K Kᵀ)⁻¹ K = (λ C)⁻¹ K (I + Kᵀ (λ C)⁻¹ K)⁻¹

K are the facts' keys, C the second moments of all keys, λ how much text as it is weighs beside one fact.

Source: Meng et al. 2022 (arXiv 2210.07229), equation 14; λ = 15,000 there for 16,384 neurons of GPT-J.
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
class Memit:
    """MEMIT.

    Args:
        layers: how many, the last of them the one that is traced or given.
        weight: λ for each neuron of the MLP.
        contexts: prefixes that keys are averaged over.
        value_contexts: of them, those values are searched in.
        search: of the values.
        tokens: of text for C; see `key_statistics`.
    """

    name: str = "memit"
    layers: int = 3
    weight: float = 0.1
    contexts: int = 5
    value_contexts: int = 3
    search: ValueSearch = field(default_factory=ValueSearch)
    tokens: int | None = None

    @property
    def summary(self) -> str:
        """One sentence."""
        return f"Many facts at once, spread over {self.layers} layers, least change for keys as texts have them."

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

    def key_weights(self, statistics: KeyStatistics, keys: Tensor, _past: Tensor) -> Float[Tensor, "neuron fact"]:
        """ω of each fact, given statistics, the facts' keys and those of earlier edits."""
        solved = statistics.solve(keys) / (self.weight * statistics.neurons)
        return solved @ torch.linalg.inv(torch.eye(keys.shape[1], dtype=torch.float64) + keys.T @ solved)
