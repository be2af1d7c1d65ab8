"""The page of a run that has no pictures: how it was made, and the first rows of its tables."""

from __future__ import annotations

from collections.abc import Mapping

from wheatstone.figures._page import PagePart, made_of, page_of, settings_of, table_of
from wheatstone.figures._report import Picture
from wheatstone.figures._view import Charts, View, itself
from wheatstone.figures._words import clipped, count, warnings_of
from wheatstone.runs import Run

_ROWS = 40
"""Rows of a table that are shown; the file has all."""


def _charts(run: Run) -> Charts:
    return {}


def _page(run: Run, drawn: Mapping[str, Picture], missing: Mapping[str, str]) -> str:
    manifest, command = run.manifest, run.contents.command
    parts = [
        PagePart(
            f"{name}.parquet",
            tables=(table_of(f"The first of {count(run.count(name), 'row')}.", run.first(name, _ROWS), _ROWS),),
        )
        for name in run.tables
    ]
    numbers = {name: value for name, value in run.result.items() if isinstance(value, int | float)}
    details = settings_of(run) | {name: f"{value:,}" for name, value in numbers.items() if name not in run.settings}
    lead = [f"The tables of a run of wheatstone {command}. Every row is in the files."]
    return page_of(command, clipped(run.title, 80), lead, parts, made_of(manifest, details), warnings_of(manifest))


VIEW = View(itself, _charts, _page)
