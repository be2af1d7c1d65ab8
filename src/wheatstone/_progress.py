"""How the library tells a caller how far it is."""

from __future__ import annotations

from typing import Protocol, runtime_checkable


@runtime_checkable
class Reporter(Protocol):
    """Called as work goes on.

    Args of the call:
        stage: what is being done, a few words.
        done: units finished.
        total: units in all, or None where it is not known.
    """

    def __call__(self, stage: str, done: float, total: float | None, /) -> None: ...


def silent(stage: str, done: float, total: float | None, /) -> None:
    """Reports nothing."""
