"""UltraEdit: a closed form from one forward and one backward pass, with statistics over all edits so far.

    Δ = (Hᵀ H + λ I)⁻¹ Hᵀ V = Hᵀ (H Hᵀ + λ I)⁻¹ V,   Vᵢ = −η ‖ĥᵢ‖² v̂ᵢ,   (ĥ, v̂) = ((h, v) − μ) / σ

A row of H is what a matrix reads at a token from which a target token is predicted, v the gradient of the target's mean
−log probability by what the matrix writes there. μ and σ are those of all rows of this edit and of the edits before it
(lifelong normalisation): they are sums, so that n edits one after another have the statistics of all of them at once.

Source: Gu et al. 2025 (arXiv 2505.14679). As there: both formulas, λ = 1, and statistics with n − 1. Not as there: the
matrices are the last projections of late MLPs, where the paper edits gate and up projections in the middle; η and the
layers were chosen on three facts of SmolLM2-135M; and the statistics begin with rows from texts that the model itself
makes, for the rows of one fact alone do not vary.

When this misleads: η is a step and nothing measures whether it was large enough; look at the target's probability.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from wheatstone._errors import RequestError
from wheatstone._progress import Reporter, silent
from wheatstone.editing._asked import Asked, with_targets
from wheatstone.editing._delta import Delta
from wheatstone.editing._edit import Edit
from wheatstone.editing._features import Moments, features_of, features_of_texts
from wheatstone.editing._weights import down_projection
from wheatstone.models import ResidualModel


@dataclass(frozen=True, kw_only=True)
class UltraEdit:
    """UltraEdit.

    Args:
        rate: η.
        ridge: λ.
        texts: that the statistics begin with, at most as many as the model is asked for.
    """

    name: str = "ultraedit"
    rate: float = 2e-4
    ridge: float = 1.0
    texts: int = 48

    @property
    def summary(self) -> str:
        """One sentence."""
        return "One step in closed form in late layers, from hidden states and gradients normalised over all edits."

    def edit(
        self,
        model: ResidualModel,
        requests: Sequence[Asked],
        *,
        layer: int | None = None,
        before: Sequence[Edit] = (),
        report: Reporter = silent,
    ) -> Edit:
        """See `Editor`; by default in the layers from three quarters of the depth to the last but one.

        Raises:
            RequestError: no layer to write in.
        """
        if not requests:
            raise RequestError(expected="at least one request", got="none", do="say what to change")
        first = model.graph.layers * 3 // 4
        last = max(first, model.graph.layers - 2)
        layers = range(first, last + 1) if layer is None else range(max(0, layer - (last - first)), layer + 1)
        places = [down_projection(model, one) for one in layers]
        report("hidden states and gradients", 0, 2)
        known = {name: Moments.of(found) for name, found in features_of_texts(model, places, self.texts).items()}
        report("hidden states and gradients", 1, 2)
        found = features_of(model, places, *with_targets(model, requests))
        report("hidden states and gradients", 2, 2)
        deltas: dict[str, Delta] = {}
        for where in places:
            columns, moments = found[where.name], known[where.name]
            for edit in before:
                if where.name in edit.features:
                    moments += Moments.of(edit.features[where.name])
            values, keys = self.solved(moments + Moments.of(columns), columns, where.weight.shape[1])
            deltas[where.name] = where.write(values.float(), keys.float())
        keys = {where.name: found[where.name][: where.weight.shape[1]].float() for where in places}
        kept = {name: columns.float() for name, columns in found.items()}
        asked_for = [request.request for request in requests]
        settings = asdict(self) | {"layers": list(layers)}
        return Edit.of(model, self.name, asked_for, settings, deltas, keys=keys, features=kept)

    def solved(
        self, moments: Moments, columns: Float[Tensor, "feature row"], neurons: int
    ) -> tuple[Float[Tensor, "d_model row"], Float[Tensor, "neuron row"]]:
        """Values and keys whose product is Δᵀ.

        Args:
            moments: of all rows so far.
            columns: (h, v) of each row.
            neurons: how many features are h.
        """
        hat, hidden = moments.normalised(columns), columns[:neurons].double()
        wanted = -self.rate * hat[:neurons].square().sum(0) * hat[neurons:]
        inner = hidden.T @ hidden + self.ridge * torch.eye(hidden.shape[1], dtype=torch.float64)
        return torch.linalg.solve(inner, wanted.T).T, hidden
