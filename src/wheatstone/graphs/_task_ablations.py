"""What heads and neurons do on a task's prompts where a set leaves them out.

What their counterfactuals make of them; what they do on average over the task's prompts at the same place; or what they
do on average in running text.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from wheatstone._view import Brief
from wheatstone.graphs._question import text_means
from wheatstone.models import NodeValues, ResidualModel, Tokens, run_nodes
from wheatstone.tasks import Encoded

TaskAblation = Callable[[ResidualModel, Encoded], NodeValues]
"""Given prompts, what their nodes do ablated: one row for each prompt."""
_TOKENS = 1024
"""Tokens run at once."""


def parts_of(encoded: Encoded) -> list[Int[Tensor, " part"]]:
    """Numbers of prompts that run together."""
    return list(torch.arange(len(encoded.pairs)).split(max(1, _TOKENS // encoded.clean.width)))


@torch.no_grad()
def node_values(model: ResidualModel, tokens: Tokens) -> NodeValues:
    """What all nodes do on some prompts, run in parts."""
    each = max(1, _TOKENS // tokens.width)
    runs = [
        run_nodes(model, Tokens(tokens.ids[part], tokens.lengths[part])).values
        for part in torch.arange(tokens.batch).split(each)
    ]
    return NodeValues(_joined([run.heads for run in runs]), _joined([run.neurons for run in runs]))


def _joined(runs: Sequence[tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
    return tuple(torch.cat(layers) for layers in zip(*runs, strict=True))


def counterfactual_ablation(model: ResidualModel, encoded: Encoded) -> NodeValues:
    """What nodes do on each prompt's counterfactual."""
    return node_values(model, encoded.counterfactual)


@dataclass(frozen=True, eq=False)
class MeanAblation(Brief):
    """What nodes do on average, by their place in the prompt; each prompt's first token is left as it is, and is in no
    mean of places.

    Args:
        means: of every layer: a row for each place.
        longest: rows before, in and after the subject; None where one mean is for all places.
    """

    means: NodeValues
    longest: tuple[int, int, int] | None

    @classmethod
    def of_task(cls, model: ResidualModel, encoded: Encoded) -> MeanAblation:
        """Means over prompts of a task.

        Places are counted from the start as far as the subject, within the subject from its end, and after it from the
        end of the prompt. A place that is only ever the first token has the mean over all others.

        Args:
            model: the model.
            encoded: prompts that the means are over.
        """
        parts = _places(encoded)
        later = [place for row in parts for place in row[1:]]
        longest = [1 + max((at for part, at in later if part == which), default=0) for which in range(3)]
        size = (longest[0], longest[1], longest[2])
        rows, own = _rows(parts, size, encoded.clean.width), node_values(model, encoded.clean)
        rows[:, 0] = -1
        count = sum(size)

        def mean(values: Tensor) -> Tensor:
            flat, where = values.flatten(0, 1), rows.flatten().to(values.device)
            inside = where >= 0
            sums = flat.new_zeros(count, *flat.shape[1:]).index_add_(0, where[inside], flat[inside])
            times = torch.bincount(where[inside], minlength=count)
            means = sums / times.clamp_min(1).view(-1, *[1] * (flat.dim() - 1)).to(sums)
            means[times == 0] = sums.sum(0) / max(1, int(times.sum()))
            return means[None]

        return cls(NodeValues(tuple(map(mean, own.heads)), tuple(map(mean, own.neurons))), size)

    @classmethod
    def of_texts(cls, model: ResidualModel) -> MeanAblation:
        """Means over running text."""
        means = [mean.to(model.dtype)[None, None] for mean in text_means(model)[1:]]
        layers = model.graph.layers
        return cls(NodeValues(tuple(means[:layers]), tuple(means[layers:])), None)

    def __call__(self, model: ResidualModel, encoded: Encoded) -> NodeValues:
        """The means as some prompts need them."""
        first = node_values(model, Tokens(encoded.clean.ids[:, :1], torch.ones_like(encoded.clean.lengths)))
        width = encoded.clean.width
        rows = torch.zeros(len(encoded.pairs), width, dtype=torch.long)
        if self.longest is not None:
            rows = _rows(_places(encoded), self.longest, width).clamp_min(0)

        def placed(mean: Tensor, own: Tensor) -> Tensor:
            return torch.cat((own, mean[0][rows[:, 1:]]), 1)

        return NodeValues(
            tuple(map(placed, self.means.heads, first.heads)), tuple(map(placed, self.means.neurons, first.neurons))
        )


def _places(encoded: Encoded) -> list[list[tuple[int, int]]]:
    """Of every prompt and position, whether it is before, in or after the subject, and its number there."""
    found: list[list[tuple[int, int]]] = []
    for length, (start, end) in zip(encoded.clean.lengths.tolist(), encoded.span("subject").tolist(), strict=True):
        found.append(
            [(0, at) if at < start else (1, end - 1 - at) if at < end else (2, length - 1 - at) for at in range(length)]
        )
    return found


def _rows(parts: list[list[tuple[int, int]]], longest: tuple[int, int, int], width: int) -> Int[Tensor, "prompt pos"]:
    """Numbers of places, -1 behind a prompt's end; one that the means lack has the number of the nearest."""
    firsts = (0, longest[0], longest[0] + longest[1])
    rows = torch.full((len(parts), width), -1)
    for number, row in enumerate(parts):
        rows[number, : len(row)] = torch.tensor([firsts[part] + min(at, longest[part] - 1) for part, at in row])
    return rows
