"""`discover`: from prompts to a verified circuit."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from wheatstone._errors import RequestError
from wheatstone._progress import Reporter, silent
from wheatstone.circuits import Circuit, Evaluation, Experiment, ModelInfo
from wheatstone.discovery._curve import CurvePoint, size_curve
from wheatstone.discovery._scores import EdgeScores, attribute
from wheatstone.discovery._search import SearchStep, VerifiedSearch
from wheatstone.models import ResidualModel
from wheatstone.tasks import PromptPair


@dataclass(frozen=True, eq=False)
class Discovery:
    """A circuit and how it was found.

    Args:
        circuit: the circuit.
        scores: the ranking it was searched in.
        curve: faithfulness by size of the ranking, beside random circuits; empty where it was not asked for.
        ranked: edges of the smallest circuit of the ranking that meets the same goal.
        trace: the steps of the search.
        evaluations: circuits run in all.
        seconds: time of each stage.
    """

    circuit: Circuit
    scores: EdgeScores
    curve: tuple[CurvePoint, ...]
    ranked: int
    trace: tuple[SearchStep, ...]
    evaluations: int
    seconds: dict[str, float]


def discover(
    model: ResidualModel,
    pairs: Sequence[PromptPair],
    *,
    faithfulness: float = 0.9,
    method: str = "eap-ig",
    steps: int = 5,
    ablation: str = "counterfactual",
    metric: str = "logit_diff",
    task: str = "",
    report: Reporter = silent,
) -> Circuit:
    """Finds a small circuit that alone reproduces the model's answer, every edge of it exactly necessary.

    Args:
        model: the model.
        pairs: the prompts it must answer.
        faithfulness: how much of the metric the circuit must keep, in (0, 1]; it may exceed the model's by as
            much as it may fall short.
        method: the ranking to start from, `eap-ig` or `eap`.
        steps: integration steps of `eap-ig`.
        ablation: what edges outside the circuit carry, `counterfactual` or `zero`.
        metric: `logit_diff` (logits), `prob_diff` (probability) or `kl` (nats).
        task: name to write into the circuit.
        report: told how far it is.

    Returns:
        The circuit with scores, exact effects and evaluation.

    Raises:
        PromptError: the prompts cannot be compared, or leave nothing to explain.
        RequestError: an option out of range.

    When this misleads: the circuit is *sufficient* for these prompts under this metric and ablation. Backup paths
    are left out, and a circuit fitted to one prompt's logit difference can have another distribution over the
    other tokens: look at its KL divergence and at held-out prompts (`wheatstone.verify`).
    """
    experiment = Experiment(model, pairs, ablation=ablation, metric=metric)
    return discover_in(
        experiment, faithfulness=faithfulness, method=method, steps=steps, task=task, curve=False, report=report
    ).circuit


def discover_in(
    experiment: Experiment,
    *,
    faithfulness: float = 0.9,
    method: str = "eap-ig",
    steps: int = 5,
    task: str = "",
    curve: bool = True,
    seed: int = 0,
    report: Reporter = silent,
) -> Discovery:
    """`discover` in an experiment that is already set up, with everything that was learned on the way.

    Args:
        experiment: model, prompts, ablation and metric.
        faithfulness: as in `discover`.
        method: as in `discover`.
        steps: as in `discover`.
        task: name to write into the circuit.
        curve: also measure faithfulness by size, with random circuits beside.
        seed: of the random circuits; nothing else is drawn.
        report: told how far it is.
    """
    check_target(faithfulness)
    seconds: dict[str, float] = {}
    clock = time.perf_counter()

    def lap(stage: str) -> None:
        nonlocal clock
        seconds[stage], clock = time.perf_counter() - clock, time.perf_counter()

    report("scoring edges", 0, 1)
    scores = attribute(experiment, method=method, steps=steps)
    report("scoring edges", 1, 1)
    lap("score")
    points = size_curve(experiment, scores, seed=seed, report=report) if curve else ()
    lap("curve")
    found = VerifiedSearch(experiment, scores, faithfulness, report=report).run()
    lap("search")
    circuit = Circuit.of_mask(
        ModelInfo.of(experiment.model),
        found.keep,
        ablation=experiment.ablation,
        metric=experiment.metric.name,
        scores=tuple(scores.values[found.keep].tolist()),
        effects=tuple(found.effects[found.keep].tolist()),
        examples=experiment.encoded.pairs,
        task=task,
        evaluation=evaluation_of(experiment, found.faithfulness, int(found.keep.sum())),
    )
    return Discovery(circuit, scores, points, found.ranked, found.trace, experiment.evaluations, seconds)


def check_target(faithfulness: float) -> None:
    """Refuses a goal outside (0, 1]."""
    if not 0 < faithfulness <= 1:
        raise RequestError(
            expected="a faithfulness above 0 and at most 1",
            got=str(faithfulness),
            do="0.9 keeps nine tenths of the metric's change",
        )


def evaluation_of(experiment: Experiment, faithfulness: float, edges: int) -> Evaluation:
    """A circuit's result in the units of the metric."""
    clean, corrupt = float(experiment.clean.mean()), float(experiment.corrupt.mean())
    return Evaluation(
        clean=clean,
        corrupt=corrupt,
        circuit=corrupt + faithfulness * (clean - corrupt),
        faithfulness=faithfulness,
        edges=edges,
        total_edges=experiment.graph.edges,
    )
