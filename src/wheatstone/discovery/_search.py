"""Verified search: the smallest circuit of a ranking that meets the goal, pruned by exact runs.

1. Of circuits of many sizes along the ranking, evaluated in batches, take a small one that meets the goal.
2. Re-rank its edges by the exact slope of the metric in that circuit, and remove as many of the weakest at once
   as the goal allows: 16 cumulative removals are run in one batch. Repeat until none is allowed.
3. Group testing: remove each of some sixty groups of edges alone, exactly; then those that could go together,
   weakest first, again 16 cumulative removals a batch. Groups shrink as the circuit does and when none can go,
   down to single edges. The last round, in which no single edge can go, is the proof that each is necessary.
4. Add the edges whose slope helps most, and prune again from there; keep the smaller circuit. Greedy removal ends in
   a local minimum, and an edge that was removed early may do the work of several that were kept.

The goal has two sides: |1 − reached| ≤ 1 − target. A circuit without the edges that suppress the answer would exceed
the model's metric; it does not reproduce the model and is not accepted.

What is removed or kept at once is a unit: an edge, or several that belong together (see `_units.py`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from wheatstone._progress import Reporter, silent
from wheatstone.circuits import Experiment
from wheatstone.discovery._goal import goal_named
from wheatstone.discovery._scores import EdgeScores
from wheatstone.discovery._units import Units
from wheatstone.models import CircuitState

Keep = Bool[Tensor, "channel node"]
Chosen = Bool[Tensor, " unit"]

_BATCH = 16
_GROUPS = 64
"""Groups of units that an exact round removes, each alone; a circuit of fewer units is tested unit by unit."""
_SLOW = 0.99
"""Re-ranking ends when a step leaves more than this share of the units: slopes say no more about the rest."""
_SHARES = (0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 1.0)
_ADDED = (0.25, 1.0)
"""Units that are added back, as shares of the circuit's; the next is tried when one has led nowhere."""


@dataclass(frozen=True)
class SearchStep:
    """One step of the search.

    Args:
        stage: `ranking`, `re-ranking`, `exact`, `adding back` or `acdc`.
        edges: edges of the circuit after it.
        reached: how far the circuit is towards the goal: its faithfulness with the goal `sufficient` (both ways: in the
            direction that is further from 1), its completeness with `complete`. `trace.parquet` names the column by
            which of the two it holds.
        evaluations: circuits run so far.
    """

    stage: str
    edges: int
    reached: float
    evaluations: int


@dataclass(frozen=True, eq=False)
class SearchResult:
    """What the search found.

    Args:
        keep: the circuit.
        reached: how far the circuit is towards the goal, as in `SearchStep`.
        effects: of each kept edge, the drop in `reached` when its unit alone is removed, 0 where it is not kept; None
            where that was not measured.
        ranked: edges of the smallest ranked circuit that met the goal, of the sizes that were tried: an upper bound.
        trace: the steps.
    """

    keep: Keep
    reached: float
    effects: Float[Tensor, "channel node"] | None
    ranked: int
    trace: tuple[SearchStep, ...]


@dataclass(frozen=True, eq=False)
class _Minimal:
    """A circuit of which no unit can go."""

    chosen: Chosen
    reached: float
    drops: Float[Tensor, " unit"]


class VerifiedSearch:
    """The search within one experiment; call `run` once.

    Args:
        experiment: model, prompts, ablation and metric.
        scores: the ranking to start from.
        target: how much of the goal to reach, in (0, 1].
        goal: `sufficient` or `complete`, see `_goal.py`.
        both_ways: whether the second half of the prompts, the first swapped, must reach the goal by itself.
        granularity: what is removed at once, see `_units.py`.
        report: progress callback.
    """

    def __init__(
        self,
        experiment: Experiment,
        scores: EdgeScores,
        target: float,
        *,
        goal: str = "sufficient",
        both_ways: bool = False,
        granularity: str = "channels",
        report: Reporter = silent,
    ) -> None:
        self.experiment, self.report = experiment, report
        self.goal = goal_named(goal, experiment, both_ways=both_ways)
        self.units = Units.of(experiment.graph, granularity)
        self.ranking: Int[Tensor, " unit"] = self.units.total(scores.values).abs().argsort(descending=True, stable=True)
        # Float noise (1e-6) must neither put a circuit below its goal nor refuse the full circuit a goal of 1.
        self.tolerance = max(1 - target - 1e-5, 1e-4)
        self.started = experiment.evaluations
        self.trace: list[SearchStep] = []

    def smallest_ranked(self) -> SearchResult:
        """Runs the first stage alone: a small circuit of the ranking that meets the goal, nothing pruned."""
        (chosen,) = self._top([self._smallest_size()])
        (reached,) = self._reached(chosen[None])
        self.report("pruning", 1, 1)
        return SearchResult(self.units.mask(chosen), reached, None, self._edges(chosen), tuple(self.trace))

    def re_ranked(self) -> SearchResult:
        """Runs the first two stages alone: every step meets the goal, but single edges could still go."""
        size = self._smallest_size()
        ranked = self._edges(self._top([size])[0])
        chosen = self._remove_by_slope(self._working(self._top([self._start(size)])[0]))
        (reached,) = self._reached(chosen[None])
        self.report("pruning", 1, 1)
        return SearchResult(self.units.mask(chosen), reached, None, ranked, tuple(self.trace))

    def run(self) -> SearchResult:
        """Runs the four stages."""
        size = self._smallest_size()
        ranked = self._edges(self._top([size])[0])
        found = self._prune(self._working(self._top([self._start(size)])[0]))
        if found.chosen.sum() > size:
            found = self._prune(self._working(self._top([size])[0]))
        found = self._add_back(found)
        self.report("pruning", 1, 1)
        keep = self.goal.working(self.units.mask(found.chosen))
        effects = torch.where(keep, self._spread(found.drops), 0.0)
        return SearchResult(keep, found.reached, effects, ranked, tuple(self.trace))

    def meets_goal(self, reached: float) -> bool:
        """Whether a circuit is close enough."""
        return abs(1 - reached) <= self.tolerance

    def _smallest_size(self) -> int:
        """Smallest size along the ranking that meets the goal, on a grid refined once.

        Sizes between those of the grid are not run, and faithfulness is not monotone, so it is an upper bound.
        """
        total = self.units.count
        grid = sorted({min(total, round(10 * 1.5**step)) for step in range(40)})
        for first in range(0, len(grid), _BATCH):
            sizes = grid[first : first + _BATCH]
            reached = self._first_reaching(sizes)
            if reached is not None:
                below = ([1, *grid])[grid.index(reached)]
                finer = sorted({round(below + (reached - below) * part / 8) for part in range(1, 8)} - {below, reached})
                return self._first_reaching(finer) or reached if finer else reached
        return total

    def _start(self, ranked: int) -> int:
        """Up to twice the smallest, so that the exact stages have room to choose where the ranking was wrong.

        Faithfulness does not grow evenly along a ranking: a larger circuit may miss the goal again.
        """
        sizes = sorted({min(ranked * quarters // 4, self.units.count) for quarters in range(4, 9)})
        values = self._reached(self._top(sizes))
        return max((size for size, value in zip(sizes, values, strict=True) if self.meets_goal(value)), default=ranked)

    def _first_reaching(self, sizes: Sequence[int]) -> int | None:
        circuits = self._top(sizes)
        for size, chosen, value in zip(sizes, circuits, self._reached(circuits), strict=True):
            if self.meets_goal(value):
                self._note("ranking", chosen, value)
                return size
        return None

    def _prune(self, chosen: Chosen) -> _Minimal:
        return self._remove_exactly(self._remove_by_slope(chosen))

    def _remove_by_slope(self, chosen: Chosen) -> Chosen:
        while True:
            self._progress(int(chosen.sum()))
            smaller = self._remove_most(
                chosen, self._state(chosen)[0], self._weakest_first(chosen).split(1), "re-ranking"
            )
            if smaller is None:
                return chosen
            slow = smaller.sum() > _SLOW * chosen.sum()
            chosen = smaller
            if slow:
                return chosen

    def _remove_exactly(self, chosen: Chosen) -> _Minimal:
        size = int(chosen.sum())
        while True:
            units = self._weakest_first(chosen)
            size = max(1, min(size, len(units) // _GROUPS))
            groups = units.split(size)
            state, reached = self._state(chosen)
            without: list[float] = []
            for first in range(0, len(groups), _BATCH):
                self._progress(len(units), len(without))
                without += self._reached(_without_each(chosen, groups[first : first + _BATCH]), state)
            drops = [reached - value for value in without]
            free = [index for index, value in enumerate(without) if self.meets_goal(value)]
            if free:
                weakest = [groups[index] for index in sorted(free, key=lambda index: abs(drops[index]))]
                smaller = self._remove_most(chosen, state, weakest, "exact")
                # One group alone could go when it was tested so; only float noise can say otherwise now.
                chosen = self._working(_without_each(chosen, weakest[:1])[0]) if smaller is None else smaller
            elif size > 1:
                size //= 2
            else:
                each = torch.zeros(self.units.count, dtype=torch.float64)
                each[units] = torch.tensor(drops, dtype=torch.float64)
                return _Minimal(chosen, reached, each)

    def _add_back(self, best: _Minimal) -> _Minimal:
        """Looks for a smaller circuit around a minimal one."""
        for share in _ADDED:
            while (found := self._prune(self._with_strongest(best.chosen, share))).chosen.sum() < best.chosen.sum():
                if not self.meets_goal(found.reached):
                    break
                best = found
                self._note("adding back", best.chosen, best.reached)
        return best

    def _with_strongest(self, chosen: Chosen, share: float) -> Chosen:
        """A circuit with the units of the steepest slopes that it lacks, helping or hindering."""
        slopes = self.units.total(self.goal.slopes(self.units.mask(chosen))).abs()
        slopes[chosen] = 0
        count = min(max(1, round(share * int(chosen.sum()))), int((slopes > 0).sum()))
        larger = chosen.clone()
        larger[slopes.argsort(descending=True, stable=True)[:count]] = True
        return self._working(larger)

    def _weakest_first(self, chosen: Chosen) -> Int[Tensor, " kept"]:
        """A circuit's units by the size of the metric's slope in the present circuit."""
        keep = self.units.mask(chosen)
        slopes = self.units.total(torch.where(keep, self.goal.slopes(keep), 0.0))
        kept = chosen.nonzero().flatten()
        return kept[slopes[kept].abs().argsort(stable=True)]

    def _remove_most(
        self, chosen: Chosen, state: CircuitState | None, weakest_first: Sequence[Tensor], stage: str
    ) -> Chosen | None:
        """Removes the most of the weakest groups that the goal allows; None where not even one can go."""
        counts = sorted({max(1, round(share * len(weakest_first))) for share in _SHARES} | {1})
        candidates = _without_each(chosen, [torch.cat(tuple(weakest_first[:count])) for count in counts])
        values = self._reached(candidates, state)
        for candidate, value in reversed(list(zip(candidates, values, strict=True))):
            if self.meets_goal(value):
                smaller = self._working(candidate)
                self._note(stage, smaller, value)
                return smaller
        return None

    def _top(self, sizes: Sequence[int]) -> Bool[Tensor, "circuit unit"]:
        return self.units.top(self.ranking, sizes)

    def _reached(self, circuits: Bool[Tensor, "circuit unit"], resume: CircuitState | None = None) -> list[float]:
        return self.goal.reached(self.units.mask(circuits), resume)

    def _state(self, chosen: Chosen) -> tuple[CircuitState | None, float]:
        return self.goal.state(self.units.mask(chosen))

    def _working(self, chosen: Chosen) -> Chosen:
        return self.units.present(self.goal.working(self.units.mask(chosen)))

    def _spread(self, values: Float[Tensor, " unit"]) -> Float[Tensor, "channel node"]:
        """Every edge with its unit's value."""
        return torch.cat((values, values.new_zeros(1)))[self.units.labels]

    def _edges(self, chosen: Chosen) -> int:
        return int(self.units.mask(chosen).sum())

    def _note(self, stage: str, chosen: Chosen, reached: float) -> None:
        used = self.experiment.evaluations - self.started
        self.trace.append(SearchStep(stage, self._edges(chosen), reached, used))

    def _progress(self, units: int, tested: int = 0) -> None:
        """Each halving of a circuit costs two or three rounds; the last rounds test its units one by one."""
        rounds = 2.5 * math.log2(1 + units / _GROUPS)
        used = self.experiment.evaluations - self.started
        self.report("pruning", used, used + max(1.0, rounds * _GROUPS + 2.5 * min(units, _GROUPS) - tested))


def _without_each(chosen: Chosen, groups: Sequence[Tensor]) -> Bool[Tensor, "circuit unit"]:
    """The circuit without each of some groups of units."""
    candidates = chosen[None].repeat(len(groups), 1)
    for candidate, group in zip(candidates, groups, strict=True):
        candidate[group] = False
    return candidates
