"""Intervals in words, the same in every table and on every page."""

from __future__ import annotations

from collections.abc import Sequence

MINIMUM = 4
"""Units below which no interval is given."""


def interval_text(ends: Sequence[float | None] | None, digits: int = 2) -> str:
    """`0.51 to 1.00`, or nothing where there is no interval."""
    if ends is None or len(ends) != 2:
        return ""
    low, high = ends
    if low is None or high is None:
        return ""
    # `+ 0.0` turns what rounds to −0 into 0.
    return " to ".join(f"{round(end, digits) + 0.0:.{digits}f}".replace("-", "−") for end in (low, high))


def interval_note(n: int, drawn: str = "") -> str:
    """What a table or picture says of its intervals: `95% intervals`, or why there are none.

    Args:
        n: independent units.
        drawn: what shows an interval, such as `lines`.
    """
    if n < MINIMUM:
        return f"n = {n}: too few for an interval"
    return f"{drawn}: 95% intervals" if drawn else "95% intervals"
