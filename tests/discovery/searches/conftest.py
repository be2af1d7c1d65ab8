"""Searches run thousands of circuits: here on two layers instead of three, which is half of the edges."""

from __future__ import annotations

import pytest
import torch
from tiny import make_tiny

from wheatstone.models import ResidualModel


@pytest.fixture(scope="session", params=["llama", "llama-biased", "gpt2"])
def tiny64(request: pytest.FixtureRequest) -> ResidualModel:
    """A tiny model in float64."""
    return make_tiny(request.param, torch.float64, layers=2)
