"""Who writes the new object: its rank by layer and every node's direct effect, before an edit and after it.

With the final norm's scale frozen at each run's own, the direct logit of an object above the mean of all is a sum over
nodes. Of what the edit adds to the new object's, four groups take a share:

    edited MLPs    wrote it at the edited layer already, at the last token itself
    later heads    extracted it from where the edit put it
    later MLPs     wrote it on what they then read
    the rest       came before the edited layer, or is the final norm's other scale

Sources: direct logit attribution, Wang et al. 2022 (arXiv 2211.00593), section 3.1; that heads extract an edited
object in late layers is the finding of Yao et al. 2024 (arXiv 2405.17969), section 5.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from wheatstone._view import Brief
from wheatstone.editing._edit import Edit
from wheatstone.editing._question import EditQuestion
from wheatstone.editing._weights import down_projections
from wheatstone.lenses import Readout
from wheatstone.models import ResidualModel, Tokens, wide

_MOVERS = 10
"""Heads that are called movers: those that write most of an object."""


class ObjectByLayer(NamedTuple):
    """An object at one place: a row of edit_lens.parquet.

    Args:
        state: `before` the edit or `after` it.
        site: `last` token, or the `subject`'s last.
        layer: how many layers have been run.
        object: `old` or `new`.
        rank: among all tokens, 1 for the top; ties count against it.
        probability: of its first token.
    """

    state: str
    site: str
    layer: int
    object: str
    rank: int
    probability: float


class WriterChange(NamedTuple):
    """A node's direct effects at the last token: a row of edit_writers.parquet.

    Args:
        node: such as `a23.h4`, `m29`, `input`; `biases` for what no node writes.
        kind: `head`, `mlp` or `other`.
        layer: of the node; None for `input` and `biases`.
        group: `edited MLPs`, `later heads`, `later MLPs` or `the rest`.
        old_before: logits of the old object above the mean of all tokens that it writes.
        old_after: with the edit.
        new_before: of the new object.
        new_after: with the edit.
        mover_before: whether it is one of the ten heads that write most of the old object before the edit.
        mover_after: whether it is one of the ten that write most of the new one with the edit.
    """

    node: str
    kind: str
    layer: int | None
    group: str
    old_before: float
    old_after: float
    new_before: float
    new_after: float
    mover_before: bool
    mover_after: bool


@dataclass(frozen=True)
class WritersChange(Brief):
    """What is read before an edit and after it.

    Args:
        lens: ranks by layer.
        writers: direct effects, the largest change of the new object's first.
    """

    lens: tuple[ObjectByLayer, ...]
    writers: tuple[WriterChange, ...]

    @property
    def summary(self) -> dict[str, Any]:
        """Shares of the new object's direct logit, and the movers."""
        groups = ("edited MLPs", "later heads", "later MLPs", "the rest")
        written = {group: [row for row in self.writers if row.group == group] for group in groups}
        after = {group: sum(row.new_after for row in rows) for group, rows in written.items()}
        gain = {group: sum(row.new_after - row.new_before for row in rows) for group, rows in written.items()}
        margin = {
            group: sum(row.new_after - row.new_before - row.old_after + row.old_before for row in rows)
            for group, rows in written.items()
        }
        by_movers = sum(row.new_after - row.new_before for row in self.writers if row.mover_before)
        heads = sorted((row for row in self.writers if row.kind == "head"), key=lambda row: -row.new_after)
        count = len(heads)
        movers = min(_MOVERS, count)
        return {
            "direct_logit": {"gain": sum(gain.values()), "after": sum(after.values())},
            "gain": gain,
            "after": after,
            "gain_over_old": margin,
            "gain_by_movers_before": by_movers,
            "movers": movers,
            "movers_kept": sum(row.mover_before and row.mover_after for row in heads),
            "movers_kept_by_chance": movers * movers / count,
            "heads": [
                {
                    "name": row.node,
                    "old_before": row.old_before,
                    "new_before": row.new_before,
                    "new_after": row.new_after,
                    "mover_before": row.mover_before,
                }
                for row in heads[:5]
            ],
        }


def writers_change(model: ResidualModel, edit: Edit, question: EditQuestion) -> WritersChange:
    """Reads the edit's prompt with and without the edit.

    Args:
        model: the plain model.
        edit: applied for the second reading, and undone.
        question: whose prompt is read, and for which objects.

    When this misleads: the lens reads a middle layer as if it were the last. A direct effect leaves out all that goes
    through later nodes: a head that moves what an edit put at the subject has the whole effect, the edited MLP none,
    although without it there is nothing to move. That is the question asked here, and no measure of importance.
    """
    objects = question.objects(model)
    lens_before, before = _read(model, question, objects, "before")
    with edit.applied(model):
        lens_after, after = _read(model, question, objects, "after")
    edited = {projection.layer for projection in down_projections(model, edit.deltas)}
    places = [_place(name) for name in (*model.graph.nodes, "biases")]
    heads = torch.tensor([kind == "head" for kind, _ in places])
    movers_before, movers_after = _movers(before["old"], heads), _movers(after["new"], heads)
    rows = [
        WriterChange(name, kind, layer, _group(kind, layer, edited), old, old_now, new, new_now, one, other)
        for name, (kind, layer), (old, old_now, new, new_now), one, other in zip(
            (*model.graph.nodes, "biases"),
            places,
            torch.stack([before["old"], after["old"], before["new"], after["new"]], 1).tolist(),
            movers_before,
            movers_after,
            strict=True,
        )
    ]
    rows.sort(key=lambda row: -abs(row.new_after - row.new_before))
    return WritersChange((*lens_before, *lens_after), tuple(rows))


@torch.no_grad()
def _read(
    model: ResidualModel, question: EditQuestion, objects: dict[str, int], state: str
) -> tuple[list[ObjectByLayer], dict[str, Float[Tensor, " term"]]]:
    """Ranks by layer, and each object's direct effects: of every node, then of what no node writes."""
    written = model.forward(Tokens.of([question.asked.prompt], model.device), cache=True).nodes
    assert written is not None
    lens: list[ObjectByLayer] = []
    for site, position in (("last", len(question.asked.prompt) - 1), ("subject", question.asked.key_at)):
        logits = model.unembed(model.after_layers(written[:, 0, position])).float()
        likely = logits.softmax(-1)
        lens += [
            ObjectByLayer(state, site, layer, name, int((row >= row[token]).sum()), float(likely[layer, token]))
            for layer, row in enumerate(logits)
            for name, token in objects.items()
        ]
    nodes = wide(written[:, 0, -1])
    stream = model.after_sublayers(nodes)[-1]
    readout = Readout.at(model, stream[None])
    terms = torch.cat([nodes, (stream - nodes.sum(0))[None]])
    tokens = {name: torch.tensor([token], device=model.device) for name, token in objects.items()}
    effects = {
        name: (terms @ (readout.directions(token) - readout.mean_directions)[0]).double().cpu()
        for name, token in tokens.items()
    }
    for name, token in objects.items():
        effects[name][-1] += float(readout.offset[token] - readout.offset.mean())
    return lens, effects


def _place(name: str) -> tuple[str, int | None]:
    if name in ("input", "biases"):
        return "other", None
    return "head" if name[0] == "a" else "mlp", int(name[1:].partition(".")[0])


def _group(kind: str, layer: int | None, edited: set[int]) -> str:
    """An edit without an MLP, such as LoRA's, has no layer of its own: every layer may be called later."""
    if kind == "mlp" and layer in edited:
        return "edited MLPs"
    if layer is None or layer <= min(edited, default=-1):
        return "the rest"
    return "later heads" if kind == "head" else "later MLPs"


def _movers(effects: Float[Tensor, " term"], heads: Tensor) -> list[bool]:
    """The heads that write most."""
    best = effects.masked_fill(~heads, -torch.inf).topk(min(_MOVERS, int(heads.sum()))).indices
    chosen = torch.zeros(len(effects), dtype=torch.bool)
    chosen[best] = True
    return chosen.tolist()
