"""What is stored of predicted years: without torch, for pages are written where no model is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class YearSums(NamedTuple):
    """What the matrix comes to, over prompts, with 95% intervals.

    Args:
        n: prompts.
        mass: probability of any two digits.
        later: of later years alone.
        difference: two-digit difference.
        sharpness: cutoff sharpness.
    """

    n: int
    mass: float
    later: float
    difference: float
    difference_low: float | None
    difference_high: float | None
    sharpness: float
    sharpness_low: float | None
    sharpness_high: float | None


class MlpToLogits(NamedTuple):
    """What an MLP does straight to the logits: a row of mlps_to_logits.parquet.

    Args:
        mlp: such as `m23`.
        effect: metric lost when the path is ablated, mean over prompts.
        share: of the metric's difference between prompt and counterfactual.
    """

    mlp: str
    n: int
    effect: float
    effect_low: float | None
    effect_high: float | None
    share: float


class Kept(NamedTuple):
    """What some neurons of an MLP keep of its effect alone.

    Args:
        neurons: how many, out of `of`.
        mlp: effect of the whole MLP on the metric.
        kept: by the strongest neurons alone.
        random: by as many random ones, mean over draws.
        random_low: least over draws.
        random_high: most over draws.
        draws: how many.
        task_lost_with_mlp: share of the whole metric's difference that patching the MLP takes.
        task_lost_with_others: the same of patching all its neurons but the strongest.
        n: prompts that all this was measured on.
        chosen_on: prompts that the neurons were chosen on.
        held_out: whether these are others.
        chosen_kept: `kept` on the prompts that the neurons were chosen on.
    """

    neurons: int
    of: int
    mlp: float
    kept: float
    kept_low: float | None
    kept_high: float | None
    random: float
    random_low: float
    random_high: float
    draws: int
    task_lost_with_mlp: float
    task_lost_with_others: float
    n: int = 0  # from here on, not in runs of earlier versions
    chosen_on: int = 0
    held_out: bool = False
    chosen_kept: float = 0.0


@dataclass(frozen=True)
class YearsSummary:
    """What is said of predicted years.

    Args:
        sums: over the matrix of years.
        mlp: the MLP that does most straight to the logits.
        kept: what its strongest neurons keep of it.
        metric: of the run.
        metric_value: on the run's prompts, mean; None in runs of earlier versions.
        n: prompts of the run.
    """

    sums: YearSums
    mlp: MlpToLogits
    kept: Kept
    metric: str
    metric_value: float | None = None
    n: int = 0
