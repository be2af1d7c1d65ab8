"""A second circuit: what the same scoring finds when it may not use the first circuit's edges.

Some edges nothing can do without, such as the one from the input to the first MLP: without any one of them the whole
model loses most of the behaviour. These are spared, and listed; all other edges of the first circuit are forbidden.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool
from torch import Tensor

from wheatstone._progress import Reporter, silent
from wheatstone._text import count
from wheatstone.circuits import Experiment
from wheatstone.discovery import EdgeScores
from wheatstone.tasks import PromptPair
from wheatstone.verification import (
    NOT_SUPPORTED,
    NOT_TESTED,
    SUPPORTED,
    SecondLine,
    Verdict,
    carried,
    carried_without,
    percents,
)

CLAIM = "No other circuit of about its size does the same."
_MOST = 0.1
"""Largest second circuit that is looked for, as a share of all edges."""
_MOST_GOAL = 0.9
_SUSPECTS = 12
"""Edges of the circuit, those of the strongest scores, that are tried as indispensable."""
_TRIED_ON = 8
"""Prompts that these are tried on, at most: any prompt loses most of the behaviour without such an edge."""
_MOST_LOST = 0.5
"""Share of the behaviour that the whole model loses without an indispensable edge."""
_TIMES = 2.0
"""How much larger than the first the second may be and still count as another circuit of about its size."""


@dataclass(frozen=True, eq=False)
class Second:
    """What was found without the first circuit's edges.

    Args:
        goal: what it had to keep.
        largest: edges of the largest circuit that was tried.
        first: edges that the same scoring needs with every edge; None where it fails.
        keep: the second circuit; None where none was found.
        spared: edges of the first circuit that it may use, as a mask.
        alone: what these keep alone.
        reached: most that a circuit without the first one's edges keeps, of the sizes that were tried: all of them
            where none keeps the goal.
    """

    goal: float
    largest: int
    first: int | None
    keep: Bool[Tensor, "channel node"] | None
    spared: Bool[Tensor, "channel node"]
    alone: float
    reached: float


def second_circuit(
    experiment: Experiment,
    pairs: Sequence[PromptPair],
    scores: EdgeScores,
    keep: Bool[Tensor, "channel node"],
    *,
    report: Reporter = silent,
) -> Second:
    """Looks for a circuit that does the same without another's edges.

    Args:
        experiment: model, ablation and metric.
        pairs: prompts that the search reads.
        scores: the ranking that circuits are cut from.
        keep: the first circuit.
        report: progress callback.
    """
    report("second circuit", 0, 3)
    valid = torch.from_numpy(experiment.graph.valid)
    suspects = scores.values.abs().masked_fill(~keep, -1).flatten().argsort(descending=True, stable=True)
    suspects = suspects[: min(_SUSPECTS, int(keep.sum()))]
    edges = torch.stack((suspects // keep.shape[1], suspects % keep.shape[1]), dim=1)
    left = carried_without(experiment.over(pairs[:_TRIED_ON]), valid, edges)
    needed = torch.tensor([left.share(1 + at).value <= 1 - _MOST_LOST for at in range(len(suspects))])
    spared = torch.zeros(keep.numel(), dtype=torch.bool)
    spared[suspects[needed]] = True
    spared = spared.view(keep.shape)
    report("second circuit", 1, 3)

    largest = max(1, int(_MOST * experiment.graph.edges))
    sizes = _sizes(int(keep.sum()), largest)
    every = _cut(scores.values, valid, torch.zeros_like(keep), sizes)
    others = _cut(scores.values, valid & (~keep | spared), spared, sizes)
    parts = list(experiment.over(pairs))
    both = carried(parts, torch.stack([spared, keep]))
    report("second circuit", 2, 3)
    alone, kept = (both.share(at).value for at in range(2))
    goal = min(_MOST_GOAL, 1 - abs(1 - kept))
    known = ((spared, alone), (keep, kept))
    first, _ = _smallest(parts, every, goal, known)
    # Where the spared edges are enough, what would be found is the first circuit's own edges.
    second, reached = (None, alone) if alone >= goal else _smallest(parts, others, goal, known)
    return Second(
        goal,
        largest,
        None if first is None else sizes[first],
        None if second is None else others[second],
        spared,
        alone,
        reached,
    )


def _sizes(first: int, largest: int) -> list[int]:
    """From half of a circuit's size in steps of √2, then 2, up to the largest."""
    sizes = [max(1, first // 2), first, int(first * 2**0.5), first * 2]
    while sizes[-1] * 2 < largest:
        sizes.append(sizes[-1] * 2)
    return sorted({min(size, largest) for size in (*sizes, largest)})


def _cut(values: Tensor, allowed: Tensor, always: Tensor, sizes: Sequence[int]) -> Bool[Tensor, "size channel node"]:
    """The edges of the largest |score| among those that are allowed; some are always kept."""
    order = values.abs().masked_fill(~allowed, -1).masked_fill(always, torch.inf).flatten().argsort(descending=True)
    most = int(allowed.sum())
    masks = torch.zeros(len(sizes), values.numel(), dtype=torch.bool)
    for mask, size in zip(masks, sizes, strict=True):
        mask[order[: min(size, most)]] = True
    return masks.unflatten(1, values.shape)


def _smallest(
    parts: Sequence[Experiment],
    masks: Bool[Tensor, "size channel node"],
    goal: float,
    known: Sequence[tuple[Bool[Tensor, "channel node"], float]],
) -> tuple[int | None, float]:
    """The first of some circuits, smallest first, that keeps the goal, as a place among them, and the most one of those
    up to it keeps. What is known of a circuit is not measured again: another run differs in its last digits, and the
    goal may be what this very circuit keeps."""
    reached = -math.inf
    for at, mask in enumerate(masks):
        measured = [share for circuit, share in known if torch.equal(circuit, mask)]
        kept = measured[0] if measured else carried(parts, mask[None]).share().value
        reached = max(reached, kept)
        if kept >= goal:
            return at, reached
    return None, reached


def second_line(found: Second, keep: Bool[Tensor, "channel node"], names: Sequence[str], on: SecondLine) -> SecondLine:
    """Whether another circuit does the same, in words.

    Args:
        found: what the search found.
        keep: the first circuit.
        names: of the spared edges.
        on: the line's numbers, measured on other facts.
    """
    about = f"{percents(found.goal)} of the behaviour"
    spared = f" (it may use {count(len(names), 'indispensable edge')} of the first)"
    spared = spared if names else ""
    if found.first is None:
        why = (
            f"Ranked by the same scores, no circuit of up to {found.largest:,} edges keeps {about}, with the first "
            "circuit's edges or without, so that the comparison says nothing."
        )
        return _with(on, NOT_TESTED, why, found, None, names)
    needs = f"The same scoring needs {found.first:,} edges for {about}."
    if found.alone >= found.goal:
        why = (
            f"{len(names)} of its edges keep {percents(found.alone)} alone, and the whole model loses most of the "
            "behaviour without any one of them."
        )
        return _with(on, SUPPORTED, why, found, None, names)
    if found.keep is None:
        why = (
            f"{needs} Without the circuit's edges{spared} it keeps at most {percents(found.reached)} with up to "
            f"{found.largest:,}."
        )
        return _with(on, SUPPORTED, why, found, None, names)
    edges = int(found.keep.sum())
    ours, theirs = keep.any(0), found.keep.any(0)
    shared = float((ours & theirs).sum() / (ours | theirs).sum())
    held = f", which keeps {percents(on.faithfulness.value)} ({on.measured_on})" if on.faithfulness else ""
    why = (
        f"{needs} Without the circuit's edges{spared} it finds one of {edges:,} edges{held} and shares "
        f"{percents(shared)} of the nodes."
    )
    alike = edges <= _TIMES * max(found.first, int(keep.sum()))
    return _with(on, NOT_SUPPORTED if alike else SUPPORTED, why, found, shared, names)


def _with(
    on: SecondLine, verdict: Verdict, why: str, found: Second, shared: float | None, names: Sequence[str]
) -> SecondLine:
    return replace(
        on,
        verdict=verdict,
        why=why,
        goal=found.goal,
        largest=found.largest,
        first=found.first,
        edges=None if found.keep is None else int(found.keep.sum()),
        spared=tuple(names),
        nodes_shared=shared,
    )


def not_tested(why: str) -> SecondLine:
    """The line where no second circuit was looked for."""
    return SecondLine(CLAIM, NOT_TESTED, why)
