"""A circuit in a notebook: the studio's map with its slider, and the same circuit as a still picture."""

from __future__ import annotations

from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from wheatstone._json import parse_json
from wheatstone._path import StrPath
from wheatstone.circuits import Circuit
from wheatstone.figures import RunData, figure_svg
from wheatstone.runs import Run
from wheatstone.studio import _schema as schema
from wheatstone.studio._app import BUILT
from wheatstone.studio._portable import portable_circuit, portable_run

WIDGET = BUILT / "widget.js"
"""The map as Vite builds it out of `web/src/widget.ts`."""


class CircuitView:
    """What a notebook shows of a circuit.

    Where anywidget is installed and the map is built, a map that answers to the pointer, with the size slider. A still
    picture goes with it, and is what a notebook on a page without a kernel shows; alone where either is missing.

    Args:
        circuit: all that is drawn of it.
        still: what the still picture is drawn from.
    """

    def __init__(self, circuit: schema.Portable, still: RunData) -> None:
        self.circuit, self._still = circuit, still

    @cached_property
    def svg(self) -> str:
        """The still picture."""
        return figure_svg(self._still, "circuit")

    @cached_property
    def widget(self) -> Any | None:
        """The map as an anywidget, or None where anywidget is not installed or the map is not built."""
        if find_spec("anywidget") is None or not WIDGET.is_file():
            return None
        from wheatstone.studio._widget import CircuitWidget

        return CircuitWidget(circuit=self.circuit.model_dump(mode="json"))

    def _repr_mimebundle_(
        self, include: object = None, exclude: object = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        bundle, about = (self.widget and self.widget._repr_mimebundle_()) or ({}, {})
        return {**bundle, "image/svg+xml": self.svg, "text/plain": repr(self)}, about

    def _repr_svg_(self) -> str:
        return self.svg

    def __repr__(self) -> str:
        kept, faithfulness = sum(self.circuit.circuit), self.circuit.faithfulness
        worth = "faithfulness not measured" if faithfulness is None else f"faithfulness {faithfulness:.3f}"
        return f"{self.circuit.title}: {kept:,} of {self.circuit.total:,} edges, {worth} (n = {self.circuit.n})"


def show(what: Circuit | StrPath) -> CircuitView:
    """Shows a circuit, or a run with its ranking and its curve, in a notebook.

    Args:
        what: a circuit, or the folder of a run.

    Returns:
        What a notebook draws when a cell ends with it.

    Raises:
        RunError: the folder is no run, or is damaged.

    When this misleads: of a circuit by itself, *Ranking* orders its own edges alone, and no size of it was measured; a
    run has the ranking of all edges and its curve.
    """
    if not isinstance(what, Circuit):
        run = Run.open(Path(what).absolute())
        return CircuitView(portable_run(run), RunData.of_run(run))
    document = parse_json(what.to_json())
    return CircuitView(portable_circuit(document, int(what.model.graph.valid.sum())), RunData.of(document))
