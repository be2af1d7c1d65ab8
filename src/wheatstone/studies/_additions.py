"""What is added to a finished run later, with the page that shows it: a verification, an explanation.

How a page is made is handed in, for pages are made of run folders, a room above.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from wheatstone._disk import claimed, copied, room_for
from wheatstone._errors import ComputationError
from wheatstone._path import StrPath
from wheatstone._progress import Reporter, silent
from wheatstone._side import PAGE, attempt
from wheatstone.models import ResidualModel
from wheatstone.runs import Run, add_file, add_text, changed_run, new_part, part_reserved
from wheatstone.studies._explain import ExplainSettings, explain_run, sections_in
from wheatstone.verification import Verification

_WAIT = 30.0
"""Seconds to wait for another command that adds a verification, which only writes files."""


def add_verification(run: StrPath, found: Verification, page: Callable[[Path], str], *, own: bool) -> dict[str, str]:
    """Adds a verification to a run, and makes its report again where it has one.

    Args:
        run: folder of the run.
        found: how its circuit holds.
        page: makes `report.html` of the run.
        own: whether that is on the run's own prompts, which replaces what it says of them. On others it joins them;
            one that is there already is not added twice.

    Returns:
        Why the report could not be made again, by name; empty where it was, or where the run has none.

    Raises:
        RunError: the run, or what it has of other prompts, is damaged.
        ComputationError: the verification could not be written; the run is as it was.
    """
    run = Path(run)
    again = "free some space and verify it again; the run is as it was"
    with (
        room_for("room and permission to add the verification to the run", run, again),
        claimed(run / "held_out.json", wait=_WAIT),  # one after the other, so that none is lost
    ):
        if own:
            add_file(run, "verification.json", found.to_dict())
        else:
            new = json.loads(json.dumps(found.to_dict()))
            others = Run.open(run).document("held_out")
            add_file(run, "held_out.json", [*(old for old in others if old != new), new])
    missing: dict[str, str] = {}
    if (run / "report.html").exists():
        attempt(missing, PAGE, lambda: add_text(run, "report.html", page(run)), None)
    return missing


def add_explanation(
    run: StrPath,
    settings: ExplainSettings,
    page: Callable[[Path, Path, Reporter], str],
    *,
    model: str | ResidualModel | None = None,
    device: str = "cpu",
    dtype: str = "float32",
    report: Reporter = silent,
) -> dict[str, dict[str, Any]]:
    """Explains a run and adds what is found, as the folder `explain` and the page `explain.html`.

    Args:
        run: folder of the run.
        settings: what to explain.
        page: makes `explain.html` of the run and of the folder that will be its `explain`.
        model: the run's model, or where it is now; by default where it was.
        device: where to run.
        dtype: precision.
        report: progress callback.

    Returns:
        See `explain_run`, whose errors it has too.
    """
    run = Path(run)
    failed: dict[str, str] = {}
    with part_reserved(run, "explain"):
        with new_part(run, "explain") as folder:
            explain_run(run, folder, settings, model=model, device=device, dtype=dtype, report=report)
        attempt(failed, PAGE, lambda: _add_page(run, page, report), None)
    if failed:
        raise ComputationError(
            expected="a page of the explanation",
            got=failed[PAGE],
            do=f"read the sections, which are kept in {run / 'explain'}",
        )
    return sections_in(run / "explain")


def _add_page(run: Path, page: Callable[[Path, Path, Reporter], str], report: Reporter) -> None:
    """Draws the pictures of a saved explanation and adds them and its page, all together."""
    with changed_run(run) as change:
        folder = change.folder("explain")
        copied(run / "explain", folder)
        change.file("explain.html").write_text(page(run, folder, report), encoding="utf-8")
