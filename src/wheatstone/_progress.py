"""How the library tells a caller how far it is."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol, runtime_checkable

EVERY = 30.0
"""Seconds between two lines of progress, and before the first."""


@runtime_checkable
class Reporter(Protocol):
    """Called as work goes on.

    Args of the call:
        stage: what is being done, a few words.
        done: units finished.
        total: units in all, or None where it is not known.
    """

    def __call__(self, stage: str, done: float, total: float | None, /) -> None: ...


def in_lines(say: Callable[[str], object]) -> Reporter:
    """Progress as lines of text, for a log: one in `EVERY` seconds of work, none of work that is shorter.

    Args:
        say: takes a line.
    """
    began = last = time.monotonic()

    def report(stage: str, done: float, total: float | None, /) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= EVERY:
            last = now
            say(f"{stage}: {done:,.0f}{'' if total is None else f' of {total:,.0f}'} ({now - began:.0f} s)")

    return report


def silent(stage: str, done: float, total: float | None, /) -> None:
    """Reports nothing."""
