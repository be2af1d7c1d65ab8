"""What a scan would take, before it is begun."""

from __future__ import annotations

import time
from collections.abc import Generator
from typing import Any

from wheatstone._errors import RequestError
from wheatstone._progress import Reporter, silent
from wheatstone.models import ResidualModel
from wheatstone.neurons._scan_run import NEURONS, Subject
from wheatstone.neurons._scan_settings import ScanSettings
from wheatstone.neurons._scan_windows import Window, windows_of
from wheatstone.texts import Skipped, read_documents

_TIMED = 4
"""Windows that are run for an estimate."""


def plan_scan(
    model: ResidualModel, settings: ScanSettings, *, of: Subject = NEURONS, report: Reporter = silent
) -> dict[str, Any]:
    """Counts what would be read, and times a few windows of it.

    Args:
        model: the model.
        settings: the scan's.
        of: what would be scanned.
        report: progress callback, in tokens counted.

    Raises:
        ModelError: an MLP has no neurons.
        RequestError: a wrong setting, a source that is not there, or nothing to read in it.

    When this misleads: the first windows of a process are slower than later ones, and short ones slower than long.
    """
    settings.check(model)
    scan = of.begin(model, settings)
    skipped, first = Skipped(), list[Window]()
    documents, windows, tokens = 0, 0, 0
    for window in _windows(model, settings, skipped):
        documents, windows, tokens = window.document + 1, windows + 1, tokens + len(window.ids)
        if len(first) < 2 * _TIMED:
            first.append(window)
        if windows % 100 == 0:
            report("counting", tokens, settings.tokens)
        if settings.tokens is not None and tokens >= settings.tokens:
            break
    if not first:
        raise RequestError(
            expected="texts to read", got=f"none in {', '.join(map(str, settings.texts))}", do="name others"
        )
    scan.see(first[:_TIMED])
    timed = first[_TIMED:] or first
    started = time.perf_counter()
    scan.see(timed)
    each = (time.perf_counter() - started) / sum(len(window.ids) for window in timed)
    return {
        "documents": documents,
        "windows": windows,
        "tokens": tokens,
        "skipped": skipped.counts,
        "state_bytes": sum(array.nbytes for array in scan.state().values()),
        "seconds": each * tokens,
    }


def _windows(model: ResidualModel, settings: ScanSettings, skipped: Skipped) -> Generator[Window]:
    for number, document in enumerate(read_documents(settings.texts, skipped)):
        yield from filter(settings.draws, windows_of(model, document.text, number, settings.window))
