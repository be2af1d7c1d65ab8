"""An experiment as sections read it: a module of its own, for `conftest` is the name of several files."""

from __future__ import annotations

from typing import Any

from wheatstone import Circuit, Experiment
from wheatstone.circuits._circuit import ModelInfo
from wheatstone.discovery import attribute
from wheatstone.lenses import Material


def material_of(experiment: Experiment, **more: Any) -> Material:
    """An experiment as sections read it, with the ten best-scored edges for a circuit."""
    keep = attribute(experiment).top([10])[0]
    return Material(experiment, Circuit.of_mask(ModelInfo.of(experiment.model), keep), **more)
