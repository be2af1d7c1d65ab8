"""An activation against what the model then predicts, drawn: of prompts or of a corpus."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from wheatstone.figures._theme import BLUE, INK, ORANGE, of_rows
from wheatstone.runs import Row


def calibration_panel(bins: Sequence[Mapping[str, Any]], title: str, *, width: int, height: int) -> Any:
    """One calibration's points over its counts.

    Args:
        bins: as `neuron_facts` has them.
        title: of the axis of activations.
        width: of the panel.
        height: of its upper part.
    """
    kinds = {
        "probability": ("probability", BLUE),
        "first": ("share of first choices", INK),
        "effect": ("of the probability, due to the neuron", ORANGE),
    }
    rows: list[Row] = [
        {"activation": row["activation"], "kind": name, "places": row["places"], **row[kind]}
        for row in bins
        for kind, (name, _) in kinds.items()
        if row[kind] is not None
    ]
    names, colours = zip(*kinds.values(), strict=True)
    colour = alt.Color(
        "kind:N",
        scale=alt.Scale(domain=list(names), range=list(colours)),
        legend=alt.Legend(title=None, orient="bottom", labelLimit=400),
    )
    x = alt.X("activation:Q", axis=alt.Axis(title=None, grid=False))
    y = alt.Y("mean:Q", title=None, axis=alt.Axis(format=".2~p", tickCount=6))
    tooltip = ["kind:N", alt.Tooltip("places:Q"), alt.Tooltip("mean:Q", format=".3f")]
    base, known = of_rows(rows), of_rows([row for row in rows if row["low"] is not None])
    lines = base.mark_line(strokeWidth=1.6, opacity=0.7).encode(x, y, colour)
    dots = base.mark_point(filled=True, size=50, opacity=1).encode(x, y, colour, tooltip=tooltip)
    bars = known.mark_rule(strokeWidth=1.2).encode(x, alt.Y("low:Q"), colour, y2="high:Q")
    counts = of_rows([{"activation": row["activation"], "places": row["places"]} for row in bins])
    places = alt.Y(
        "places:Q", scale=alt.Scale(type="symlog"), axis=alt.Axis(title="places", values=[1, 10, 100, 1000, 10000])
    )
    below = alt.X("activation:Q", title=title, axis=alt.Axis(grid=False))
    under = counts.mark_bar(width=8, color="#c9d1da").encode(below, places)
    upper = alt.layer(bars, lines, dots).properties(width=width, height=height)
    return alt.vconcat(upper, under.properties(width=width, height=60), spacing=12).resolve_scale(x="shared")
