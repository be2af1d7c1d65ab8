"""Loading a verb's model: the last step of its stage "starting"."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wheatstone._progress import Reporter

if TYPE_CHECKING:
    from wheatstone.models import ResidualModel


def load(name: str, device: str, dtype: str, report: Reporter, *, revision: str | None = None) -> ResidualModel:
    """Loads the model that a verb works with, and ends the stage that `Output.starting` began."""
    from wheatstone.models import load_model

    loaded = load_model(name, revision=revision, device=device, dtype=dtype, report=report)
    report("starting", 1, 1)
    return loaded
