"""MIB's measures of a ranking: areas under the faithfulness curve, and the ROC curve against known edges."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool

FRACTIONS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
"""Shares of all edges that circuits keep."""


@dataclass(frozen=True)
class Areas:
    """Areas over the share of edges, from 0.001 to 1, by the trapezoid rule.

    Args:
        cpr: under the faithfulness (circuit performance ratio); higher is better.
        cmd: between the faithfulness and 1 (circuit-model distance); lower is better.
    """

    cpr: float
    cmd: float


def areas(faithfulness: Sequence[float], *, log: bool = False) -> Areas:
    """CPR and CMD.

    Args:
        faithfulness: of the circuits with `FRACTIONS` of the edges.
        log: over the logarithm of the share: the whole model then gives a CPR of ln 1000 = 6.9 instead of 0.999.

    Source: MIB_circuit_track/evaluation.py of MIB, `evaluate_area_under_curve`. The leaderboard's CPR and CMD have
    `log_scale=False`; MIB's command `run_evaluation.py` has True.
    """
    shares = [math.log(share) for share in FRACTIONS] if log else list(FRACTIONS)
    values = np.asarray(faithfulness, dtype=np.float64)
    return Areas(float(np.trapezoid(values, shares)), float(np.trapezoid(np.abs(1 - values), shares)))


@dataclass(frozen=True)
class Rates:
    """How a circuit compares with the true one, over all edges.

    Args:
        true: share of the true edges that it keeps (recall).
        false: share of all other edges that it keeps.
        precision: share of its edges that are true; 0 of none.
    """

    true: float
    false: float
    precision: float


def rates(truth: Bool[np.ndarray, "*edges"], kept: Bool[np.ndarray, "*edges"]) -> Rates:
    """Compares edges. Source: `compare_graphs` of the same file."""
    hits = int((truth & kept).sum())
    return Rates(
        true=hits / int(truth.sum()),
        false=int((kept & ~truth).sum()) / int((~truth).sum()),
        precision=hits / max(1, int(kept.sum())),
    )


def auroc(curve: Sequence[Rates]) -> float:
    """Area under the ROC curve through (0, 0) and the given points, by the trapezoid rule."""
    false, true = ([0.0, *(getattr(point, side) for point in curve)] for side in ("false", "true"))
    return float(np.trapezoid(true, false))
