"""What the sections' tests read."""

from __future__ import annotations

import pytest
from materials import material_of

from wheatstone import Experiment
from wheatstone.lenses import Material


@pytest.fixture(scope="session")
def material(tiny_experiment: Experiment) -> Material:
    """Three prompts of two lengths on a tiny model in float64."""
    return material_of(tiny_experiment)


@pytest.fixture(scope="session")
def several(tiny_several: Experiment) -> Material:
    """Six prompts on a tiny model in float64: enough for intervals."""
    return material_of(tiny_several)


@pytest.fixture(scope="session")
def france_material(france: Experiment) -> Material:
    """The official language of France, on real weights."""
    return material_of(france)
