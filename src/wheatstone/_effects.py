"""What an edge's numbers mean: which way a sign points, and what an exact effect was measured on.

An *effect* is a share of what the search was for, so a positive one supports the behaviour under every metric. A
*score* is in the metric's own units: a positive one raises the metric. More of `kl` is less of the behaviour, so under
`kl` a positive score hinders.
"""

from __future__ import annotations

LOWER_IS_BETTER = frozenset({"kl"})
"""Metrics that are small where the behaviour is whole."""


def direction_of(metric: str) -> int:
    """1 where more of a metric is more of the behaviour, −1 where it is less."""
    return -1 if metric in LOWER_IS_BETTER else 1


def support_of(metric: str, score: float | None, effect: float | None) -> float:
    """How much an edge supports the behaviour; below 0 it hinders.

    It is the exact effect, or the score where no effect was measured.

    Args:
        metric: that the score is in units of.
        score: the estimate.
        effect: the exact effect.
    """
    return effect if effect is not None else direction_of(metric) * (score or 0.0)


def lost(goal: str) -> str:
    """What an exact effect is a share of, by the goal of the search."""
    return "completeness" if goal == "complete" else "faithfulness"


def removed(granularity: str) -> str:
    """What was removed to measure an exact effect, by what the search removes at once."""
    units = {"heads": "its edge unit (q, k and v together)", "groups": "its edge unit (a whole group of heads)"}
    return units.get(granularity, "this edge alone")


def effect_words(goal: str, granularity: str) -> str:
    """What an exact effect is: `faithfulness lost without this edge alone`."""
    return f"{lost(goal)} lost without {removed(granularity)}"


def score_words(metric: str) -> str:
    """What the sign of a score says."""
    return "negative supports" if metric in LOWER_IS_BETTER else "positive supports"


def gain_kept(model: float, circuit: float, empty: float) -> float | None:
    """(circuit − empty) / (model − empty); None where the model is no better than the empty circuit."""
    return float((circuit - empty) / (model - empty)) if model > empty else None
