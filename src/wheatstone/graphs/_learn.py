"""A set of nodes that holds the answer: one ranking of all nodes, learned so that the sets cut from it work.

Each step runs several sets at once. Each draws a size k, one of the cases and noise for every node; its gates are 1
for the k nodes with the highest

    x = θ + t · noise          noise of the standard logistic distribution

and 0 for all others, so that what runs is a set and no mixture. The gradient by θ is taken as if a gate were
sigmoid((x − x_k) / t) (straight-through). Adam minimises

    2 |target − the model's| / gap + 0.3 KL(model ‖ set) + what the model's top token lacks of 1 logit above the next

with the gap between the model's target and that of the fully ablated run. It begins with θ = 2 log |s| for slopes s
(`node_slopes`), less that of the target-th node. During the first 60% of the steps noise and sizes narrow: sizes, which
are drawn evenly in their logarithm, from half to eight times the target to half to twice.

The method is that of the circuits of tasks (`wheatstone.discovery.learn_ranking`), with nodes in place of edges.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

import torch
from jaxtyping import Float, Int
from torch import Tensor

from wheatstone._errors import RequestError
from wheatstone._progress import Reporter, silent
from wheatstone._text import count
from wheatstone.discovery import MaskAdam, between, size_thresholds
from wheatstone.graphs._nodes import NodeAxis
from wheatstone.graphs._proof import ablated_target
from wheatstone.graphs._question import Baseline, Case
from wheatstone.models import NodeValues, run_nodes

_NOISE = (1.0, 0.2)
_SIZES = ((0.5, 8.0), (0.5, 2.0))
_ANNEALED = 0.6
_METRIC, _KL = 2.0, 0.3
SETS = 6
"""Run in each step."""
_START = 2.0


def learn_nodes(
    cases: Sequence[Case],
    axis: NodeAxis,
    *,
    slopes: Float[Tensor, " node"],
    target: int,
    steps: int = 80,
    sets: int = SETS,
    learning_rate: float = 0.5,
    seed: int = 0,
    report: Reporter = silent,
) -> Float[Tensor, " node"]:
    """Ranks all nodes of a prompt: any set is its highest entries.

    Args:
        cases: the prompt's question under one or more baselines, each of which a set must hold under.
        axis: of the prompt's nodes.
        slopes: to start from.
        target: size around which sizes are drawn.
        steps: of Adam.
        sets: run in each step.
        learning_rate: of θ, per step.
        seed: of sizes, cases and noise.
        report: progress callback.

    Raises:
        RequestError: an option out of range.

    When this misleads: the ranking says which nodes were useful together for this prompt. Other sets may do as well,
    and it has no sign and no unit. Judge it under a baseline that it was not learned with.
    """
    check_learning(axis.size, target, steps, sets)
    question = cases[0].question
    tokens = question.tokens.repeat(sets)
    ablated = _stacked([case.baseline for case in cases])
    model = question.clean.logits
    expected, top = model.log_softmax(-1), int(model[0].argmax())
    whole = torch.cat([case.question.measure(model) for case in cases])
    gaps = (whole - torch.stack([ablated_target(case.question, axis, case.baseline) for case in cases])).abs()
    turns = Turns(len(cases))

    def slope_of(gates: Float[Tensor, "set node"], draw: Random) -> Float[Tensor, "set node"]:
        which = turns.next(sets, draw)

        def loss(logits: Tensor) -> Tensor:
            values = [cases[at].question.measure(row[None]) for at, row in zip(which.tolist(), logits, strict=True)]
            return distance(logits, torch.cat(values), whole[which], gaps[which], expected, torch.tensor([top] * sets))

        chosen = ablated and ablated.rows(which)
        run = run_nodes(question.model, tokens, gates=axis.values(gates), ablated=chosen, loss=loss)
        assert run.gradients is not None
        return axis.row(run.gradients.slopes(run.values, chosen))

    return learned_ranking(
        slopes,
        slope_of,
        target=target,
        steps=steps,
        sets=sets,
        learning_rate=learning_rate,
        seed=seed,
        dtype=question.model.dtype,
        device=question.model.device,
        report=report,
    )


class Turns:
    """Draws numbers so that each comes as often as any other: all in a random order, then again in another.

    Args:
        count: of numbers, from 0.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._left: list[int] = []

    def next(self, few: int, draw: Random) -> Int[Tensor, " few"]:
        """The next few."""
        while len(self._left) < few:
            self._left += draw.sample(range(self._count), self._count)
        now, self._left = self._left[:few], self._left[few:]
        return torch.tensor(now)


def check_learning(nodes: int, target: int, steps: int, sets: int) -> None:
    """Refuses options out of range.

    Raises:
        RequestError: one is.
    """
    if min(steps, sets) < 1 or not 1 <= target < nodes:
        raise RequestError(
            expected=f"at least one step of at least one set, and a target from 1 to {nodes - 1} nodes",
            got=f"{count(steps, 'step')}, {count(sets, 'set')} and {count(target, 'node')}",
            do="choose numbers in range",
        )


def learned_ranking(
    slopes: Float[Tensor, " node"],
    slope_of: Callable[[Float[Tensor, "set node"], Random], Float[Tensor, "set node"]],
    *,
    target: int,
    steps: int,
    sets: int,
    learning_rate: float,
    seed: int,
    dtype: torch.dtype,
    device: torch.device,
    report: Reporter,
) -> Float[Tensor, " node"]:
    """Learns a ranking of nodes: what is run, and its loss, is the caller's.

    Args:
        slopes: to start from.
        slope_of: given the gates of some sets, the slopes of their losses by these gates.
        target: size around which sizes are drawn.
        steps: of Adam.
        sets: of each step.
        learning_rate: of θ, per step.
        seed: of sizes, noise, and what `slope_of` draws.
        dtype: of gates.
        device: that they are on.
        report: progress callback.
    """
    draw, noise_draw = Random(seed), torch.Generator().manual_seed(seed)
    nodes = len(slopes)
    size = slopes.abs().double().cpu()
    least = size.topk(target).values[-1].clamp_min(torch.finfo(torch.float32).tiny)
    theta = _START * (size.clamp_min(least * 1e-6).log() - least.log())
    adam = MaskAdam(torch.ones(nodes, dtype=torch.bool), target, learning_rate)
    for step in range(steps):
        report("learning which nodes hold the answer", step, steps)
        along = min(1.0, step / (_ANNEALED * steps))
        scale = between(*_NOISE, along)
        low, high = (between(*ends, along) * target for ends in zip(*_SIZES, strict=True))
        counts = [round(between(low, high, draw.random())) for _ in range(sets)]
        noise = torch.rand(sets, nodes, generator=noise_draw, dtype=torch.float64).logit(1e-9)
        x = theta + scale * noise
        x = x - size_thresholds(x, counts)[:, None]
        slope = slope_of((x > 0).to(dtype).to(device), draw).double().cpu()
        soft = (x / scale).sigmoid()
        theta = theta + adam.step((slope * soft * (1 - soft) / scale).sum(0))
    report("learning which nodes hold the answer", steps, steps)
    return theta


def distance(
    logits: Float[Tensor, "row vocab"],
    values: Float[Tensor, " row"],
    wanted: Float[Tensor, " #row"],
    gaps: Float[Tensor, " row"],
    expected: Float[Tensor, "#row vocab"],
    tops: Int[Tensor, " row"],
) -> Float[Tensor, " row"]:
    """How far runs of sets are from the model, see above; over the number of rows.

    Args:
        logits: of the sets.
        values: the target, of the sets.
        wanted: the model's.
        gaps: by how much it changes where everything is ablated.
        expected: the model's log-probabilities.
        tops: its first choices.
    """
    tops = tops.to(logits.device)
    far = (values - wanted).abs() / gaps
    divergence = (expected.exp() * (expected - logits.log_softmax(-1))).sum(-1)
    others = logits.scatter(1, tops[:, None], -torch.inf).amax(-1)
    short = (1 + others - logits.gather(1, tops[:, None])[:, 0]).relu()
    return (_METRIC * far + _KL * divergence + short) / len(logits)


def _stacked(baselines: Sequence[Baseline]) -> NodeValues | None:
    """The values of all baselines, one after another along the batch; None where all of them are 0."""
    values = [baseline.values for baseline in baselines if baseline.values is not None]
    if not values:
        return None
    assert len(values) == len(baselines)
    return NodeValues(
        tuple(torch.cat(parts) for parts in zip(*(one.heads for one in values), strict=True)),
        tuple(torch.cat(parts) for parts in zip(*(one.neurons for one in values), strict=True)),
    )
