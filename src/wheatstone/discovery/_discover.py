"""`discover`: from prompts to a verified circuit."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from jaxtyping import Bool
from torch import Tensor

from wheatstone._effects import BOTH_WAYS, unit_name
from wheatstone._progress import Reporter, silent
from wheatstone._side import CURVE, attempt
from wheatstone._view import Brief
from wheatstone.circuits import Circuit, Evaluation, Experiment, ModelInfo
from wheatstone.discovery._acdc import acdc
from wheatstone.discovery._curve import CurvePoint, default_sizes, size_curve
from wheatstone.discovery._generalise import generalise
from wheatstone.discovery._scores import EdgeScores, attribute
from wheatstone.discovery._search import SearchResult, SearchStep, VerifiedSearch
from wheatstone.discovery._settings import LEARNED, DiscoverySettings
from wheatstone.discovery._stability import Stability, stability
from wheatstone.models import ResidualModel
from wheatstone.tasks import PromptPair

_FEW = 8
"""Prompts up to which a size curve has all its sizes and random circuits; of more it takes half a minute as it is."""
_BETWEEN = 8
"""Sizes of the search at which the ranking alone is measured too, about."""


@dataclass(frozen=True, eq=False, repr=False)
class Discovery(Brief):
    """A circuit and how it was found.

    Args:
        circuit: the circuit.
        scores: the ranking it was searched in.
        curve: faithfulness by size of the ranking, beside random circuits; empty where it was not asked for or failed.
        ranked: edges of the smallest circuit of the ranking, of the sizes that were tried, that meets the same goal.
            The ranking needs at most this many: faithfulness does not grow evenly with size, so a size between those
            that were tried may meet the goal too.
        trace: the steps of the search.
        evaluations: circuits run in all.
        seconds: time of each stage.
        goal: what the search was for, `DiscoverySettings.aim`.
        stability: what recurred over bootstrap samples, where that was asked for.
        order: the ranking that nested circuits are cut from: the learned one, or the scores.
        missing: by name, why a side result is missing: the size curve.
    """

    circuit: Circuit
    scores: EdgeScores
    curve: tuple[CurvePoint, ...]
    ranked: int
    trace: tuple[SearchStep, ...]
    evaluations: int
    seconds: dict[str, float]
    goal: str = "sufficient"
    stability: Stability | None = None
    order: EdgeScores | None = None
    missing: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def by_size(self) -> tuple[tuple[int, float, float], ...]:
        """Sizes the search went through, and how far the ranking alone and the search's circuit are towards the goal.

        That is faithfulness with the goal `sufficient`, completeness with the goal `complete`. Empty after a search
        both ways, which measures the worse of two.
        """
        if self.goal == BOTH_WAYS:
            return ()
        alone = {point.size: point.faithfulness for point in self.curve if point.kind == "ranking"}
        without = {point.size: 1 - point.faithfulness for point in self.curve if point.kind == "complement"}
        ranking = alone if self.goal == "sufficient" else without
        search = {step.edges: step.reached for step in self.trace if step.edges in ranking}
        return tuple((edges, ranking[edges], search[edges]) for edges in sorted(search, reverse=True))


def discover(
    model: ResidualModel,
    pairs: Sequence[PromptPair],
    *,
    faithfulness: float = 0.9,
    method: str = "verified",
    ranking: str = "eap-ig",
    steps: int | None = None,
    goal: str = "sufficient",
    both_ways: bool = False,
    granularity: str = "channels",
    positions: str | None = None,
    threshold: float | None = None,
    sign: str = "abs",
    ablation: str = "counterfactual",
    metric: str = "logit_diff",
    task: str = "",
    seed: int = 0,
    share: float = 0.03,
    counterfactuals: int = 4,
    validation: Sequence[PromptPair] = (),
    allow_weak: bool | None = None,
    report: Reporter = silent,
) -> Circuit:
    """Finds a small circuit that alone reproduces the model's answer, every edge of it exactly necessary.

    Args:
        model: the model.
        pairs: the prompts it must answer.
        faithfulness: how much of the metric the circuit must keep, in (0, 1]; it may exceed the model's by as
            much as it may fall short.
        method: `verified`, `re-ranked` (the same without the proof), `acdc`, or a scoring method (a name out of
            `METHODS`), which prunes nothing. `learned`, for a task: a ranking learned on these prompts, its size chosen
            on `validation`; such a circuit holds better on prompts that it was not found on.
        ranking: the scoring method that `verified` starts from.
        steps: of the scoring method; its own by default (5 integration steps of `eap-ig`).
        goal: `sufficient`, the circuit alone keeps the metric; or `complete`, the metric is gone without it.
        both_ways: whether the goal must also be reached, by itself, on the prompts swapped with their counterfactuals;
            each needs a distractor.
        granularity: what is removed at once: `channels` (single edges), `heads` (the edges into q, k and v of a head;
            with grouped-query attention of a whole KV group) or `groups` (a KV group's heads also write as one).
        positions: tell edges apart by where they carry something: at the prompts' named `spans`, or at `each` token.
        threshold: of `acdc`, in the metric's units, above 0.
        sign: of `acdc`: `abs`, or `signed` as published, where what suppresses the answer goes.
        ablation: what edges outside the circuit carry, `counterfactual`, `mean` or `zero`.
        metric: `logit_diff` (logits), `prob_diff` (probability) or `kl` (nats).
        task: name to write into the circuit.
        seed: of seeded methods.
        share: of `learned`: the most edges of a circuit, as a share of all.
        counterfactuals: of `learned`: most counterfactuals of a prompt, its own and other prompts of the list.
        validation: of `learned`: prompts to choose the size by, such as `task.validation`.
        allow_weak: what to do about prompts that leave little to explain, as in `Experiment`. False refuses prompts
            most of whose answers the model itself does not give, as the command does; True goes on with these, and with
            a counterfactual that keeps more than half of the metric, which None (the default) refuses.
        report: progress callback.

    Returns:
        The circuit with scores, evaluation and, where every edge was proven necessary, exact effects.

    Raises:
        PromptError: the prompts cannot be compared, or leave nothing to explain.
        RequestError: an option out of range, or options that do not go together.

    When this misleads: where the model itself does not give the answer (`wheatstone.tasks.model_answers` shows its rank
    and probability), the circuit explains a preference between two tokens, not an answer. And a
    sufficient circuit is enough for these prompts under this metric and ablation. Backup paths
    are left out, and a circuit fitted to one prompt's logit difference can have another distribution over the
    other tokens: look at its KL divergence and at held-out prompts (`wheatstone.verify`). The smallest circuit found
    is a local minimum: a smaller one may exist.
    """
    settings = DiscoverySettings(
        faithfulness=faithfulness,
        method=method,
        ranking=ranking,
        steps=steps,
        goal=goal,
        both_ways=both_ways,
        granularity=granularity,
        positions=positions,
        threshold=threshold,
        sign=sign,
        ablation=ablation,
        metric=metric,
        task=task,
        seed=seed,
        share=share,
        counterfactuals=counterfactuals,
        allow_weak=allow_weak,
    )
    experiment = settings.experiment(model, pairs)
    return discover_in(experiment, settings, curve=False, validation=validation, report=report).circuit


def discover_in(
    experiment: Experiment,
    settings: DiscoverySettings | None = None,
    *,
    curve: bool = True,
    validation: Sequence[PromptPair] = (),
    wordings: Sequence[PromptPair] = (),
    report: Reporter = silent,
) -> Discovery:
    """`discover` in an experiment that is already set up, with everything that was learned on the way.

    Args:
        experiment: model, prompts, ablation and metric; those of the settings are not read.
        settings: what to look for; the defaults of `DiscoverySettings` if left out.
        curve: also measure faithfulness by size, with random circuits beside.
        validation: prompts that `learned` chooses the size by; other methods do not read them.
        wordings: the same facts in other words, for `learned` to learn from too, see `tasks.other_wordings`.
        report: progress callback.
    """
    settings = settings or DiscoverySettings()
    settings.check()
    seconds: dict[str, float] = {}
    clock = time.perf_counter()

    def lap(stage: str) -> None:
        nonlocal clock
        seconds[stage], clock = time.perf_counter() - clock, time.perf_counter()

    searched = experiment.both_ways() if settings.both_ways else experiment
    scores = _score(searched, settings, report)
    lap("score")
    recurring: Stability | None = None
    order = scores
    if settings.method == LEARNED:
        found, order = generalise(experiment, validation, scores, settings, report, wordings)
    elif settings.stable:

        def find(sample: Experiment) -> Tensor:
            return _search(sample, _score(sample, settings, silent), settings, silent).keep

        recurring = stability(experiment, find, samples=settings.stable, seed=settings.seed, report=report)
        found = VerifiedSearch(
            experiment, _by_recurrence(scores, recurring), settings.faithfulness, goal=settings.goal
        ).smallest_ranked()
    else:
        found = _search(searched, scores, settings, report)
    lap("search")
    circuit = Circuit.of_mask(
        ModelInfo.of(experiment.model, experiment.graph),
        found.keep,
        ablation=experiment.ablation,
        metric=experiment.metric.name,
        scores=tuple(scores.values[found.keep].tolist()),
        effects=None if found.effects is None else tuple(found.effects[found.keep].tolist()),
        goal=settings.aim,
        granularity=settings.granularity,
        examples=experiment.encoded.pairs,
        task=settings.task,
        evaluation=evaluation_of(experiment, found.keep, found.reached if settings.aim == "sufficient" else None),
    )
    if found.effects is not None and settings.granularity != "channels":
        share = experiment.graph.heads // experiment.graph.kv_groups
        names = (unit_name(settings.granularity, share, *edge) for edge in circuit.edges)
        circuit = replace(circuit, units=tuple(names))
    result = Discovery(
        circuit,
        scores,
        (),
        found.ranked,
        found.trace,
        sum(each.evaluations for each in {experiment, searched}),
        seconds,
        settings.aim,
        recurring,
        order,
    )
    missing: dict[str, str] = {}

    def drawn() -> Discovery:
        return with_curve(experiment, result, seed=settings.seed, report=report)

    return replace(attempt(missing, CURVE, drawn, result) if curve else result, missing=missing)


def with_curve(experiment: Experiment, found: Discovery, *, seed: int = 0, report: Reporter = silent) -> Discovery:
    """A discovery with its size curve, and the circuits and seconds that the curve took.

    The ranking alone is measured at some of the search's own sizes too, so that the two can be compared.

    Args:
        experiment: that the circuit was found in.
        found: the discovery.
        seed: of the random circuits.
        report: progress callback.
    """
    started, before = time.perf_counter(), experiment.evaluations
    between = found.trace[:: -(len(found.trace) // _BETWEEN or 1)]
    few = len(experiment.encoded.pairs) <= _FEW
    usual = default_sizes(experiment.graph.edges, steps=(1, 2, 5) if few else (1, 3))
    sizes = sorted({*usual, *(step.edges for step in between)})
    curve = size_curve(experiment, found.scores, sizes=sizes, draws=3 if few else 1, seed=seed, report=report)
    return replace(
        found,
        curve=curve,
        evaluations=found.evaluations + experiment.evaluations - before,
        seconds=found.seconds | {"curve": time.perf_counter() - started},
    )


def _score(experiment: Experiment, settings: DiscoverySettings, report: Reporter) -> EdgeScores:
    report("scoring edges", 0, 1)
    scores = attribute(experiment, method=settings.scored_by, steps=settings.steps, seed=settings.seed, report=report)
    report("scoring edges", 1, 1)
    return scores


def _search(experiment: Experiment, scores: EdgeScores, settings: DiscoverySettings, report: Reporter) -> SearchResult:
    """The circuit that the settings ask for."""
    if settings.method == "acdc":
        assert settings.threshold is not None
        found = acdc(experiment, settings.threshold, keep=settings.sign, report=report)
        edges = int(found.keep.sum())
        step = SearchStep("acdc", edges, found.faithfulness, found.evaluations)
        return SearchResult(found.keep, found.faithfulness, None, edges, (step,))
    search = VerifiedSearch(
        experiment,
        scores,
        settings.faithfulness,
        goal=settings.goal,
        both_ways=settings.both_ways,
        granularity=settings.granularity,
        report=report,
    )
    searches = {"verified": search.run, "re-ranked": search.re_ranked}
    return searches.get(settings.method, search.smallest_ranked)()


def _by_recurrence(scores: EdgeScores, recurring: Stability) -> EdgeScores:
    """The edges by the share of samples that kept them; of equals, the one of the larger score first."""
    weight = scores.values.abs()
    values = recurring.frequency.to(weight.dtype) + weight / (weight.max() * 1e3 * recurring.samples)
    return EdgeScores(scores.graph, values, f"{scores.method}, by recurrence", scores.steps)


def evaluation_of(
    experiment: Experiment, keep: Bool[Tensor, "channel node"], faithfulness: float | None = None
) -> Evaluation:
    """A circuit's result in the units of the metric.

    Args:
        experiment: model, prompts, ablation and metric.
        keep: the circuit.
        faithfulness: of it, where a run has measured it already; otherwise it is run.
    """
    clean, corrupt = float(experiment.clean.mean()), float(experiment.corrupt.mean())
    (reached,) = experiment.faithfulness(keep[None]) if faithfulness is None else (faithfulness,)
    return Evaluation(
        clean=clean,
        corrupt=corrupt,
        circuit=corrupt + reached * (clean - corrupt),
        faithfulness=reached,
        edges=int(keep.sum()),
        total_edges=experiment.graph.edges,
    )
