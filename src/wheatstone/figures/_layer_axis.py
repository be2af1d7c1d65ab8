"""What pictures along the layers share: the axis of half layers, and a curve with its interval."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt

from wheatstone.figures._theme import of_rows
from wheatstone.runs import Row


def layers_x(layers: int, field: str = "layer") -> alt.X:
    """Layers done, from 0 to all; half layers lie between.

    Args:
        layers: of the model.
        field: of the rows; halves of sublayers done.
    """
    return alt.X(
        f"{field}:Q",
        scale=alt.Scale(domain=[0, layers], nice=False),
        axis=alt.Axis(title="layers done", tickMinStep=1, grid=False),
    )


def banded(
    rows: Sequence[Row], x: alt.X, y: str, axis: dict[str, Any], scale: alt.Scale, colour: alt.Color, title: str
) -> list[alt.Chart]:
    """A line with a band from `Y_low` to `Y_high`, where these are known, and points to be asked.

    Args:
        rows: with fields `y`, `{y}_low`, `{y}_high` and those of `x` and `colour`.
        x: the horizontal axis.
        y: field of the line.
        axis: of y, as `alt.Axis` takes it.
        scale: of y.
        colour: whose curve is whose.
        title: of y, in the tooltip.
    """
    up = alt.Y(f"{y}:Q", scale=scale, axis=alt.Axis(**axis))
    low = alt.Y(f"{y}_low:Q", scale=scale, axis=alt.Axis(**axis))
    name = str(colour.shorthand).partition(":")[0]
    tooltip = [
        alt.Tooltip(f"{name}:N", title="curve"),
        alt.Tooltip("after:N", title="after"),
        alt.Tooltip(f"{y}:Q", title=title, format=".3~f"),
        alt.Tooltip(f"{y}_low:Q", title="95% from", format=".3~f"),
        alt.Tooltip(f"{y}_high:Q", title="to", format=".3~f"),
    ]
    known = [row for row in rows if row[f"{y}_low"] is not None]
    band = of_rows(known).mark_area(opacity=0.18).encode(x, low, alt.Y2(f"{y}_high"), colour)
    line = of_rows(rows).mark_line(strokeWidth=2).encode(x, up, colour)
    dots = of_rows(rows).mark_point(filled=True, size=60, opacity=0).encode(x, up, colour, tooltip=tooltip)
    return [*([band] if known else []), line, dots]
