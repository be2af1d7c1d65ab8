"""A page made of parts: each a question with sentences, pictures and tables. It carries everything with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wheatstone.checkpoints import shown_name
from wheatstone.figures._report import Picture, page_scripts, script_hash, template
from wheatstone.figures._words import decimal, probability
from wheatstone.runs import Row, Run


@dataclass(frozen=True, eq=False)
class PagePicture:
    """A picture on a page.

    Args:
        name: of its files, without ending.
        drawn: the picture.
        caption: how to read it.
    """

    name: str
    drawn: Picture
    caption: str


def captioned(drawn: Mapping[str, Picture], captions: Mapping[str, str]) -> dict[str, PagePicture]:
    """Pictures with their captions, by name."""
    return {name: PagePicture(name, picture, captions[name]) for name, picture in drawn.items()}


def drawn_of(pictures: Mapping[str, PagePicture], name: str) -> tuple[PagePicture, ...]:
    """A picture by name, where it could be drawn."""
    return (pictures[name],) if name in pictures else ()


@dataclass(frozen=True, eq=False)
class PageTable:
    """A table on a page, its cells as text.

    Args:
        caption: what it shows.
        columns: their names, and whether they hold numbers.
        rows: of cells.
        linked: whether the first cell of each row links to the page of that name next to this one.
    """

    caption: str
    columns: tuple[tuple[str, bool], ...]
    rows: tuple[tuple[str, ...], ...]
    linked: bool = False


def settings_of(run: Run) -> dict[str, str]:
    """The settings that a run records, in words; those that are not set are left out."""
    return {name: _setting(value) for name, value in run.settings.items() if value not in (None, "", [])}


def _setting(value: Any) -> str:
    if isinstance(value, Mapping):
        given = {name: each for name, each in value.items() if each is not None and each is not False and each != ""}
        return ", ".join(f"{name} {_setting(each)}" for name, each in given.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def table_of(caption: str, rows: Sequence[Row], most: int) -> PageTable:
    """The first rows of a table of a run, every column as text.

    Args:
        caption: what it shows.
        rows: of the table.
        most: rows that are shown.
    """
    first = rows[:most]
    columns = tuple((name, not isinstance(value, str | list)) for name, value in (first[0] if first else {}).items())
    return PageTable(caption, columns, tuple(tuple(map(_cell, row.values())) for row in first))


def _cell(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return probability(value) if 0 < value < 0.01 else decimal(value, 3)
    if isinstance(value, list):
        return " ".join(map(str, value))
    return f"{value:,}" if isinstance(value, int) else str(value)


@dataclass(frozen=True, eq=False)
class PageText:
    """Tokens on a page, each coloured by a number.

    Args:
        caption: where they are from.
        tokens: each token, and from −1 (orange) to 1 (blue) how strongly it is coloured.
        marked: which one is framed.
    """

    caption: str
    tokens: tuple[tuple[str, float], ...]
    marked: int


@dataclass(frozen=True, eq=False)
class PagePart:
    """One question of a page.

    Args:
        title: the question.
        text: paragraphs.
        pictures: below them.
        tables: below those.
        texts: below those, in groups with a title each.
    """

    title: str
    text: tuple[str, ...] = ()
    pictures: tuple[PagePicture, ...] = ()
    tables: tuple[PageTable, ...] = ()
    texts: tuple[tuple[str, tuple[PageText, ...]], ...] = ()


def made_of(manifest: Mapping[str, Any], details: Mapping[str, str]) -> dict[str, str]:
    """How a run was made, as its page says it.

    Args:
        manifest: of the run.
        details: what runs of its verb say besides; shown after the model.
    """
    model = manifest["model"]
    return {
        "made": manifest["created"],
        "model": f"{shown_name(model)}, family {model['family']}",
        "weights (SHA-256)": model["sha256"] or "unknown",
        **details,
        "time": ", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in manifest["timings"].items() if seconds),
        "version": manifest["versions"]["wheatstone"],
    }


def page_of(
    kind: str,
    title: str,
    lead: Sequence[str],
    parts: Sequence[PagePart],
    facts: Mapping[str, str],
    warnings: Sequence[str] = (),
    *,
    still: bool = False,
) -> str:
    """A page as HTML that needs no other file and makes no request.

    Args:
        kind: what the page is, above its title.
        title: of the page.
        lead: the answer in a few sentences.
        parts: in order.
        facts: how it was made, by name.
        warnings: what must be read before the answer.
        still: leaves out the scripts that show numbers on pointing at a picture: 0.9 MB.
    """
    scripts = () if still else page_scripts()
    return template("page.html.jinja").render(
        kind=kind,
        title=title,
        lead=lead,
        parts=parts,
        facts=facts.items(),
        warnings=warnings,
        scripts=scripts,
        hashes=[script_hash(script) for script in scripts],
    )
