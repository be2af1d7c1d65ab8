"""`explain.html`: an explanation as one page. Words made of numbers, pictures, and under each picture its rows.

It carries everything with it and loads nothing. Every sentence is linked to the table that it comes from.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from wheatstone._path import StrPath
from wheatstone._progress import Reporter, silent
from wheatstone._side import attempt
from wheatstone.figures._explained import Claim, stored_sections
from wheatstone.figures._load import RunData
from wheatstone.figures._page import table_of
from wheatstone.figures._parts import PARTS
from wheatstone.figures._report import Drawing, page_scripts, script_hash, template, title_of
from wheatstone.figures._words import warnings_of
from wheatstone.runs import Row, sound, write_json

_MOST_ROWS = 40
"""Rows of a table that are on the page; the file has all."""


def render_explanation(run: StrPath, folder: StrPath | None = None, report: Reporter = silent) -> str:
    """Draws the pictures of an explanation and composes its page.

    Args:
        run: the run.
        folder: of the explanation, where `NAME.svg` and `NAME.png` of every picture are written; the run's
            `explain` by default.
        report: progress callback.

    Returns:
        The page, as HTML.

    Raises:
        RunError: the run or its explanation cannot be read.
    """
    folder = None if folder is None else Path(folder)
    run = Path(run)
    with sound(run):
        return _page(RunData.load(run), folder or run / "explain", report)


def claims_of(run: StrPath, folder: StrPath | None = None) -> Iterator[tuple[str, Claim]]:
    """Every sentence of an explanation with its section, in the order of the page: what the command prints."""
    folder = None if folder is None else Path(folder)
    run = Path(run)
    with sound(run):
        sections = stored_sections(RunData.load(run), folder or run / "explain")
        for name, part in PARTS.items():
            if name in sections and "summary" in sections[name].about:
                for claim in part.claims(sections[name]):
                    yield name, claim


def _page(data: RunData, folder: Path, report: Reporter) -> str:
    sections = stored_sections(data, folder)
    shown = [(name, sections[name]) for name in PARTS if name in sections and "summary" in sections[name].about]
    parts: list[dict[str, Any]] = []
    for done, (name, section) in enumerate(shown):
        report("drawing", done, len(shown))
        part = PARTS[name]
        figures: list[dict[str, Any]] = []
        drawing = Drawing(folder)
        for exhibit in attempt(drawing.missing, "figures", partial(part.exhibits, section), []):
            if picture := drawing.draw(exhibit.name, partial(getattr, exhibit, "chart")):
                alt = picture.spec["description"]
                figures.append(exhibit._asdict() | {"src": picture.data_uri, "alt": alt, "spec": picture.spec})
        if drawing.missing or "undrawn" in section.about:
            write_json(folder / f"{name}.json", {**section.about, "undrawn": drawing.missing})
        tables = [_table(name, rows) for name, rows in section.tables.items()]
        parts.append(
            {"name": name, "part": part, "section": section, "claims": part.claims(section)}
            | {"figures": figures, "undrawn": drawing.missing, "tables": tables}
        )
    report("drawing", len(shown), len(shown))
    scripts = page_scripts()
    return template("explain.html.jinja").render(
        run=data,
        manifest=data.manifest,
        title=title_of(data),
        warnings=warnings_of(data.manifest),
        parts=parts,
        leads=[claim for part in parts for claim in part["claims"] if claim.lead],
        missing={name: section.about for name, section in sections.items() if "missing" in section.about},
        unasked={name: section.about for name, section in sections.items() if "unasked" in section.about},
        titles={name: part.title for name, part in PARTS.items()},
        scripts=scripts,
        hashes=[script_hash(script) for script in scripts],
    )


def _table(name: str, rows: list[Row]) -> dict[str, Any]:
    """A table as the page shows it: its first rows, as text."""
    table = table_of(name, rows, _MOST_ROWS)
    return {"name": name, "rows": len(rows), "columns": table.columns, "cells": table.rows}
