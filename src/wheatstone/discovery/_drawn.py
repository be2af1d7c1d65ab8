"""Scores drawn at random: the ranking that every other ranking has to beat."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from wheatstone._progress import Reporter
from wheatstone.circuits import Experiment
from wheatstone.discovery._method import ScoreMethod


def _drawn(experiment: Experiment, *, steps: int, seed: int, report: Reporter) -> Float[Tensor, "channel node"]:
    return torch.rand(experiment.graph.valid.shape, generator=torch.Generator().manual_seed(seed))


RANDOM = ScoreMethod("random", "drawn evenly: an order that knows nothing", _drawn, seeded=True, by_position=True)
