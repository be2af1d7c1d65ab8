"""How few edges are enough: faithfulness against the size of the circuit, beside random circuits of equal size."""

from __future__ import annotations

from collections import defaultdict
from statistics import median

import altair as alt

from wheatstone.figures._load import RunData
from wheatstone.figures._theme import BLUE, GREY, INK, ORANGE, finished, of_rows
from wheatstone.figures._words import comparison, count, percent, sample
from wheatstone.runs import Row

_WIDTH, _HEIGHT = 660, 340
_RANKED, _WITHOUT, _RANDOM = "highest-ranked edges", "all edges but these", "random edges"
_FLOOR, _CEILING = -0.5, 1.5
"""Faithfulness outside this range is drawn at its edge."""


def chart(run: RunData) -> alt.LayerChart:
    """Draws a run's size-faithfulness curve.

    When this misleads: the curve's circuits are cut from one ranking; a circuit below the curve's sizes can still be
    faithful, as the verified one usually is.
    """
    ranked = sorted((row for row in run.curve if row["kind"] == "ranking"), key=lambda row: row["size"])
    without = sorted((row for row in run.curve if row["kind"] == "complement"), key=lambda row: row["size"])
    random = _spread([row for row in run.curve if row["kind"] == "random"])
    complete = run.goal == "complete"
    # A circuit that was imported was not searched for at any target. With the goal complete the circuit is judged by
    # what is left without it, on the orange curve.
    size, sought = len(run.edges), run.manifest["settings"].get("faithfulness")
    reached = 1 - float(run.verification["completeness"]) if complete else run.faithfulness
    target = None if sought is None else 1 - float(sought) if complete else float(sought)
    sizes = [size, *(row["size"] for row in run.curve)]
    values = [reached, target or 0.0, 0.0, 1.0, *(row["faithfulness"] for row in run.curve)]
    decades = [10**power for power in range(len(str(max(sizes))))]
    x = alt.X(
        "size:Q",
        scale=alt.Scale(type="log", domain=[max(1, min(sizes)), max(sizes)]),
        axis=alt.Axis(title="edges kept (log scale)", format="~s", grid=False, values=decades),
    )
    low, high = max(_FLOOR, min(values) - 0.05), min(_CEILING, max(values) + 0.08)
    scale = alt.Scale(domain=[low, high], clamp=True, nice=False)
    axis = alt.Axis(title="faithfulness", format=".0%", tickCount=7)
    y, bottom, goal_at = (alt.Y(f"{field}:Q", scale=scale, axis=axis) for field in ("faithfulness", "low", "target"))
    key = alt.Color(
        "kind:N",
        scale=alt.Scale(domain=[_RANKED, _WITHOUT, _RANDOM], range=[BLUE, ORANGE, GREY]),
        legend=alt.Legend(title=None, orient="top", symbolType="stroke", symbolStrokeWidth=3, symbolSize=500),
    )
    tooltip = [
        alt.Tooltip("kind:N", title="circuit"),
        alt.Tooltip("size:Q", title="edges", format=","),
        alt.Tooltip("faithfulness:Q", format=".1%"),
        alt.Tooltip("kl:Q", title="KL to the model (nats)", format=".3f"),
    ]
    ranked = [{**row, "kind": _RANKED} for row in ranked]
    line = of_rows(ranked).mark_line(strokeWidth=2.2).encode(x, y, key)
    dots = of_rows(ranked).mark_point(filled=True, size=42, opacity=1).encode(x, y, key, tooltip=tooltip)
    without = [{**row, "kind": _WITHOUT} for row in without]
    rest = of_rows(without).mark_line(strokeWidth=1.8, strokeDash=[6, 3]).encode(x, y, key, tooltip=tooltip)
    base = of_rows(random)
    band = base.mark_area(opacity=0.22, color=GREY).encode(x, bottom, alt.Y2("high"))
    middle = base.mark_line(strokeWidth=1.6).encode(x, y, key)
    middles = base.mark_point(filled=True, size=26, opacity=1).encode(x, y, key, tooltip=tooltip)
    found: list[Row] = [{"size": size, "faithfulness": reached, "target": target}]
    at = of_rows(found)
    goal: list[alt.Chart] = []
    if target is not None:
        label_of_goal = at.mark_text(align="right", dy=-7, color=INK, text=f"target {percent(float(target))}")
        goal.append(at.mark_rule(strokeDash=[5, 4], color=INK).encode(goal_at))
        goal.append(label_of_goal.encode(goal_at, x=alt.value(_WIDTH)))
    star = at.mark_point(shape="diamond", filled=True, size=190, fill=INK, stroke="white", opacity=1).encode(x, y)
    # Up and to the left of the circuit the picture is free: the curve rises to the right.
    room = size > max(sizes) ** 0.4
    label = at.mark_text(
        align="right" if room else "left",
        dx=8 if room else -8,
        dy=-16,
        fontSize=13,
        fontWeight="bold",
        color=INK,
        text=f"{'without this circuit' if complete else 'this circuit'}: {count(size, 'edge')}, {percent(reached)}",
    ).encode(x, y)
    picture = alt.layer(band, middle, middles, rest, *goal, line, dots, star, label)
    draws = max((row["draws"] for row in random), default=0)
    subtitle = [
        f"Faithfulness: 100% = the whole model's {comparison(run)}; 0% = the model with every edge ablated.",
        "Blue: the first edges of the ranking alone. Orange: the model with these ablated instead.",
        f"Grey: as many edges drawn at random ({draws} draws a size; band: lowest to highest).",
        f"The diamond is the {'model without the ' if complete else ''}"
        f"{'circuit that was found' if goal else 'imported circuit'} ({sample(run)}).",
    ]
    enough = "are enough for" if goal else "reach"
    title = f"{count(size, 'edge')} of {run.total_edges:,} {enough} {percent(reached)} faithfulness"
    if complete:
        title = f"Without {count(size, 'edge')} of {run.total_edges:,}, {percent(reached)} of the behaviour is left"
    return finished(picture.properties(width=_WIDTH, height=_HEIGHT), title, subtitle, describe(run))


def describe(run: RunData) -> str:
    """The picture in words."""
    complete = run.goal == "complete"
    ranked = sorted((row for row in run.curve if row["kind"] == "ranking"), key=lambda row: row["size"])
    points = ", ".join(f"{row['size']:,}: {percent(row['faithfulness'])}" for row in ranked)
    return (
        f"Faithfulness by number of kept edges. Ranking: {points}. "
        f"The found circuit has {count(len(run.edges), 'edge')} and {percent(run.faithfulness)}"
        + (f"; without it {percent(1 - float(run.verification['completeness']))} is left." if complete else ".")
    )


def _spread(rows: list[Row]) -> list[Row]:
    """Lowest, median and highest faithfulness of the random circuits of each size."""
    by_size: dict[int, list[Row]] = defaultdict(list)
    for row in rows:
        by_size[row["size"]].append(row)
    return [
        {
            "kind": _RANDOM,
            "size": size,
            "draws": len(draws),
            "low": max(_FLOOR, min(row["faithfulness"] for row in draws)),
            "high": min(_CEILING, max(row["faithfulness"] for row in draws)),
            "faithfulness": median(row["faithfulness"] for row in draws),
            "kl": median(row["kl"] for row in draws),
        }
        for size, draws in sorted(by_size.items())
    ]
