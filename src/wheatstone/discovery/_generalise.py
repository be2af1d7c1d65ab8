"""A task's circuit: learned on its training prompts, its size chosen on its validation prompts.

The ranking is that of `learn_ranking`, started from the scores. Of the sizes 0.25, 0.5, 1, 2, 3, 5 and 10% of the edges
the smallest is taken whose circuit keeps the goal on validation: of the metric's change and of the model's gain in
Hit@10, on average, with the lower end of the 95% interval at most 0.1 below. Where no size does, it is the largest that
may be taken. A circuit that is pruned further, until every edge is necessary on the training prompts, holds on those
prompts and less on others.

Where the fully ablated model still has an answer among its first ten tokens, as in tasks whose answers are words of the
prompt, rank says little, and the ranking is learned to keep the metric too.
"""

from __future__ import annotations

from collections.abc import Sequence

from wheatstone._errors import RequestError
from wheatstone._progress import Reporter
from wheatstone.circuits import SHARES, Experiment, kept_over, sizes_of
from wheatstone.discovery._nested import learn_ranking
from wheatstone.discovery._scores import EdgeScores
from wheatstone.discovery._search import SearchResult, SearchStep
from wheatstone.discovery._settings import LEARNED, DiscoverySettings
from wheatstone.tasks import PromptPair, hits

_TARGET = 0.01
"""Share of the edges that the ranking is learned around."""
_TELLING = 0.5
"""Fall in Hit@10 under full ablation, from which on the answer's rank is all that is learned."""
_SLACK = 0.1
"""How far below the goal the lower end of the interval may be."""


def generalise(
    experiment: Experiment,
    validation: Sequence[PromptPair],
    scores: EdgeScores,
    settings: DiscoverySettings,
    report: Reporter,
    wordings: Sequence[PromptPair] = (),
) -> tuple[SearchResult, EdgeScores]:
    """Learns a ranking and chooses the size of the circuit.

    Args:
        experiment: with the training prompts, each with one counterfactual.
        validation: prompts to choose the size by.
        scores: of all edges, to start from.
        settings: the goal, the largest share of the edges, counterfactuals and seed.
        report: progress callback.
        wordings: the training facts in other words, to learn from too.

    Returns:
        The circuit and the ranking that it was cut from.

    Raises:
        RequestError: there are no validation prompts.
    """
    if not validation:
        raise RequestError(
            expected=f"a task with validation prompts, for --method {LEARNED} to choose the size by",
            got="none",
            do="give --task, or use --method verified",
        )
    graph, model = experiment.graph, experiment.model

    def several(pairs: Sequence[PromptPair]) -> list[PromptPair]:
        return experiment.several(pairs, most=settings.counterfactuals, seed=settings.seed)

    learned = learn_ranking(
        model,
        several((*experiment.encoded.pairs, *wordings)),
        scores=scores.values,
        edges=max(1, int(_TARGET * graph.edges)),
        metric=None if _lost_by_ablation(experiment) >= _TELLING else experiment.metric.name,
        seed=settings.seed,
        memory=experiment.memory,
        report=report,
    )
    order = EdgeScores(graph, learned.ranking().to(scores.values.dtype), "nested masks", len(learned.steps))
    sizes = sorted(set(sizes_of(graph, [share for share in SHARES if share < settings.share] + [settings.share])))
    masks = order.top(sizes)
    report("choosing the size", 0, 1)
    kept = kept_over(experiment.over(several(validation)), masks)
    report("choosing the size", 1, 1)
    goal = settings.faithfulness
    at = next((place for place in range(len(sizes)) if kept.enough(place, goal, _SLACK)), len(sizes) - 1)
    reached = experiment.faithfulness(masks)
    steps = [
        SearchStep("nested masks", size, value, experiment.evaluations)
        for size, value in zip(reversed(sizes), reversed(reached), strict=True)
    ]
    return SearchResult(masks[at], reached[at], None, sizes[at], tuple(steps)), order


def _lost_by_ablation(experiment: Experiment) -> float:
    """By how much Hit@10 falls when every edge is ablated."""
    clean, empty = (hits(rows, experiment.encoded, 10) for rows in (experiment.clean_logits, experiment.corrupt_logits))
    return float(clean.double().mean() - empty.double().mean())
