"""Verified search: the smallest circuit of a ranking that meets the goal, pruned by exact runs.

1. Of circuits of many sizes along the ranking, evaluated in batches, take a small one that meets the goal.
2. Re-rank its edges by the exact slope of the metric in that circuit, and remove as many of the weakest at once
   as the goal allows: 16 cumulative removals are run in one batch. Repeat until none is allowed.
3. Group testing: remove each of some sixty groups of edges alone, exactly; then those that could go together,
   weakest first, again 16 cumulative removals a batch. Groups shrink as the circuit does and when none can go,
   down to single edges. The last round, in which no single edge can go, is the proof that each is necessary.

The goal has two sides: |1 − faithfulness| ≤ 1 − target. A circuit without the edges that suppress the answer
would exceed the model's metric; it does not reproduce the model and is not accepted.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from wheatstone._progress import Reporter, silent
from wheatstone.circuits import Experiment
from wheatstone.discovery._scores import EdgeScores
from wheatstone.models import CircuitState

Keep = Bool[Tensor, "channel node"]

_BATCH = 16
_GROUPS = 64
"""Groups of edges that an exact round removes, each alone; a circuit of fewer edges is tested edge by edge."""
_SLOW = 0.99
"""Re-ranking ends when a step leaves more than this share of the edges: slopes say no more about the rest."""
_SHARES = (0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 1.0)


@dataclass(frozen=True)
class SearchStep:
    """One step of the search.

    Args:
        stage: `ranking`, `re-ranking` or `exact`.
        edges: edges of the circuit after it.
        faithfulness: of that circuit.
        evaluations: circuits run so far.
    """

    stage: str
    edges: int
    faithfulness: float
    evaluations: int


@dataclass(frozen=True, eq=False)
class SearchResult:
    """What the search found.

    Args:
        keep: the circuit.
        faithfulness: of the circuit.
        effects: of each kept edge, the drop in faithfulness when it alone is removed; 0 where it is not kept.
        ranked: edges of the smallest ranked circuit that met the goal.
        trace: the steps.
    """

    keep: Keep
    faithfulness: float
    effects: Float[Tensor, "channel node"]
    ranked: int
    trace: tuple[SearchStep, ...]


class VerifiedSearch:
    """The search within one experiment; call `run` once.

    Args:
        experiment: model, prompts, ablation and metric.
        scores: the ranking to start from.
        target: faithfulness to keep, in (0, 1].
        report: told how far the search is.
    """

    def __init__(self, experiment: Experiment, scores: EdgeScores, target: float, *, report: Reporter = silent) -> None:
        self.experiment, self.scores, self.report = experiment, scores, report
        # Float noise (1e-6) must neither put a circuit below its goal nor refuse the full circuit a goal of 1.
        self.tolerance = max(1 - target - 1e-5, 1e-4)
        self.started = experiment.evaluations
        self.trace: list[SearchStep] = []

    def run(self) -> SearchResult:
        """Runs the three stages."""
        ranked = self._smallest_ranked()
        keep = self._working(self.scores.top([self._start(ranked)])[0])
        keep = self._remove_by_slope(keep)
        keep, faithfulness, effects = self._remove_exactly(keep)
        return SearchResult(keep, faithfulness, effects, ranked, tuple(self.trace))

    def meets_goal(self, faithfulness: float) -> bool:
        """Whether a circuit is close enough to the model."""
        return abs(1 - faithfulness) <= self.tolerance

    def _smallest_ranked(self) -> int:
        """Smallest size along the ranking that meets the goal, on a grid refined once."""
        total = self.experiment.graph.edges
        grid = sorted({min(total, round(10 * 1.5**step)) for step in range(40)})
        below = 1
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
        sizes = sorted({min(ranked * quarters // 4, self.experiment.graph.edges) for quarters in range(4, 9)})
        values = self.experiment.faithfulness(self.scores.top(sizes))
        return max((size for size, value in zip(sizes, values, strict=True) if self.meets_goal(value)), default=ranked)

    def _first_reaching(self, sizes: Sequence[int]) -> int | None:
        faithfulness = self.experiment.faithfulness(self.scores.top(sizes))
        for size, value in zip(sizes, faithfulness, strict=True):
            if self.meets_goal(value):
                self._note("ranking", size, value)
                return size
        return None

    def _remove_by_slope(self, keep: Keep) -> Keep:
        while True:
            self._progress(int(keep.sum()))
            smaller = self._remove_most(
                keep, self.experiment.state(keep)[0], self._weakest_first(keep).split(1), "re-ranking"
            )
            if smaller is None:
                return keep
            slow = smaller.sum() > _SLOW * keep.sum()
            keep = smaller
            if slow:
                return keep

    def _remove_exactly(self, keep: Keep) -> tuple[Keep, float, Tensor]:
        size = int(keep.sum())
        while True:
            edges = self._weakest_first(keep)
            size = max(1, min(size, len(edges) // _GROUPS))
            groups = edges.split(size)
            state, faithfulness = self.experiment.state(keep)
            without: list[float] = []
            for first in range(0, len(groups), _BATCH):
                self._progress(len(edges), len(without))
                candidates = _without_each(keep, groups[first : first + _BATCH])
                without += self.experiment.faithfulness(candidates, resume=state)
            drops = [faithfulness - value for value in without]
            free = [index for index, value in enumerate(without) if self.meets_goal(value)]
            if free:
                weakest = [groups[index] for index in sorted(free, key=lambda index: abs(drops[index]))]
                smaller = self._remove_most(keep, state, weakest, "exact")
                # One group alone could go when it was tested so; only float noise can say otherwise now.
                keep = self._working(_without_each(keep, weakest[:1])[0]) if smaller is None else smaller
            elif size > 1:
                size //= 2
            else:
                effects = torch.zeros(keep.shape, dtype=torch.float64)
                effects[edges[:, 0], edges[:, 1]] = torch.tensor(drops, dtype=torch.float64)
                self.report("pruning", 1, 1)
                return keep, faithfulness, effects

    def _weakest_first(self, keep: Keep) -> Tensor:
        """A circuit's edges (channel, node) by the size of the metric's slope in the circuit as it stands."""
        slopes = self.experiment.edge_gradients(keep)[keep].abs().cpu()
        return keep.nonzero()[slopes.argsort(stable=True)]

    def _remove_most(self, keep: Keep, state: CircuitState, weakest_first: Sequence[Tensor], stage: str) -> Keep | None:
        """Removes the most of the weakest groups that the goal allows; None where not even one can go."""
        counts = sorted({max(1, round(share * len(weakest_first))) for share in _SHARES} | {1})
        candidates = _without_each(keep, [torch.cat(tuple(weakest_first[:count])) for count in counts])
        values = self.experiment.faithfulness(candidates, resume=state)
        for candidate, value in reversed(list(zip(candidates, values, strict=True))):
            if self.meets_goal(value):
                smaller = self._working(candidate)
                self._note(stage, int(smaller.sum()), value)
                return smaller
        return None

    def _working(self, keep: Keep) -> Keep:
        return torch.from_numpy(self.experiment.graph.working_edges(keep.numpy()))

    def _note(self, stage: str, edges: int, faithfulness: float) -> None:
        used = self.experiment.evaluations - self.started
        self.trace.append(SearchStep(stage, edges, faithfulness, used))

    def _progress(self, edges: int, tested: int = 0) -> None:
        """Each halving of a circuit costs two or three rounds; the last rounds test its edges one by one."""
        rounds = 2.5 * math.log2(1 + edges / _GROUPS)
        used = self.experiment.evaluations - self.started
        self.report("pruning", used, used + max(1.0, rounds * _GROUPS + 2.5 * min(edges, _GROUPS) - tested))


def _without_each(keep: Keep, groups: Sequence[Tensor]) -> Bool[Tensor, "circuit channel node"]:
    """The circuit without each of some groups of edges (channel, node)."""
    candidates = keep[None].repeat(len(groups), 1, 1)
    for candidate, group in zip(candidates, groups, strict=True):
        candidate[group[:, 0], group[:, 1]] = False
    return candidates
