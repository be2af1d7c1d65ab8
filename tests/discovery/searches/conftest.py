"""Searches run thousands of circuits: here on two layers instead of three, which is half of the edges.

Both fixtures are made here: those of the whole session are kept by pytest, whatever they were made of.
"""

from __future__ import annotations

import pytest
import torch
from tiny import explainable_pairs, make_tiny

from wheatstone.circuits import Experiment
from wheatstone.models import ResidualModel


@pytest.fixture(scope="session", params=["llama", "llama-biased", "gpt2"])
def tiny64(request: pytest.FixtureRequest) -> ResidualModel:
    """A tiny model in float64."""
    return make_tiny(request.param, torch.float64, layers=2)


@pytest.fixture(scope="session")
def tiny_experiment(tiny64: ResidualModel) -> Experiment:
    """Three prompts of two lengths."""
    prompts = [("w1 w2 w3 w4", "w1 w9 w3 w4"), ("w5 w6 w7 w8 w9 w10", "w5 w6 w17 w8 w9 w10"), ("w11 w12", "w30 w12")]
    return Experiment(tiny64, explainable_pairs(tiny64, prompts))
