"""Which nodes matter: slopes by the gates of all nodes, along one shared gate.

With one gate g for all nodes, from all ablated (0) to the model (1), the slope of the target by each node's own gate is
averaged over several g. Under linear rules the slopes hardly depend on g, but the run does: at small g a node is
judged beside others that are ablated as well, as it is in a graph that holds few nodes.

Three questions have three answers. This ranks *sets*. What one node does alone is predicted best by the plain slope at
g = 1 (`rules=None, steps=1`), which exact patching confirms. How nodes add up is what edges say.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from wheatstone.graphs._nodes import NodeAxis
from wheatstone.graphs._question import Baseline, Question
from wheatstone.models import LINEAR, BackwardRules, NodeValues, run_nodes

STEPS = 5


def node_slopes(
    question: Question,
    axis: NodeAxis,
    baseline: Baseline,
    *,
    steps: int = STEPS,
    rules: BackwardRules | None = LINEAR,
) -> Float[Tensor, " node"]:
    """What the target gains, to first order, when a node's gate opens from ablated to its own value; in logits.

    Args:
        question: what is explained.
        axis: of the prompt's nodes.
        baseline: what nodes do ablated.
        steps: gates at which slopes are taken, at the middles of as many equal parts of 0 to 1; with 1, at 1.
        rules: of the backward pass; None for the model's own gradients.
    """
    along = torch.ones(1) if steps == 1 else (torch.arange(steps) + 0.5) / steps
    tokens = question.tokens.repeat(steps)

    def like(part: Tensor) -> Tensor:
        return along.to(part).view(-1, 1, 1)

    values = question.clean.values
    gates = NodeValues(tuple(map(like, values.heads)), tuple(map(like, values.neurons)))
    run = run_nodes(question.model, tokens, gates=gates, ablated=baseline.values, loss=question.measure, rules=rules)
    assert run.gradients is not None
    return axis.row(run.gradients.slopes(run.values, baseline.values)).mean(0)
