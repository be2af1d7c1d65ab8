"""Edge pruning: a mask over all edges, learned by gradient under a penalty on its expected size.

Every edge has a gate z in [0, 1], the share of it that is kept, drawn from a hard concrete distribution with the
learned location log α:

    u ~ uniform(0, 1),  s = sigmoid((log u − log(1 − u) + log α) / β),  z = clip(s (ζ − γ) + γ, 0, 1)
    P(z > 0) = sigmoid(log α − β log(−γ / ζ))           β = 2/3, γ = −0.1, ζ = 1.1

Adam minimises loss(model with gates z), one draw of all gates a step, under a constraint: the expected number of
edges, the sum of P(z > 0), is what a schedule says, going down geometrically from all to the target during the first
four fifths of the steps. After each step all log α are moved by the one number that makes it so, which acts as the
multiplier of an L0 penalty and needs no tuning: an edge stays as far as its gradient outweighs that of the others.
Adam is that of `MaskAdam`.

As published but for: the constraint in place of a Lagrangian trained beside; edges alone have gates, nodes none; a run
is tens or hundreds of steps instead of thousands. It is shorter still from scores s of all edges: then it begins with

    log α = 3 (log |s| − log |s of the target-th edge|)

and an expected size of four times the target instead of all edges, which goes down during the first half.

Sources: Bhaskar et al. 2024 (arXiv 2406.16778), section 3; Louizos et al. 2017 (arXiv 1712.01312), section 2.2.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from math import isqrt, log
from typing import Literal, get_args

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from wheatstone._errors import RequestError, check_choice
from wheatstone._progress import Reporter, silent
from wheatstone._view import Brief
from wheatstone.circuits import Experiment
from wheatstone.discovery._adam import MaskAdam
from wheatstone.discovery._method import ScoreMethod
from wheatstone.models import Tokens
from wheatstone.tasks import gather

Loss = Literal["kl", "metric", "hit"]
_BETA, _LOW, _HIGH = 2 / 3, -0.1, 1.1
_SHIFT = -_BETA * log(-_LOW / _HIGH)
_RAMP = 0.8
"""Share of the steps in which the expected size goes down to its target."""
_AHEAD, _SHORT_RAMP = 4, 0.5
"""With scores to start from: the multiple of the target open at first, and the share of the steps it falls in."""
_SHARP = 3
"""How strongly scores are taken at first: with 1, thousands of edges of low scores are each open now and then."""
_RANK, _MARGIN, KL_WEIGHT = 10, 1.0, 0.3
"""Of the loss `hit`: the rank to be within, by how many logits, and the weight of the KL divergence that is added."""


@dataclass(frozen=True)
class MaskStep:
    """One step of learning.

    Args:
        loss: of the model with this step's gates.
        expected: edges that are open on average.
    """

    loss: float
    expected: float


@dataclass(frozen=True, eq=False)
class LearnedMask(Brief):
    """A learned mask.

    Args:
        log_alpha: of every edge's gate; any circuit size is its highest entries.
        keep: the target number of edges, those with the highest.
        steps: how it was learned.
    """

    log_alpha: Float[Tensor, "channel node"]
    keep: Bool[Tensor, "channel node"]
    steps: tuple[MaskStep, ...]

    @classmethod
    def of(
        cls,
        log_alpha: Float[Tensor, "channel node"],
        valid: Bool[Tensor, "channel node"],
        target: int,
        steps: Sequence[MaskStep],
    ) -> LearnedMask:
        """The mask of the `target` edges with the highest log α; ties in order of computation."""
        final = log_alpha.masked_fill(~valid, -torch.inf)
        keep = torch.zeros(valid.numel(), dtype=torch.bool)
        keep[final.flatten().argsort(descending=True, stable=True)[:target]] = True
        return cls(final, keep.view_as(valid), tuple(steps))

    def ranking(self) -> Float[Tensor, "channel node"]:
        """log α above the lowest: positive where there is an edge, so that a ranking by size is one by log α."""
        lowest = self.log_alpha[self.log_alpha.isfinite()].min()
        return (self.log_alpha - lowest + 1).masked_fill(self.log_alpha.isinf(), 0)


def learn_mask(
    experiment: Experiment,
    *,
    edges: int | None = None,
    steps: int = 100,
    learning_rate: float = 1.0,
    loss: str = "kl",
    batch: int | None = None,
    scores: Float[Tensor, "channel node"] | None = None,
    seed: int = 0,
    report: Reporter = silent,
) -> LearnedMask:
    """Learns which edges to keep.

    Args:
        experiment: model, prompts, ablation and metric.
        edges: how many to keep; default the square root of their number.
        steps: of Adam, each one forward and backward pass of a batch of prompts.
        learning_rate: of log α, per step.
        loss: `kl`, KL(model ‖ circuit) of the next token in nats; `metric`, |metric − the model's| over the gap
            between model and ablated model; `hit`, by how many logits the best-placed answer falls short of 1 above
            the tenth-placed other token, and 0.3 KL so that the other tokens stay the model's. Means over prompts.
        batch: prompts of a step: each in its turn, in an order drawn again for every round. All by default.
        scores: of all edges, to start from, such as `attribute`'s; by default all edges start alike.
        seed: of the gates, and of the prompts' order.
        report: progress callback.

    Returns:
        The mask, on the CPU.

    Raises:
        RequestError: an option out of range.

    When this misleads: gates between 0 and 1 may do together what no circuit does: evaluate `keep` before using it.
    A gate says that an edge was useful in random company, not what it does: there is no sign, and log α has no unit.
    With few steps the order of the lowest edges is noise.
    """
    graph = experiment.graph
    target = isqrt(graph.edges) if edges is None else edges
    if not 1 <= target <= graph.edges:
        raise RequestError(expected=f"from 1 to {graph.edges} edges", got=str(target), do="choose a size in between")
    if steps < 1 or learning_rate <= 0:
        raise RequestError(
            expected="at least one step and a learning rate above 0",
            got=f"{steps} steps and {learning_rate}",
            do="use 100 steps and 1.0",
        )
    if batch is not None and batch < 1:
        raise RequestError(expected="at least one prompt a step", got=str(batch), do="use 5, or leave it out")
    check_choice("a loss", loss, get_args(Loss))
    valid = torch.from_numpy(graph.valid)
    draw = torch.Generator().manual_seed(seed)
    log_alpha = torch.zeros(valid.shape, dtype=torch.float64) if scores is None else started(scores, valid, target)
    most, ramp = (graph.edges, _RAMP) if scores is None else (min(graph.edges, _AHEAD * target), _SHORT_RAMP)
    turns = _turns(experiment.encoded.clean.batch, batch, draw)
    adam = MaskAdam(valid, target, learning_rate)
    trace: list[MaskStep] = []
    for step in range(steps):
        report("learning a mask", step, steps)
        expected = most * (target / most) ** min(1.0, (step + 1) / (ramp * steps))
        log_alpha = _opened(log_alpha, valid, expected)
        noise = torch.rand(valid.shape, generator=draw, dtype=torch.float64).logit(1e-12)
        s = ((noise + log_alpha) / _BETA).sigmoid()
        z = s * (_HIGH - _LOW) + _LOW
        value, slope = _loss(experiment, z.clamp(0, 1) * valid, loss, next(turns))
        slope = slope * (_HIGH - _LOW) * s * (1 - s) / _BETA * ((z > 0) & (z < 1))
        log_alpha = log_alpha + adam.step(slope)
        trace.append(MaskStep(value, expected))
    report("learning a mask", steps, steps)
    experiment.evaluations += 3 * steps
    return LearnedMask.of(log_alpha, valid, target, trace)


def started(
    scores: Float[Tensor, "channel node"], valid: Bool[Tensor, "channel node"], target: int
) -> Float[Tensor, "channel node"]:
    """log α in proportion to the logarithm of scores; edges of hardly any score alike."""
    size = scores.double().abs()
    middle = size[valid].topk(target).values[-1].clamp_min(torch.finfo(torch.float32).tiny)
    return _SHARP * (size / middle).clamp_min(1e-4).log()


def _turns(prompts: int, batch: int | None, draw: torch.Generator) -> Iterator[Tensor]:
    """Which prompts make each step."""
    if batch is None or batch >= prompts:
        yield from repeat(torch.arange(prompts))
    else:
        left = torch.empty(0, dtype=torch.long)
        while True:
            if len(left) < batch:
                left = torch.cat((left, torch.randperm(prompts, generator=draw)))
            yield left[:batch].unique()
            left = left[batch:]


def _opened(
    log_alpha: Float[Tensor, "channel node"], valid: Bool[Tensor, "channel node"], expected: float
) -> Float[Tensor, "channel node"]:
    """All log α moved by one number, found by bisection, so that the expected number of open edges is `expected`."""
    edges = log_alpha[valid] + _SHIFT
    low, high = -float(edges.max()) - 40.0, 40.0 - float(edges.min())
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if float((edges + middle).sigmoid().sum()) > expected else (middle, high)
    return log_alpha + low


def _loss(experiment: Experiment, gates: Tensor, loss: str, prompts: Int[Tensor, " prompt"]) -> tuple[float, Tensor]:
    """The loss over some prompts and its slope by every gate."""
    tokens = experiment.encoded.clean
    prompts = prompts.to(tokens.ids.device)
    lengths = tokens.lengths[prompts]
    width = int(lengths.max())
    clean = experiment.clean_logits[prompts].log_softmax(-1)
    answers = experiment.encoded.answers[prompts]
    gap = (experiment.clean.mean() - experiment.corrupt.mean()).abs()

    def part(logits: Tensor, rows: slice) -> Tensor:
        if loss == "metric":
            # A metric is of all prompts: the others are put in as the model answers them.
            every = experiment.clean_logits.index_copy(0, prompts[rows], logits)
            return (experiment.values_of(every) - experiment.clean)[prompts[rows]].abs().sum() / (len(prompts) * gap)
        divergence = (clean[rows].exp() * (clean[rows] - logits.log_softmax(-1))).sum(-1)
        if loss == "kl":
            return divergence.sum() / len(prompts)
        short = short_of_rank(logits, answers[rows])
        return (short + KL_WEIGHT * divergence).sum() / len(prompts)

    return experiment.model.mask_gradients(
        Tokens(tokens.ids[prompts, :width], lengths),
        experiment.ablated_outputs.map(lambda value: value[prompts.to(value.device), :width]),
        gates.to(experiment.clean_logits.dtype),
        part,
        start=experiment.start,
        budget=experiment.memory,
    )


def short_of_rank(
    logits: Float[Tensor, "batch vocab"], answers: Int[Tensor, "batch answer"]
) -> Float[Tensor, " batch"]:
    """By how much the best-placed answer of each prompt falls short of being ahead of the tenth-placed other token."""
    best = gather(logits, answers, -torch.inf).amax(-1)
    padded = answers.where(answers >= 0, answers[:, :1])
    others = logits.scatter(-1, padded, -torch.inf).topk(min(_RANK, logits.shape[-1] - answers.shape[1]), -1).values
    return (others[:, -1] + _MARGIN - best).relu()


def _score(experiment: Experiment, *, steps: int, seed: int, report: Reporter) -> Float[Tensor, "channel node"]:
    return learn_mask(experiment, steps=steps, seed=seed, report=report).ranking()


EDGE_PRUNING = ScoreMethod(
    "edge-pruning", "how strongly a learned mask keeps it; no sign, no unit", _score, steps=100, seeded=True
)
