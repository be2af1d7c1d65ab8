"""Norm anchor (NAS): a value is written at the length that it has in the model before any edit.

    v* ← v* · r / ‖v*‖,   r the mean length of the values v* that the same search gives in the unedited model

In a sequence of edits, values and edited weights make each other longer: an edited matrix gives longer outputs, and the
search starts from these. The anchor keeps the length of what is written, and leaves its direction.

Source: Liu et al. 2026 (arXiv 2602.02543). As there: v* is the output of the layer's last projection at the subject's
last token plus the change that was found; it is rescaled before the residual is shared among the layers; the rest is
AlphaEdit. Not as there: r is the mean over the requests of this edit, and not over a sample of CounterFact, so that no
data set is needed and a first edit is AlphaEdit's; and a value of more than twice the length r is rescaled like any
other, where the authors' code leaves the fact unedited.

When this misleads: the search is run twice where edits are in place, which takes twice as long.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from wheatstone.editing._alphaedit import AlphaEdit
from wheatstone.editing._asked import Asked
from wheatstone.editing._edit import Edit, unedited
from wheatstone.editing._passes import at, mlp_inside
from wheatstone.editing._value import search_value
from wheatstone.models import ResidualModel, Tokens


@dataclass(frozen=True, kw_only=True)
class NormAnchor(AlphaEdit):
    """NAS on AlphaEdit; arguments as there."""

    name: str = "nas"

    @property
    def summary(self) -> str:
        """One sentence."""
        return "As alphaedit, every value at the length that it has in the unedited model."

    def settled(
        self,
        model: ResidualModel,
        contexts: Sequence[Sequence[Asked]],
        layer: int,
        changes: Sequence[Float[Tensor, " d_model"]],
        before: Sequence[Edit],
    ) -> list[Float[Tensor, " d_model"]]:
        """See `SpreadEditor.settled`."""
        if not before:
            return list(changes)
        with unedited(model):
            lengths = [
                float((output_at(model, rows[0], layer) + search_value(model, layer, rows, self.search).change).norm())
                for rows in contexts
            ]
        anchor = sum(lengths) / len(lengths)
        outputs = [output_at(model, rows[0], layer) for rows in contexts]
        return [anchored(output, change, anchor) for output, change in zip(outputs, changes, strict=True)]


def anchored(
    output: Float[Tensor, " d_model"], change: Float[Tensor, " d_model"], anchor: float
) -> Float[Tensor, " d_model"]:
    """The change of an output that makes it as long as the anchor, in the direction in which a change would make it.

    Args:
        output: v, what the projection gives.
        change: δ, so that v* = v + δ.
        anchor: r.
    """
    value = output + change
    length = value.norm()
    return change if length == 0 else value * (anchor / length) - output


def output_at(model: ResidualModel, request: Asked, layer: int) -> Float[Tensor, " d_model"]:
    """What the last projection of a layer's MLP gives at the subject's last token."""
    _, projected, _ = mlp_inside(model, Tokens.of([request.prompt], model.device), layer)
    return at(projected, torch.tensor([request.key_at], device=projected.device))[0]
