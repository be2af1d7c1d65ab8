"""Edges of a task's graph: those of its prompts, each node's summed over its part of the prompt, and averaged."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from wheatstone._errors import RequestError
from wheatstone._progress import Reporter, silent
from wheatstone._text import count as counted
from wheatstone.graphs._edges import Edges, edges_of
from wheatstone.graphs._nodes import Node
from wheatstone.graphs._question import Baseline, Question
from wheatstone.models import LINEAR, ResidualModel, memory_room, run_nodes
from wheatstone.tasks import PromptPair

_BYTES = 20
"""Of a pair of nodes: its weight in single precision, in double precision, and summed."""


def mean_edges(
    model: ResidualModel,
    pairs: Sequence[PromptPair],
    places: Int[Tensor, "prompt pos"],
    nodes: Sequence[Node],
    *,
    report: Reporter = silent,
) -> Edges:
    """Edges between nodes that are the same throughout a part of the prompt.

    Args:
        model: the model.
        pairs: prompts with their counterfactuals, which edges show the difference to.
        places: the part that each position of each prompt belongs to.
        nodes: with the number of their part as position.
        report: progress callback.

    Raises:
        RequestError: their edges need more memory than there is.

    When this misleads: means hide prompts that disagree. An edge that carries +1 on one half of the prompts and -1 on
    the other has none.
    """
    count = len(nodes)
    weights = torch.zeros(count + 1, count, dtype=torch.float64)
    totals, sent = torch.zeros(count + 1, dtype=torch.float64), torch.zeros(count, dtype=torch.float64)
    written = torch.zeros(count, model.d_model, dtype=torch.float64)
    rounding = 0.0
    for number, (pair, row) in enumerate(zip(pairs, places.tolist(), strict=True)):
        report("edges", number, len(pairs))
        question = Question.of(model, pair.prompt, pair.answers, pair.distractors, None)
        where: dict[int, list[int]] = {}
        for position in range(question.tokens.width):
            where.setdefault(row[position], []).append(position)
        each = [
            (Node(node.layer, node.kind, node.index, position), owner)
            for owner, node in enumerate(nodes)
            for position in where.get(node.position, ())
        ]
        _check_memory(len(each), model)
        owners = torch.tensor([owner for _, owner in each])
        run = run_nodes(model, question.tokens, loss=question.measure, rules=LINEAR)
        other = run_nodes(model, model.tokens([pair.counterfactual]))
        baseline = Baseline("counterfactual", other.input, other.values)
        found = edges_of(model, question.tokens, run, baseline, [node for node, _ in each])
        ends = torch.cat((owners, torch.tensor([count])))
        by_sender = _summed(found.weights.double().T, owners, count).T
        weights += _summed(by_sender, ends, count + 1)
        totals += _summed(found.totals.double(), ends, count + 1)
        sent += _summed(found.sent.double(), owners, count)
        written += _summed(found.written.double(), owners, count)
        rounding = max(rounding, found.rounding)
    report("edges", len(pairs), len(pairs))
    few = len(pairs)
    return Edges(weights / few, totals / few, (sent / few).float(), (written / few).to(model.dtype), rounding)


def _check_memory(nodes: int, model: ResidualModel) -> None:
    """Refuses more nodes than fit.

    Raises:
        RequestError: their edges do not.
    """
    need = _BYTES * nodes**2
    if need > (budget := memory_room(model.device)):
        raise RequestError(
            expected=f"a graph whose edges take at most {budget / 1e9:.1f} GB",
            got=f"{counted(nodes, 'node')} at single tokens, some {need / 1e9:.1f} GB",
            do="lower --nodes",
        )


def _summed(values: Float[Tensor, "n *rest"], owners: Int[Tensor, " n"], count: int) -> Float[Tensor, "_owner *rest"]:
    """Rows of one owner together."""
    return values.new_zeros(count, *values.shape[1:]).index_add_(0, owners, values)
