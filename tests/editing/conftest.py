"""What the tests of editing share."""

from __future__ import annotations

import pytest

from wheatstone.editing import _corpus


@pytest.fixture(autouse=True)
def few_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tiny model is asked for a few short texts."""
    monkeypatch.setattr(_corpus, "SAMPLES", 8)
    monkeypatch.setattr(_corpus, "SAMPLED", 8)
