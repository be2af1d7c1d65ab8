"""What an edge's numbers mean: which way a sign points, and what an exact effect was measured on.

An *effect* is a share of what the search was for, so a positive one supports the behaviour under every metric. A
*score* is in the metric's own units: a positive one raises the metric. More of `kl` is less of the behaviour, so under
`kl` a positive score hinders.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

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


BOTH_WAYS = "both-ways"
"""The goal of a circuit that suffices on prompts and on the same prompts swapped with their counterfactuals."""


def lost(goal: str) -> str:
    """What an exact effect is a share of, by the goal of the search."""
    return "completeness" if goal == "complete" else "faithfulness"


def removed(granularity: str) -> str:
    """What was removed to measure an exact effect, by what the search removes at once."""
    units = {"heads": "its edge unit (q, k and v together)", "groups": "its edge unit (a whole group of heads)"}
    return units.get(granularity, "this edge alone")


def effect_words(goal: str, granularity: str) -> str:
    """What an exact effect is: `faithfulness lost without this edge alone`."""
    where = " in the worse direction" if goal == BOTH_WAYS else ""
    return f"{lost(goal)} lost{where} without {removed(granularity)}"


def unit_name(granularity: str, heads_per_group: int, sender: str, receiver: str) -> str:
    """What the edges that are removed together with one edge are called, such as `m3->a5.g1`.

    Args:
        granularity: what the search removes at once: `heads` or `groups`.
        heads_per_group: attention heads that share keys and values.
        sender: of the edge.
        receiver: of the edge.
    """
    if granularity == "groups":
        sender = attention_group(sender, heads_per_group)
    return f"{sender}->{attention_group(receiver, heads_per_group)}"


def attention_group(name: str, heads_per_group: int) -> str:
    """`a3.g1` for the heads and channels of that group, with their place in the prompt; other nodes by their name."""
    node, at, place = name.partition("@")
    layer, dot, part = re.sub("<[qkv]>$", "", node).partition(".")
    if part.startswith("h"):
        part = f"g{int(part[1:]) // heads_per_group}"
    return f"{layer}{dot}{part}{at}{place}"


def unit_of(edge: Mapping[str, Any], granularity: str, heads_per_group: int, sender: str | None = None) -> str | None:
    """What an edge of `circuit.json` was removed with to measure its effect; None where it was removed alone.

    Runs of older versions do not name it.

    Args:
        edge: of the file.
        granularity: what the search removed at once.
        heads_per_group: attention heads that share keys and values.
        sender: with its place in the prompt, where the circuit is kept by place; else the file's.
    """
    if "unit" in edge or granularity == "channels" or edge.get("effect") is None:
        return edge.get("unit")
    return unit_name(granularity, heads_per_group, sender or edge["from"], edge["to"])


def score_words(metric: str) -> str:
    """What the sign of a score says."""
    return "negative supports" if metric in LOWER_IS_BETTER else "positive supports"


def gain_kept(model: float, circuit: float, empty: float) -> float | None:
    """(circuit − empty) / (model − empty); None where the model is no better than the empty circuit."""
    return float((circuit - empty) / (model - empty)) if model > empty else None
