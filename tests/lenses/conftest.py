"""What the sections' tests read."""

from __future__ import annotations

import pytest

from wheatstone import Circuit, Experiment
from wheatstone.circuits._circuit import ModelInfo
from wheatstone.discovery import attribute
from wheatstone.lenses import Material


def material_of(experiment: Experiment, **more: object) -> Material:
    """An experiment as sections read it, with the ten best-scored edges for a circuit."""
    keep = attribute(experiment).top([10])[0]
    return Material(experiment, Circuit.of_mask(ModelInfo.of(experiment.model), keep), **more)  # pyright: ignore[reportArgumentType]


@pytest.fixture(scope="session")
def material(tiny_experiment: Experiment) -> Material:
    """Three prompts of two lengths on a tiny model in float64."""
    return material_of(tiny_experiment)


@pytest.fixture(scope="session")
def france_material(france: Experiment) -> Material:
    """The official language of France, on real weights."""
    return material_of(france)
