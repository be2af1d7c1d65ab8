"""Heads that recur in a sweep's circuits beside what chance gives, as a picture and as a page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import altair as alt

from wheatstone.figures._dots import dots
from wheatstone.figures._page import PagePart, captioned, drawn_of, made_of, page_of, settings_of, table_of
from wheatstone.figures._report import Picture
from wheatstone.figures._theme import BLUE, LINE, finished
from wheatstone.figures._view import Charts, View, itself
from wheatstone.figures._words import count
from wheatstone.runs import Run

_TITLE = "Heads that recur in the circuits of a task's prompts"
_CAPTION = (
    "Heads furthest beyond chance, ties included. Chance: the share in circuits in which the heads of each layer have "
    "changed places, as large and as deep as those that were found."
)
_COLOURS = {"in the circuits": BLUE, "by chance": LINE}
_ROWS = 40
"""Rows of a table that are shown; the file has all."""


def heads(found: Mapping[str, Any]) -> alt.FacetChart | alt.LayerChart | alt.VConcatChart:
    """Share of the circuits that each head is in, and the share that random circuits give.

    When this misleads: prompts of one relation are much alike, so that a head recurs because the question does.
    """
    rows = [
        {"label": row["node"], "kind": kind, "value": row[field], "low": None, "high": None}
        for row in found["heads"]
        for kind, field in zip(_COLOURS, ("share", "expected"), strict=True)
    ]
    panel = dots(rows, "share of the circuits", colours=_COLOURS, width=420, format=".0%")
    return finished(panel, _TITLE, [f"{count(found['pairs'], 'circuit')}, one for each prompt pair."], _lead(found)[1])


def _lead(found: Mapping[str, Any]) -> list[str]:
    edges, kept = found["edges"], found["faithfulness"]
    return [
        f"{count(found['pairs'], 'circuit')}: {edges['median']:,.0f} edges ({edges['least']:,} to {edges['most']:,}), "
        f"faithfulness {kept['median']:.3f} ({kept['least']:.3f} to {kept['most']:.3f}); medians.",
        f"{found['heads_in_all']} of {found['heads_of_model']} heads are in every circuit; "
        f"{found['heads_beyond_chance']} recur more often than in random circuits of the same sizes and layers.",
        "Each circuit is proved on the one prompt pair that it was found on.",
    ]


def _page(run: Run, drawn: Mapping[str, Picture], missing: Mapping[str, str]) -> str:
    found = run.result
    parts = [
        PagePart(
            "Heads beyond chance",
            (),
            drawn_of(captioned(drawn, {"heads": _CAPTION}), "heads"),
            (table_of("Every head and MLP that is in a circuit.", run.first("nodes", _ROWS), _ROWS),),
        ),
        PagePart(
            "Circuit by circuit",
            tables=(table_of(f"The first of {count(found['pairs'], 'pair')}.", run.first("pairs", _ROWS), _ROWS),),
        ),
    ]
    if found["failed"]:
        parts.append(PagePart("Without a circuit", tuple(f"{name}: {why}" for name, why in found["failed"].items())))
    weak = found.get("weak", 0)  # runs of before do not count them
    warning = f"On {weak} of {count(found['pairs'], 'pair')} the model itself does not give the answer."
    return page_of(
        "sweep", run.title, _lead(found), parts, made_of(run.manifest, settings_of(run)), [warning] if weak else []
    )


def _charts(run: Run) -> Charts:
    return {"heads": lambda: heads(run.result)} if run.result["heads"] else {}


VIEW = View(itself, _charts, _page)
