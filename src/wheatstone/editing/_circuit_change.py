"""The circuit before an edit and after it, found under one setting: which edges stayed, went and came."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from wheatstone._errors import RequestError
from wheatstone._progress import Reporter, silent
from wheatstone._view import Brief
from wheatstone.circuits import Circuit, Edge, Experiment, ModelInfo
from wheatstone.discovery import (
    LEARNED,
    SEARCHES,
    DiscoverySettings,
    EdgeScores,
    attribute,
    discover_in,
    evaluation_of,
    method_named,
)
from wheatstone.editing._edit import Edit
from wheatstone.editing._question import EditQuestion
from wheatstone.models import ResidualModel
from wheatstone.tasks import PromptPair


@dataclass(frozen=True)
class CircuitSettings:
    """How both circuits are found.

    Args:
        method: a scoring method, or a search such as `verified`; see `wheatstone.discover`.
        edges: how many edges of the scoring method's ranking to take.
        faithfulness: take the smallest circuit that reaches it instead; of a search 0.9 by default.
        ablation: what edges outside the circuit carry.
        metric: `logit_diff` (logits), `prob_diff` (probability) or `kl` (nats).
        allow_weak: whether to compare circuits where ablation takes away less than half of the metric.
    """

    method: str = "eap-ig"
    edges: int = 200
    faithfulness: float | None = None
    ablation: str = "counterfactual"
    metric: str = "logit_diff"
    allow_weak: bool | None = None

    @property
    def goal(self) -> float | None:
        """The faithfulness to reach; None where edges are counted."""
        return 0.9 if self.faithfulness is None and self.method in SEARCHES else self.faithfulness

    def check(self) -> None:
        """Refuses what no circuit can be found by.

        Raises:
            RequestError: no such method, or a size out of range.
        """
        if self.method not in SEARCHES or self.method == LEARNED:
            method_named(self.method)
        if self.goal is not None:
            self.search(self.goal).check()
        elif self.edges < 1:
            raise RequestError(expected="at least one edge to compare", got=str(self.edges), do="use 200")

    def search(self, faithfulness: float) -> DiscoverySettings:
        """The same as a discovery is asked for."""
        return DiscoverySettings(
            faithfulness=faithfulness,
            method=self.method,
            ablation=self.ablation,
            metric=self.metric,
            allow_weak=self.allow_weak,
        )

    @property
    def words(self) -> str:
        """In a phrase."""
        size = f"the first {self.edges} edges" if self.goal is None else f"faithfulness {self.goal:.0%}"
        return f"{self.method}, {size}, {self.metric}, {self.ablation} ablation"


class EdgeChange(NamedTuple):
    """An edge of either circuit: a row of edit_edges.parquet.

    Args:
        sender: the node that writes.
        receiver: the channel that reads.
        state: `kept` in both circuits, `gone` with the edit, or `new`.
        score_before: what the method gives it in the plain model, units of the metric.
        score_after: in the edited one.
    """

    sender: str
    receiver: str
    state: str
    score_before: float
    score_after: float


@dataclass(frozen=True, eq=False)
class CircuitChange(Brief):
    """Both circuits and all their edges.

    Args:
        before: of the plain model.
        after: of the edited one.
        edges: of either, the largest |score| first.
    """

    before: Circuit
    after: Circuit
    edges: tuple[EdgeChange, ...]

    @property
    def summary(self) -> dict[str, Any]:
        """Counts, and what chance would keep."""
        states = [row.state for row in self.edges]
        ours, theirs = set(self.before.nodes), set(self.after.nodes)
        total = self.before.model.graph.edges
        return {
            "edges": {state: states.count(state) for state in ("kept", "gone", "new")},
            "nodes": {"kept": len(ours & theirs), "gone": len(ours - theirs), "new": len(theirs - ours)},
            "kept_by_chance": len(self.before) * len(self.after) / total,
            "faithfulness": {
                "before": self.before.evaluation.faithfulness if self.before.evaluation else None,
                "after": self.after.evaluation.faithfulness if self.after.evaluation else None,
            },
        }


def circuit_change(
    model: ResidualModel,
    edit: Edit,
    question: EditQuestion,
    settings: CircuitSettings | None = None,
    *,
    report: Reporter = silent,
) -> CircuitChange:
    """Finds both circuits.

    Args:
        model: the plain model.
        edit: applied for the second circuit, and undone.
        question: what both are asked.
        settings: how they are found.
        report: progress callback.

    Raises:
        PromptError: the prompt pair leaves nothing to explain, in the plain model or in the edited one (an edit that
            did not take, or that took for the counterfactual too).

    When this misleads: the two circuits answer with different words, so that some edges change although the path
    that recalls stays. With a fixed number of edges as many go as come; how far either circuit suffices is its
    faithfulness. Ranked edges are estimates; only `verified` proves each.
    """
    settings = settings or CircuitSettings()
    settings.check()
    report("circuits", 0, 2)
    before, scores_before = _found(_experiment(model, question.before, settings), settings)
    report("circuits", 1, 2)
    with edit.applied(model):
        after, scores_after = _found(_experiment(model, question.after, settings), settings)
    report("circuits", 2, 2)
    ours, theirs = set(before.edges), set(after.edges)
    rows = [
        EdgeChange(
            edge.sender,
            edge.receiver,
            "kept" if edge in ours and edge in theirs else "gone" if edge in ours else "new",
            _score(scores_before, edge),
            _score(scores_after, edge),
        )
        for edge in (before | after).edges
    ]
    rows.sort(key=lambda row: -max(abs(row.score_before), abs(row.score_after)))
    return CircuitChange(before, after, tuple(rows))


def _experiment(model: ResidualModel, pair: PromptPair, settings: CircuitSettings) -> Experiment:
    return Experiment(model, [pair], ablation=settings.ablation, metric=settings.metric, allow_weak=settings.allow_weak)


def _found(experiment: Experiment, settings: CircuitSettings) -> tuple[Circuit, EdgeScores]:
    if settings.goal is not None:
        found = discover_in(experiment, settings.search(settings.goal), curve=False)
        return found.circuit, found.scores
    scores = attribute(experiment, method=settings.method)
    (keep,) = scores.top([settings.edges])
    circuit = Circuit.of_mask(
        ModelInfo.of(experiment.model, experiment.graph),
        keep,
        ablation=experiment.ablation,
        metric=experiment.metric.name,
        scores=tuple(scores.values[keep].tolist()),
        examples=experiment.encoded.pairs,
        evaluation=evaluation_of(experiment, keep),
    )
    return circuit, scores


def _score(scores: EdgeScores, edge: Edge) -> float:
    return float(scores.values[scores.graph.edge(edge.sender, edge.receiver)])
