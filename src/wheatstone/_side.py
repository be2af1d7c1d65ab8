"""Side results: checks, curves and pictures that come with a result. One that fails must not cost the result."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from wheatstone._errors import WheatstoneError

CURVE, ANSWER, ATTENTION = "size curve", "answer by layer", "attention patterns"
SWAPPED, TEST = "prompt and counterfactual swapped", "test split"
CURVE_HELD_OUT = "gain kept by size"
RECOVERY, DOSES, HELD_OUT = "recovery by place", "doses", "strongest neuron on other prompts"
TRACE, COMPARISON = "causal trace", "comparison"
PICTURES, PAGE, EXPLANATION = "figures and report", "page", "explanation"
LISTING = "line in the list of runs"
"""Side results by name."""
NOT_YET = "the command had not made it yet, or was stopped before"
"""Why a side result is missing in a run that was saved before it was made."""

Made = TypeVar("Made")


def attempt(missing: dict[str, str], name: str, make: Callable[[], Made], otherwise: Made) -> Made:
    """Makes a side result; where that fails, notes why and goes on.

    Args:
        missing: by name, why a side result is missing; the reason is added here, in one line.
        name: what the side result is, in words.
        make: makes it.
        otherwise: what takes its place.

    When this misleads: a mistake in the code is noted like a wrong request. The name of the exception tells them apart.
    """
    try:
        return make()
    except Exception as error:  # any: what was found so far is worth more than knowing the kind
        missing[name] = why(error)
        return otherwise


def why(error: Exception) -> str:
    """An exception in one line: the message of an error raised on purpose, the type and the message of another."""
    if isinstance(error, WheatstoneError):
        text = str(error)
    elif isinstance(error, OSError) and error.strerror:
        text = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    else:
        text = f"{type(error).__name__}: {error}"
    return " ".join(text.split())[:500]
