"""A task's circuit on prompts that it was not found on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from wheatstone._effects import gain_kept
from wheatstone.circuits import SHARES, Experiment, Kept, kept_over, sizes_of
from wheatstone.discovery import LEARNED, DiscoverySettings, EdgeScores
from wheatstone.tasks import PromptPair, Task
from wheatstone.verification import Verification

if TYPE_CHECKING:
    from wheatstone.studies._discovery import DiscoveryRun

FEWEST = 4
"""Prompts that the training and the validation split each need, for a circuit to be learned."""


@dataclass(frozen=True)
class SharePoint:
    """A circuit of one size, cut from the ranking.

    Args:
        edges: its size.
        share: of all edges.
        gain_kept_train: share of the model's gain in Hit@10 over the empty circuit that it keeps on the training
            prompts; None where the model gains nothing.
        gain_kept_test: on the test prompts.
    """

    edges: int
    share: float
    gain_kept_train: float | None
    gain_kept_test: float | None


def settings_for(settings: DiscoverySettings, task: Task, *, chosen: bool) -> DiscoverySettings:
    """The settings with the method for a task: `learned`, where the person chose none and the task allows it.

    Args:
        settings: with the method for a pair.
        task: the task.
        chosen: whether the person named the method.
    """
    enough = min(len(task.train), len(task.validation)) >= FEWEST
    return replace(settings, method=LEARNED) if enough and settings.learnable and not chosen else settings


def curve_by_share(
    experiment: Experiment, order: EdgeScores, settings: DiscoverySettings, test: Sequence[PromptPair]
) -> tuple[SharePoint, ...]:
    """What nested circuits keep of the gain in Hit@10, on the prompts they were found on and on test prompts.

    Args:
        experiment: with the former.
        order: the ranking that the circuits are cut from.
        settings: counterfactuals and seed.
        test: the test prompts, with one counterfactual each.
    """
    masks = order.top(sizes_of(experiment.graph))

    def kept(pairs: Sequence[PromptPair]) -> Kept:
        several = experiment.several(pairs, most=settings.counterfactuals, seed=settings.seed)
        return kept_over(experiment.over(several), masks)

    found_on, held = kept(experiment.encoded.pairs), kept(test)
    return tuple(
        SharePoint(edges, share, found_on.gain_kept(place), held.gain_kept(place))
        for place, (edges, share) in enumerate(zip(sizes_of(experiment.graph), SHARES, strict=True))
    )


def splits_of(run: DiscoveryRun) -> dict[str, Any]:
    """The held-out and the training numbers for JSON, held-out first; empty where there is no test split."""
    test = next((one for one in run.held_out if one.split == "test"), None)
    if test is None:
        return {}
    return {
        "test": _summary(test),
        "train": _summary(run.verification),
        "curve": [asdict(point) for point in run.by_share],
    }


def _summary(verification: Verification) -> dict[str, Any]:
    hit = {name: verification.hit_at_10[name] for name in ("model", "circuit", "empty")}
    return {
        "n": verification.n,
        "pairs": verification.pairs,
        "faithfulness": verification.faithfulness,
        "hit_at_10": hit,
        "gain_kept": gain_kept(hit["model"], hit["circuit"], hit["empty"]),
        "ci95": {"faithfulness": verification.ci95["faithfulness"], "hit_at_10": verification.ci95["hit_at_10"]},
    }
