"""Pictures and report of a run of a circuit."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from wheatstone._side import ANSWER, ATTENTION, CURVE
from wheatstone.figures import _answer, _attention, _circuit, _curve
from wheatstone.figures._load import RunData
from wheatstone.figures._report import compose
from wheatstone.figures._view import Charts, View

FIGURES: dict[str, Callable[[RunData], Any]] = {
    "circuit": _circuit.chart,
    "curve": _curve.chart,
    "answer": _answer.chart,
    "attention": _attention.chart,
}
"""Name -> what draws it, in the order of the report."""
_NEEDS = {"curve": CURVE, "answer": ANSWER, "attention": ATTENTION}
"""Side results that a picture is made of."""


def _charts(run: RunData) -> Charts:
    """The pictures whose data the run has; all but the circuit's own show prompts."""
    names = FIGURES if run.manifest["prompts"] else ["circuit"]
    return {name: partial(FIGURES[name], run) for name in names if _NEEDS.get(name) not in run.run.missing}


VIEW = View(RunData.of_run, _charts, compose, _NEEDS)
