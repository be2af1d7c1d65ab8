"""What a set of nodes holds: exact runs of it alone, and of everything else.

Nodes outside the set are ablated, the tokens are the prompt's own, and attention is computed again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from wheatstone.graphs._nodes import NodeAxis
from wheatstone.graphs._question import Baseline, Question
from wheatstone.models import run_nodes

BAND = (0.9, 1.1)
"""Faithfulness of a set that is called enough. Supporters alone go beyond it: they lack what holds the answer back."""
_TOKENS = 2048
"""Tokens run at once."""


@dataclass(frozen=True)
class SetProof:
    """What a set of nodes holds under one baseline.

    Args:
        baseline: its name.
        nodes: heads and neurons of the set.
        faithfulness: (set − all ablated) / (model − all ablated) of the target.
        completeness: the share of the same difference that is lost without the set.
        kl: divergence of the set's next-token distribution from the model's, in nats.
        answer: the most likely token of the set.
        keeps_top: whether that is the model's.
        probability: of the answer, with the set alone.
        without: the same without the set.
    """

    baseline: str
    nodes: int
    faithfulness: float
    completeness: float
    kl: float
    answer: int
    keeps_top: bool
    probability: float
    without: float

    @property
    def enough(self) -> bool:
        """Whether the set alone has the model's top token and a faithfulness from .9 to 1.1."""
        return self.keeps_top and BAND[0] <= self.faithfulness <= BAND[1]


def run_sets(
    question: Question, axis: NodeAxis, baseline: Baseline, sets: Float[Tensor, "set node"]
) -> Float[Tensor, "set vocab"]:
    """Logits of sets of nodes alone.

    Args:
        question: what is explained.
        axis: of the prompt's nodes.
        baseline: what all others do.
        sets: gates, 1 for what a set holds.
    """
    each = max(1, _TOKENS // question.tokens.width)
    return torch.cat(
        [
            run_nodes(
                question.model, question.tokens.repeat(len(part)), gates=axis.values(part), ablated=baseline.values
            ).logits
            for part in sets.split(each)
        ]
    )


def ablated_target(question: Question, axis: NodeAxis, baseline: Baseline) -> Float[Tensor, ""]:
    """The target with all nodes ablated."""
    nothing = torch.zeros(1, axis.size, device=question.model.device)
    return question.measure(run_sets(question, axis, baseline, nothing))[0]


def prove(question: Question, axis: NodeAxis, baseline: Baseline, sets: Bool[Tensor, "set node"]) -> list[SetProof]:
    """Runs sets of nodes alone and without them.

    Args:
        question: what is explained.
        axis: of the prompt's nodes.
        baseline: what ablated nodes do.
        sets: which nodes each holds.
    """
    nothing = torch.zeros(1, sets.shape[1])
    rows = torch.cat((sets.float(), (~sets).float(), nothing)).to(question.model.device)
    logits = run_sets(question, axis, baseline, rows)
    values = question.measure(logits)
    model = question.clean.logits
    ablated, whole = values[-1], question.measure(model)[0]
    share = ((values - ablated) / (whole - ablated)).tolist()
    expected, found = model.log_softmax(-1), logits.log_softmax(-1)
    divergence = (expected.exp() * (expected - found)).sum(-1).tolist()
    probability = found.exp()[:, question.answers].sum(-1).tolist()
    top, own = logits.argmax(-1).tolist(), int(model[0].argmax())
    count = len(sets)
    sizes: Sequence[int] = sets.sum(1).tolist()
    return [
        SetProof(
            baseline.name,
            sizes[n],
            share[n],
            1 - share[count + n],
            max(0.0, divergence[n]),
            top[n],
            top[n] == own,
            probability[n],
            probability[count + n],
        )
        for n in range(count)
    ]


def single_effects(
    question: Question, axis: NodeAxis, baseline: Baseline, nodes: Sequence[int]
) -> Float[Tensor, " node"]:
    """What the target loses when one node alone is ablated, in logits, run exactly.

    Args:
        question: what is explained.
        axis: of the prompt's nodes.
        baseline: what it then does.
        nodes: places on the axis.
    """
    if not nodes:
        return torch.zeros(0)
    found: list[Tensor] = []
    each = max(1, _TOKENS // question.tokens.width)
    whole = question.measure(question.clean.logits)
    for part in torch.tensor(nodes).split(each):
        gates = torch.ones(len(part), axis.size, device=question.model.device)
        gates[torch.arange(len(part)), part] = 0
        found.append(whole - question.measure(run_sets(question, axis, baseline, gates)))
    return torch.cat(found)
