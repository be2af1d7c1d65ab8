"""A task's circuit on prompts that it was not found on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from wheatstone._effects import gain_kept
from wheatstone._progress import Reporter, silent
from wheatstone._side import CURVE_HELD_OUT, TEST, attempt
from wheatstone.circuits import SHARES, kept_over, sizes_of
from wheatstone.discovery import LEARNED, DiscoverySettings
from wheatstone.runs._discovery import DiscoveryRun, SharePoint
from wheatstone.tasks import PromptPair, Task, several_counterfactuals
from wheatstone.verification import Verification, verify_over

FEWEST = 4
"""Prompts that the training and the validation split each need, for a circuit to be learned."""


def settings_for(settings: DiscoverySettings, task: Task, *, chosen: bool) -> DiscoverySettings:
    """The settings with the method for a task: `learned`, where the person chose none and the task allows it.

    Args:
        settings: with the method for a pair.
        task: the task.
        chosen: whether the person named the method.
    """
    enough = min(len(task.train), len(task.validation)) >= FEWEST
    return replace(settings, method=LEARNED) if enough and settings.learnable and not chosen else settings


def with_test(run: DiscoveryRun, task: Task, report: Reporter = silent) -> DiscoveryRun:
    """Adds the test split: the circuit's verification, and what nested circuits keep by size.

    Each test prompt is run against up to `counterfactuals` others of its split. Nothing is added where the task has no
    test prompts; what fails is listed in `missing`.

    Args:
        run: found on the task's training prompts.
        task: the task.
        report: progress callback.
    """
    if not task.test:
        return run
    settings, experiment, found = run.settings, run.experiment, run.discovery

    def several(pairs: Sequence[PromptPair]) -> list[PromptPair]:
        if settings.ablation != "counterfactual" or settings.positions:
            return list(pairs)
        return several_counterfactuals(experiment.model, pairs, most=settings.counterfactuals, seed=settings.seed)

    test = several(task.test)

    def scored() -> tuple[Verification, ...]:
        keep = found.circuit.mask()
        return (verify_over(experiment.over(test), keep, seed=settings.seed, split="test", report=report),)

    def curve() -> tuple[SharePoint, ...]:
        if found.order is None or settings.positions or settings.goal != "sufficient":
            return ()
        sizes = sizes_of(experiment.graph)
        masks = found.order.top(sizes)
        train, held = (kept_over(experiment.over(pairs), masks) for pairs in (several(task.train), test))
        return tuple(
            SharePoint(edges, share, train.gain_kept(place), held.gain_kept(place))
            for place, (edges, share) in enumerate(zip(sizes, SHARES, strict=True))
        )

    missing = dict(run.missing)
    held_out = attempt(missing, TEST, scored, ())
    by_share = attempt(missing, CURVE_HELD_OUT, curve, ())
    return replace(run, held_out=(*held_out, *run.held_out), by_share=by_share, missing=missing)


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
