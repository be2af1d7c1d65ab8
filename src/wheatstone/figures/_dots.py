"""Rows of points with intervals: one number of many things, one thing beside another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from wheatstone.figures._theme import INK, SOFT, of_rows
from wheatstone.figures._theme import heading as heading_of
from wheatstone.runs import Row


def dots(
    rows: Sequence[Row],
    title: str,
    *,
    colours: Mapping[str, str],
    names: bool = True,
    width: int = 300,
    format: str = ",.2~f",
    heading: str = "",
) -> alt.LayerChart | alt.FacetChart:
    """One row for each label, a point for each kind in it, a line from low to high where these are known.

    Args:
        rows: `label`, `kind`, `value`, `low`, `high`; labels in their final order.
        title: of the axis: what the number is, with its unit.
        colours: by kind, in the order of the legend.
        names: whether the labels are written; not where a panel to the left has them.
        width: in pixels.
        format: of the numbers.
        heading: above the panel.
    """
    labels = list(dict.fromkeys(row["label"] for row in rows))
    kinds = [kind for kind in colours if any(row["kind"] == kind for row in rows)]
    axis = alt.Axis(title=None, domain=False, ticks=False, labelColor=INK, labelFontSize=12, labelLimit=380)
    y = alt.Y("label:N", scale=alt.Scale(type="band", domain=labels), axis=axis if names else None)
    several = len(rows) > len(labels)
    beside = [alt.YOffset("kind:N", scale=alt.Scale(domain=kinds))] if several else []
    colour = alt.Color(
        "kind:N",
        scale=alt.Scale(domain=kinds, range=[colours[kind] for kind in kinds]),
        legend=alt.Legend(title=None, orient="bottom", columns=3) if len(kinds) > 1 else None,
    )
    tooltip = [
        alt.Tooltip("label:N", title="of"),
        alt.Tooltip("kind:N", title="what"),
        alt.Tooltip("value:Q", format=format),
        alt.Tooltip("low:Q", title="from", format=format),
        alt.Tooltip("high:Q", title="to", format=format),
    ]
    base, known = of_rows(rows), [row for row in rows if row["low"] is not None]
    look: dict[str, Any] = {"axis": alt.Axis(title=title, tickCount=5, format=format)}
    zero = of_rows([{"zero": 0}]).mark_rule(color=SOFT, strokeWidth=1).encode(alt.X("zero:Q"))
    line = of_rows(known).mark_rule(strokeWidth=2).encode(alt.X("low:Q", **look), y, colour, alt.X2("high:Q"), *beside)
    dot = base.mark_point(filled=True, size=70, opacity=1).encode(
        alt.X("value:Q", **look), y, colour, *beside, tooltip=tooltip
    )
    step = 13 * len(kinds) + 8 if several else 20
    panel = alt.layer(zero, *([line] if known else []), dot).properties(width=width, height=step * len(labels))
    if not heading:
        return panel
    return panel.properties(title=heading_of(heading))


Numbers = Mapping[str, Any] | tuple[Any, ...]
"""A row of a table, or a named tuple of a summary."""


def _named(row: Any) -> Mapping[str, Any]:
    return row if isinstance(row, Mapping) else row._asdict()


def dot(label: str, row: Numbers, field: str, kind: str = "") -> Row:
    """A stored number with its interval, as `dots` takes it."""
    row = _named(row)
    return {
        "label": label,
        "kind": kind,
        "value": row[field],
        "low": row.get(f"{field}_low"),
        "high": row.get(f"{field}_high"),
    }


def span(row: Numbers, field: str, write: Any) -> str:
    """` (95% 0.10 to 0.20)` after a number, or nothing where there is no interval."""
    row = _named(row)
    low, high = row[f"{field}_low"], row[f"{field}_high"]
    return "" if low is None else f" (95% {write(low)} to {write(high)})"
