"""Circuits that an edit is judged by: how they are found, and whether they hold.

By default it is a circuit of the bundled relation that asks as the edit does, found as `discover --task` finds it:
learned on training prompts, its size chosen on validation prompts, and judged on test prompts whose subjects it has not
seen. The edited subject is in none of these prompts. Otherwise it is a circuit of the edit's one prompt.

A circuit holds where it keeps at least 0.8 of the behaviour: of the model's gain in Hit@10 and of the metric's change,
which it may exceed by as much.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import NamedTuple

from wheatstone._errors import PromptError, RequestError
from wheatstone._progress import Reporter
from wheatstone.circuits import Circuit, Experiment, ModelInfo, kept_over
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
from wheatstone.editing._question import asking_relation
from wheatstone.editing._request import EditRequest
from wheatstone.models import ResidualModel
from wheatstone.tasks import PromptPair, Task, load_task, other_wordings

HOLDS = 0.8
"""Share of the behaviour that a circuit must keep to be compared."""
_FEWEST = 4
"""Prompts that each split needs."""


@dataclass(frozen=True)
class CircuitSettings:
    """How both circuits are found.

    Args:
        method: `learned`, on prompts of the relation; or, on the edit's one prompt, a scoring method or a search such
            as `verified`; see `wheatstone.discover`.
        edges: of a scoring method, how many edges of its ranking to take; by default the fewest that reach the goal.
        faithfulness: the goal, 0.9 by default.
        ablation: what edges outside the circuit carry.
        metric: `logit_diff` (logits), `prob_diff` (probability) or `kl` (nats).
        allow_weak: whether to compare circuits where ablation takes away less than half of the metric.
        seed: of `learned`.
    """

    method: str = LEARNED
    edges: int | None = None
    faithfulness: float | None = None
    ablation: str = "counterfactual"
    metric: str = "logit_diff"
    allow_weak: bool | None = None
    seed: int = 0

    @property
    def goal(self) -> float | None:
        """The faithfulness to reach; None where edges are counted."""
        return None if self.edges is not None else 0.9 if self.faithfulness is None else self.faithfulness

    def check(self) -> None:
        """Refuses what no circuit can be found by.

        Raises:
            RequestError: no such method, a size out of range, or a number of edges for a search.
        """
        if self.method not in SEARCHES:
            method_named(self.method)
        elif self.edges is not None:
            raise RequestError(
                expected="a number of edges with a scoring method, such as eap-ig",
                got=f"{self.edges} edges with {self.method}, which chooses the size itself",
                do="leave it out, or choose a scoring method",
            )
        if self.edges is not None and self.faithfulness is not None:
            raise RequestError(expected="a number of edges or a faithfulness", got="both", do="leave one of them out")
        if self.goal is not None:
            self.search(self.goal).check()
        elif self.edges is not None and self.edges < 1:
            raise RequestError(expected="at least one edge to compare", got=str(self.edges), do="use 200")

    def search(self, faithfulness: float) -> DiscoverySettings:
        """The same as a discovery is asked for."""
        return DiscoverySettings(
            faithfulness=faithfulness,
            method=self.method,
            ablation=self.ablation,
            metric=self.metric,
            seed=self.seed,
            allow_weak=self.allow_weak,
        )

    @property
    def words(self) -> str:
        """In a phrase."""
        size = f"the first {self.edges} edges" if self.goal is None else f"faithfulness {self.goal:.0%}"
        return f"{self.method}, {size}, {self.metric}, {self.ablation} ablation"


class Held(NamedTuple):
    """What a circuit keeps of the behaviour.

    Args:
        holds: whether that is at least `HOLDS`.
        gain_kept: of the model's gain in Hit@10 over the fully ablated model; None where the model gains nothing.
        faithfulness: of the metric's change.
        n: prompts it was judged on.
        held_out: whether the circuit had seen none of their subjects.
    """

    holds: bool
    gain_kept: float | None
    faithfulness: float
    n: int
    held_out: bool


class JudgedCircuit(NamedTuple):
    """A circuit with what it keeps.

    Args:
        circuit: the circuit.
        scores: of all edges, which the search started from.
        held: what it keeps.
    """

    circuit: Circuit
    scores: EdgeScores
    held: Held


class EditTask(NamedTuple):
    """The prompts that circuits before and after an edit are found and judged on, the same for both.

    Args:
        task: of the relation, without the edited subject.
        wordings: its training facts under the relation's other templates, without that subject either.
    """

    task: Task
    wordings: tuple[PromptPair, ...]


def task_of_edit(model: ResidualModel, request: EditRequest, settings: CircuitSettings, report: Reporter) -> EditTask:
    """The relation's prompts that the plain model knows, without the edited subject's.

    Raises:
        PromptError: no bundled relation asks so, or a split has too few prompts.
    """
    asking = asking_relation(request)
    if asking is None:
        raise PromptError(
            expected="a prompt that a bundled relation asks, whose other facts a circuit can be learned and judged on",
            got=repr(request.prompt),
            do="compare circuits of this one prompt instead (--circuit-method verified)",
        )
    relation, template = asking
    task = load_task(f"facts/{relation.name}", model, template=template, seed=settings.seed, report=report)

    asked = {text.replace("{subject}", request.subject) for text in relation.templates} | {request.prompt}

    def others(pairs: Sequence[PromptPair]) -> tuple[PromptPair, ...]:
        return tuple(pair for pair in pairs if asked.isdisjoint((pair.prompt, pair.counterfactual)))

    task = replace(task, train=others(task.train), validation=others(task.validation), test=others(task.test))
    least = min(len(task.train), len(task.validation), len(task.test))
    if least < _FEWEST:
        raise PromptError(
            expected=f"{_FEWEST} known facts of {relation.name} in each of training, validation and test",
            got=f"{len(task.train)}, {len(task.validation)} and {len(task.test)}",
            do="compare circuits of this one prompt instead (--circuit-method verified)",
        )
    wordings, _ = other_wordings(task.name, task, model, most=len(task.train), seed=settings.seed)
    return EditTask(task, others(wordings))


def circuit_of_task(model: ResidualModel, on: EditTask, settings: CircuitSettings, report: Reporter) -> JudgedCircuit:
    """Learned on training prompts, judged on test prompts with several counterfactuals each."""
    assert settings.goal is not None
    search, task = settings.search(settings.goal), on.task
    experiment = search.experiment(model, task.train)
    found = discover_in(
        experiment, search, curve=False, validation=task.validation, wordings=on.wordings, report=report
    )
    test = experiment.several(task.test, most=search.counterfactuals, seed=search.seed)
    kept = kept_over(experiment.over(test), found.circuit.mask()[None])
    gain = (kept.circuits[0, 1] - kept.empty[1]).mean() / (kept.model[1] - kept.empty[1]).mean()
    held = Held(kept.enough(0, HOLDS, inf), kept.gain_kept(0), float(gain), len(task.test), True)
    return JudgedCircuit(found.circuit, found.scores, held)


def circuit_of_prompt(model: ResidualModel, pair: PromptPair, settings: CircuitSettings) -> JudgedCircuit:
    """Found and judged on one prompt."""
    experiment = Experiment(
        model, [pair], ablation=settings.ablation, metric=settings.metric, allow_weak=settings.allow_weak
    )
    if settings.goal is not None:
        discovered = discover_in(experiment, settings.search(settings.goal), curve=False)
        circuit, scores = discovered.circuit, discovered.scores
    else:
        scores = attribute(experiment, method=settings.method)
        (keep,) = scores.top([settings.edges or 0])
        circuit = Circuit.of_mask(
            ModelInfo.of(experiment.model, experiment.graph),
            keep,
            ablation=experiment.ablation,
            metric=experiment.metric.name,
            scores=tuple(scores.values[keep].tolist()),
            examples=experiment.encoded.pairs,
            evaluation=evaluation_of(experiment, keep),
        )
    assert circuit.evaluation is not None
    reached = circuit.evaluation.faithfulness
    return JudgedCircuit(circuit, scores, Held(abs(1 - reached) <= 1 - HOLDS, None, reached, 1, False))
