"""What an edit does to other subjects of the relation: predicted from their keys, and measured.

An edit that adds D to the matrix that an MLP writes with adds D·k wherever that MLP is asked with a key k; of ROME's
rank one, u·(vᵀk). Along the direct path that is, for the new object's logit above the mean of all,

    predicted = d(new) · Σ over edited layers of D·k

with d the readout's direction at the prompt's own scale. `at_subject` takes the key of the subject's last token, where
ROME writes, as if heads moved it to the end as it is: its sign and order are what is predicted, not its size. `at_last`
takes the key of the last token, from where the direct path is real.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from wheatstone._intervals import rank_correlation
from wheatstone._view import Brief
from wheatstone.editing._asked import Asked
from wheatstone.editing._contexts import keys_at
from wheatstone.editing._edit import Edit
from wheatstone.editing._question import asked_all
from wheatstone.editing._request import EditRequest
from wheatstone.editing._weights import down_projections
from wheatstone.lenses import Readout
from wheatstone.models import ResidualModel, Tokens

_BATCH = 8


class LeakRow(NamedTuple):
    """A subject: a row of edit_leak.parquet.

    Args:
        subject: whom the prompt is about.
        edited: whether it is the edit's own; all others are neighbours.
        prompt: the prompt.
        at_subject: predicted change of the new object's logit, from the key at the subject; None without an MLP edited.
        at_last: predicted from the key at the last token.
        measured: what it is.
        before: the most likely next token.
        after: with the edit.
    """

    subject: str
    edited: bool
    prompt: str
    at_subject: float | None
    at_last: float | None
    measured: float
    before: str
    after: str


@dataclass(frozen=True)
class Leak(Brief):
    """Neighbours, predicted and measured.

    Args:
        rows: the edit's own subject first, then the largest measured change.
    """

    rows: tuple[LeakRow, ...]

    @property
    def summary(self) -> dict[str, Any]:
        """Rank correlations over the neighbours, and how many say something else."""
        neighbours = [row for row in self.rows if not row.edited]
        return {
            "n": len(neighbours),
            "changed": sum(row.before != row.after for row in neighbours),
            "at_subject": _agreement([(row.at_subject, row.measured) for row in neighbours]),
            "at_last": _agreement([(row.at_last, row.measured) for row in neighbours]),
        }


def leak(model: ResidualModel, edit: Edit, request: EditRequest, subjects: Sequence[str]) -> Leak:
    """Predicts and measures what an edit does to its neighbours.

    Args:
        model: the plain model.
        edit: applied for the measurement, and undone.
        request: the edit's; the neighbours are asked the same.
        subjects: of the neighbours.

    When this misleads: the prediction is of first order and direct. Heads weigh what they move, later MLPs react, and
    an edit in several layers changes the keys of the later ones; where an MLP's output is normed, D·k is written at
    another scale. Neighbours of one relation are alike, so that a correlation over them says little of others.
    """
    every = asked_all(model, request, [request.subject, *subjects])
    new = model.continuation(request.continuation)[0]
    rows: list[LeakRow] = []
    for start in range(0, len(every), _BATCH):
        rows += _read(model, edit, every[start : start + _BATCH], new, request.subject)
    own, *others = rows
    return Leak((own, *sorted(others, key=lambda row: -abs(row.measured))))


@torch.no_grad()
def _read(model: ResidualModel, edit: Edit, batch: list[Asked], new: int, edited: str) -> list[LeakRow]:
    tokens = Tokens.of([one.prompt for one in batch], model.device)
    plain = model.streams(tokens)
    last = plain.last(plain.stream[-1])[:, 0]
    readout = Readout.at(model, last)
    token = torch.full((len(batch),), new, device=model.device)
    directions = readout.directions(token) - readout.mean_directions
    places = {
        "at_subject": torch.tensor([one.key_at for one in batch], device=model.device),
        "at_last": tokens.lengths - 1,
    }
    written = {name: _added(model, edit, tokens, positions) for name, positions in places.items()}
    predicted = {
        name: [None] * len(batch) if added is None else (directions * added).sum(-1).tolist()
        for name, added in written.items()
    }
    before = model.forward(tokens).logits
    with edit.applied(model):
        after = model.forward(tokens).logits
    measured = ((after[:, new] - after.mean(-1)) - (before[:, new] - before.mean(-1))).tolist()
    says = [model.decode(logits.argmax(-1).tolist()) for logits in (before, after)]
    return [
        LeakRow(one.request.subject, one.request.subject == edited, one.request.prompt, *values)
        for one, *values in zip(batch, predicted["at_subject"], predicted["at_last"], measured, *says, strict=True)
    ]


def _added(
    model: ResidualModel, edit: Edit, tokens: Tokens, positions: Tensor
) -> Float[Tensor, "batch d_model"] | None:
    """Σ D·k over the edited layers; None where no MLP's last projection is edited."""
    parts: list[Tensor] = []
    for projection in down_projections(model, edit.deltas):
        keys = keys_at(model, projection.layer, tokens, positions)
        parts.append(keys @ projection.read(edit.deltas[projection.name]).to(keys))
    return torch.stack(parts).sum(0) if parts else None


def _agreement(pairs: list[tuple[float | None, float]]) -> dict[str, float | None] | None:
    """Spearman's rank correlation with its 95% interval; None where it does not exist."""
    known = np.array([(one, other) for one, other in pairs if one is not None]).reshape(-1, 2)
    ranks = rank_correlation(known[:, 0], known[:, 1])
    return ranks and {"rank_correlation": ranks.value, "low": ranks.low, "high": ranks.high, "n": ranks.n}
