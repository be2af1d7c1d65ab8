"""Nested masks: one ranking of the edges, learned so that the circuits cut from it work at every size.

Each step draws some prompts. Each of them draws one of its counterfactuals, a size k and noise for every edge; its
gates are 1 for the k edges with the highest

    x = θ + t · noise          noise of the standard logistic distribution

and 0 for all others, so that what runs is a circuit. The gradient by θ is taken as if a gate were
sigmoid((x − x_k) / t), with x_k halfway between the last edge that is kept and the first that is not
(straight-through). Adam minimises the mean of the prompts' losses: by how many logits the best-placed answer falls
short of 1 above the tenth-placed other token, and 0.3 KL(model ‖ circuit), so that the other tokens stay the model's;
where it is asked for, also 2 |metric − the model's metric|, as a share of the mean gap to the counterfactuals' metric.

During the first 60% of the steps the noise falls from t = 1 to 0.2 and the sizes, which are drawn evenly in their
logarithm, from two to ten times the target to 0.4 to 3 times. θ begins with

    θ = 3 (log |s| − log |s of the target-th edge|)

for given scores s. A circuit that is learned against one counterfactual for each prompt depends on which one that is;
drawing one of several at each step costs nothing.

Sources: straight-through gates, Bengio et al. 2013 (arXiv 1308.3432); masks over edges, Bhaskar et al. 2024
(arXiv 2406.16778). Sizes and counterfactuals of each prompt's own, and hard gates in place of hard concrete ones, are
this package's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import exp, log
from random import Random

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import pad

from wheatstone._errors import RequestError
from wheatstone._progress import Reporter, silent
from wheatstone._text import count
from wheatstone.circuits import first_change
from wheatstone.discovery._adam import MaskAdam
from wheatstone.discovery._learned import KL_WEIGHT, LearnedMask, MaskStep, short_of_rank, started
from wheatstone.models import NodeOutputs, ResidualModel, Tokens, memory_budget
from wheatstone.tasks import Encoded, PromptPair, Targets, encode, metric_named

_NOISE = (1.0, 0.2)
_SIZES = ((2.0, 10.0), (0.4, 3.0))
"""Smallest and largest size, as multiples of the target, at first and in the end."""
LEARNED_BATCH = 10
"""Prompts of a step."""
_METRIC = 2.0
"""Weight of the metric's distance, as a share of its gap."""
_ANNEALED = 0.6
"""Share of the steps in which noise and sizes reach their last values."""


def learn_ranking(
    model: ResidualModel,
    pairs: Sequence[PromptPair],
    *,
    scores: Float[Tensor, "channel node"],
    edges: int,
    steps: int = 120,
    learning_rate: float = 0.5,
    batch: int = LEARNED_BATCH,
    metric: str | None = None,
    seed: int = 0,
    memory: int | None = None,
    report: Reporter = silent,
) -> LearnedMask:
    """Learns one ranking of the edges for all circuit sizes, with counterfactual ablation.

    Args:
        model: the model.
        pairs: the prompts; pairs of the same prompt are its counterfactuals, see `several_counterfactuals`.
        scores: of all edges, to start from, such as those of `score_edges`.
        edges: target size, around which the sizes are drawn.
        steps: of Adam, each one forward and backward pass of a batch of prompts.
        learning_rate: of θ, per step.
        batch: prompts of a step.
        metric: to keep too, see above; None leaves it out.
        seed: of the prompts' order, their counterfactuals, sizes and noise.
        memory: bytes that runs may take; default `memory_budget`.
        report: progress callback.

    Returns:
        The ranking as a mask of `edges` edges; any circuit size is its highest `log_alpha`.

    Raises:
        RequestError: an option out of range.
        PromptError: the prompts cannot be compared, see `encode`.

    When this misleads: a ranking says which edges were useful together, not what each does: there is no sign, and the
    values have no unit. It is made for the answer's rank among all tokens; a logit difference may be kept to another
    degree. On few prompts it remembers them: judge it on others.
    """
    if not 1 <= edges <= model.graph.edges:
        raise RequestError(
            expected=f"from 1 to {model.graph.edges} edges", got=str(edges), do="choose a size in between"
        )
    if min(steps, batch) < 1 or learning_rate <= 0:
        raise RequestError(
            expected="at least one step of at least one prompt, and a learning rate above 0",
            got=f"{count(steps, 'step')} of {count(batch, 'prompt')}, a rate of {learning_rate}",
            do="use 120 steps, 10 prompts and 0.5",
        )
    budget = memory_budget(model.device) if memory is None else memory
    valid = torch.from_numpy(model.graph.valid)
    draw, noise_draw = Random(seed), torch.Generator().manual_seed(seed)
    runs = _Runs(model, budget // 4)
    theta = started(scores, valid, edges)
    adam = MaskAdam(valid, edges, learning_rate)
    trace: list[MaskStep] = []
    turns = _turns(pairs, batch, draw)
    for step in range(steps):
        report("learning a ranking", step, steps)
        along = min(1.0, step / (_ANNEALED * steps))
        scale = between(*_NOISE, along)
        least, most = (between(*ends, along) * edges for ends in zip(*_SIZES, strict=True))
        chosen = next(turns)
        sizes = [round(between(least, most, draw.random())) for _ in chosen]
        noise = torch.rand(len(chosen), *valid.shape, generator=noise_draw, dtype=torch.float64).logit(1e-9)
        x = (theta + scale * noise).masked_fill(~valid, -torch.inf)
        x = x - size_thresholds(x[:, valid], sizes)[:, None, None]
        value, slope = _gradients(model, chosen, runs, x > 0, budget, metric)
        soft = (x / scale).sigmoid()
        theta = theta + adam.step((slope.double() * soft * (1 - soft) / scale).sum(0))
        trace.append(MaskStep(value, sum(sizes) / len(sizes)))
    report("learning a ranking", steps, steps)
    return LearnedMask.of(theta, valid, edges, trace)


def between(first: float, last: float, along: float) -> float:
    """From one to the other, evenly in the logarithm."""
    return exp(log(first) + (log(last) - log(first)) * along)


def _turns(pairs: Sequence[PromptPair], batch: int, draw: Random) -> Iterator[list[PromptPair]]:
    """The pairs of each step: every prompt in its turn, with one of its counterfactuals."""
    by_prompt: dict[tuple[str, tuple[str, ...]], list[PromptPair]] = {}
    for pair in pairs:
        by_prompt.setdefault((pair.prompt, pair.answers), []).append(pair)
    prompts = list(by_prompt.values())
    left: list[list[PromptPair]] = []
    while True:
        while len(left) < min(batch, len(prompts)):
            left += draw.sample(prompts, len(prompts))
        now, left = left[:batch], left[batch:]
        yield [draw.choice(choices) for choices in now]


def size_thresholds(x: Float[Tensor, "batch entry"], sizes: Sequence[int]) -> Float[Tensor, " batch"]:
    """Halfway between the last entry of a set of each size and the first that is not in it."""
    edges = x.shape[1]
    kept = [min(max(size, 1), edges - 1) for size in sizes]
    highest = x.topk(max(kept) + 1).values
    rows = torch.arange(len(kept))
    return (highest[rows, torch.tensor(kept) - 1] + highest[rows, torch.tensor(kept)]) / 2


class _Runs:
    """Plain runs of prompts, kept while there is room.

    Each prompt is run alone, so that its numbers do not depend on which others are kept.

    Args:
        model: the model.
        room: bytes that may be kept.
    """

    def __init__(self, model: ResidualModel, room: int) -> None:
        self.model, self.room = model, room
        self.kept: dict[str, tuple[NodeOutputs, Tensor]] = {}

    def batch(self, texts: Sequence[str], width: int) -> tuple[NodeOutputs, Float[Tensor, "batch vocab"]]:
        """What every node writes, 0 after a prompt's end, and the next token's log-probabilities."""
        outputs, rows = zip(*map(self._one, texts), strict=True)
        columns = zip(*(one.values for one in outputs), strict=True)
        padded = (torch.cat([pad(part, (0, 0, 0, width - part.shape[1])) for part in column]) for column in columns)
        return NodeOutputs(self.model, tuple(padded)), torch.cat(rows)

    def _one(self, text: str) -> tuple[NodeOutputs, Tensor]:
        if text in self.kept:
            return self.kept[text]
        logits, outputs = self.model.outputs(Tokens.of([self.model.encode(text)], self.model.device))
        found = outputs, logits.log_softmax(-1)
        size = sum(part.nbytes for part in (*outputs.values, found[1]))
        if size <= self.room:
            self.room -= size
            self.kept[text] = found
        return found


def _gradients(
    model: ResidualModel,
    pairs: Sequence[PromptPair],
    runs: _Runs,
    gates: Bool[Tensor, "batch channel node"],
    budget: int,
    metric: str | None,
) -> tuple[float, Float[Tensor, "batch channel node"]]:
    """The mean loss and its slope by every prompt's gates."""
    encoded = encode(model, pairs)
    tokens = encoded.clean
    clean, expected = runs.batch([pair.prompt for pair in pairs], tokens.width)
    ablated, without = runs.batch([pair.counterfactual for pair in pairs], tokens.width)
    measure = None if metric is None else _measured(metric, encoded, expected, without)

    def loss(logits: Tensor, rows: slice) -> Tensor:
        divergence = (expected[rows].exp() * (expected[rows] - logits.log_softmax(-1))).sum(-1)
        found = short_of_rank(logits, encoded.answers[rows]) + KL_WEIGHT * divergence
        return (found if measure is None else found + _METRIC * measure(logits, rows)).sum() / len(pairs)

    start = first_change(clean.values, ablated.values)
    return model.mask_gradients(tokens, ablated, gates.to(model.dtype), loss, start=start, budget=budget)


def _measured(
    metric: str, encoded: Encoded, clean: Float[Tensor, "batch vocab"], ablated: Float[Tensor, "batch vocab"]
) -> Callable[[Tensor, slice], Tensor]:
    """How far logits are from the model's metric, as a share of the mean gap between prompts and counterfactuals.

    Args:
        metric: its name.
        encoded: the prompts.
        clean: the model's log-probabilities, which every metric takes for logits.
        ablated: those on the counterfactuals.
    """
    compared, targets = metric_named(metric, encoded), Targets(encoded, clean)
    whole = compared(clean, targets)
    gap = (whole - compared(ablated, targets)).mean().abs()

    def far(logits: Tensor, rows: slice) -> Tensor:
        every = clean.clone()
        every[rows] = logits
        return (compared(every, targets) - whole)[rows].abs() / gap

    return far
