"""Choosing on some prompts and measuring on others.

A number of the strongest of many is too large on the prompts that chose it: it was chosen for what chance added there,
too. It is measured on others.
"""

from __future__ import annotations

LEAST_HALF = 4
"""Prompts that each half must have; with fewer, numbers are of the prompts that chose what they are about."""


def halves_of(n: int) -> tuple[range, range] | None:
    """Every other prompt to choose on, and the others to measure on; None where there are too few.

    Args:
        n: prompts.
    """
    return None if n < 2 * LEAST_HALF else (range(0, n, 2), range(1, n, 2))


def measured_on(n: int) -> str:
    """On which prompts numbers are measured that were chosen as `halves_of` says, in words."""
    halves = halves_of(n)
    if halves is None:
        same = "the same prompt" if n == 1 else f"the same {n} prompts"
        return f"chosen and measured on {same}, as there are fewer than {2 * LEAST_HALF}"
    return f"chosen on {len(halves[0])} prompts and measured on the other {len(halves[1])}"
