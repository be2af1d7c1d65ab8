"""A card as an addition to a finished run: `card.json`, `card.html` and the tables in `card/`, all together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from wheatstone._disk import room_for
from wheatstone._errors import RunError
from wheatstone._path import StrPath
from wheatstone._progress import Reporter, silent
from wheatstone._side import PAGE, attempt
from wheatstone._version import __version__
from wheatstone.cards._card import make_card
from wheatstone.cards._settings import CardSettings
from wheatstone.models import ResidualModel
from wheatstone.runs import changed_run, part_reserved, read_json, sound, write_json
from wheatstone.verification import Card

FORMAT = "wheatstone.card/1"
FOLDER, DOCUMENT, CARD_PAGE = "card", "card.json", "card.html"


def add_card(
    run: StrPath,
    settings: CardSettings,
    page: Callable[[Path, Path, Card, dict[str, Any]], str],
    *,
    model: str | ResidualModel | None = None,
    device: str = "cpu",
    dtype: str = "float32",
    report: Reporter = silent,
) -> tuple[Card, dict[str, str]]:
    """Makes a run's card and adds it, in place of an earlier one.

    Args:
        run: folder of the run.
        settings: how it is made.
        page: makes `card.html` of the run, the folder of the card's tables, the card and its document.
        model: the run's model, or where it is now; by default where it was.
        device: where to run.
        dtype: precision.
        report: progress callback.

    Returns:
        The card, and by name why a side result is missing: the page.

    Raises:
        RunError: another command is adding a card to the run; or see `make_card`, whose other errors it has too.
        ComputationError: the card could not be written; the run is as it was.
    """
    run = Path(run)
    missing: dict[str, str] = {}
    again = "free some space and make the card again; the run is as it was"
    with (
        part_reserved(run, FOLDER),
        room_for("room and permission to add the card to the run", run, again),
        changed_run(run) as change,
    ):
        folder = change.folder(FOLDER)
        card = make_card(run, folder, settings, model=model, device=device, dtype=dtype, report=report)
        made = {
            "format": FORMAT,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "wheatstone": __version__,
            "settings": asdict(settings),
        }
        document = made | card.to_dict()
        write_json(change.file(DOCUMENT), document)
        html = attempt(missing, PAGE, lambda: page(run, folder, card, document), None)
        if html is not None:
            change.file(CARD_PAGE).write_text(html, encoding="utf-8")
    return card, missing


def read_card(run: StrPath) -> tuple[Card, dict[str, Any]]:
    """A run's card and its document.

    Raises:
        RunError: the run has none, or it is damaged or of another format version.
    """
    run = Path(run)
    document: Any = read_json(run, DOCUMENT)
    if document.get("format") != FORMAT:
        raise RunError(
            expected=f"a card of format {FORMAT}",
            got=f"{run}, whose card is of format {document.get('format')!r}",
            do=f"make it again with `wheatstone card {run}`",
        )
    with sound(run):
        return Card.from_dict(document), document
