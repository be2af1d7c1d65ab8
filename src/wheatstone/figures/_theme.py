"""One look for all pictures: colours that colour-blind readers can tell apart, one typeface, a light page."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import altair as alt

from wheatstone.runs import Row

INK = "#1f2933"
SOFT = "#5f6c7b"
LINE = "#c9d1da"
FAINT = "#f3f5f8"
PAPER = "#ffffff"
BLUE = "#1f6fb4"
"""Supports the answer; the answer; the circuit."""
ORANGE = "#d9730d"
"""Suppresses the answer; the distractor."""
GREY = "#8a96a3"
"""What a number is compared with."""

FONT = "Helvetica Neue, Helvetica, Arial, Liberation Sans, Noto Sans, Noto Sans CJK JP, DejaVu Sans, sans-serif"

_AXIS = {
    "labelColor": SOFT,
    "titleColor": INK,
    "titleFontWeight": "normal",
    "titleFontSize": 12,
    "labelFontSize": 11,
    "domainColor": LINE,
    "tickColor": LINE,
    "gridColor": "#e9edf1",
    "titlePadding": 8,
}
_CONFIG: dict[str, Any] = {
    "font": FONT,
    "background": PAPER,
    "padding": 16,
    "view": {"stroke": None},
    "mark": {"aria": False},
    "axis": _AXIS,
    "legend": {
        "titleFontWeight": "normal",
        "titleFontSize": 12,
        "titleColor": INK,
        "labelColor": INK,
        "labelFontSize": 12,
        "labelLimit": 320,
        "titleLimit": 400,
        "columnPadding": 22,
        "padding": 8,
    },
    "title": {
        "anchor": "start",
        "frame": "group",
        "fontSize": 18,
        "fontWeight": "bold",
        "color": INK,
        "subtitleColor": SOFT,
        "subtitleFontSize": 12.5,
        "subtitleLineHeight": 18,
        "subtitlePadding": 6,
        "offset": 18,
        "limit": 1000,
    },
    "header": {"labelColor": INK, "labelFontSize": 13, "titleColor": INK},
}


def finished(chart: Any, title: str, subtitle: list[str], description: str) -> Any:
    """A chart with its title, its description for screen readers and the house's look."""
    heading = alt.TitleParams(text=title, subtitle=subtitle)
    return chart.properties(title=heading, description=description).configure(**_CONFIG)


def heading(text: str, size: float = 13) -> alt.TitleParams:
    """The title of one panel of a picture."""
    return alt.TitleParams(text=text, fontSize=size, fontWeight="normal", offset=8)


def of_rows(rows: Iterable[Row]) -> alt.Chart:
    """An empty chart over rows of data.

    They go in as a tuple: Altair copies lists, row by row, each time charts are combined.
    """
    return alt.Chart(alt.Data(values=tuple(rows)))


def halo(**mark: Any) -> dict[str, Any]:
    """The same text mark as a white outline, to lie under a label that crosses lines."""
    return {**mark, "stroke": PAPER, "strokeWidth": 3.5, "strokeJoin": "round", "color": PAPER}


def growing(most: float = 1.0, **more: Any) -> alt.Scale:
    """Colours of numbers from 0, white, to `most`, dark blue."""
    colours = ["#f1f5f9", "#9cc3e4", BLUE, "#0b3a66"]
    return alt.Scale(domain=[0, most], range=colours, interpolate="lab", **more)


def diverging(most: float) -> alt.Scale:
    """Colours of numbers from `-most`, orange, over 0, white, to `most`, blue."""
    return alt.Scale(domain=[-most, 0, most], range=[ORANGE, "#f5f7fa", BLUE], interpolate="lab")


def squares(rows: Iterable[Row], x: alt.X, y: alt.Y, colour: alt.Color, tooltip: Any, stroke: float = 1) -> alt.Chart:
    """The squares of a heat map."""
    return of_rows(rows).mark_rect(stroke=PAPER, strokeWidth=stroke).encode(x, y, colour, tooltip=tooltip)


def written(rows: Sequence[Row], x: alt.X, y: alt.Y, text: str, dark: str, **mark: Any) -> alt.Chart:
    """Texts in the squares of a heat map.

    Args:
        rows: of the squares with a text.
        x: as of the squares.
        y: likewise.
        text: field of the text.
        dark: Vega condition of the squares that are so dark that their text is white.
        mark: of the text, such as its `fontSize`.
    """
    colour = alt.when(dark).then(alt.value(PAPER)).otherwise(alt.value(INK))
    return of_rows(rows).mark_text(**mark).encode(x, y, text=text, color=colour)


def labelled(texts: Sequence[str] | Mapping[str, str]) -> str:
    """Vega expression of an axis's labels: the text of each value."""
    return f"{json.dumps(texts)}[datum.value]"
