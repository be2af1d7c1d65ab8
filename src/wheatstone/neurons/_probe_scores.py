"""How well a probe tells a concept on held-out rows, with intervals over documents.

    precision = TP / (TP + FP)    recall = TP / (TP + FN)    F1 = 2 TP / (2 TP + FP + FN)

AUROC is the chance that a row with the concept has the higher decision value than one without, ties half. Rows of one
document are alike, so the intervals are percentiles over resamples of documents. A probe that says yes to every row
has F1 = 2b / (1 + b), b the share of rows with the concept: that, not 0, is what an F1 must be read against.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

_RESAMPLES = 400


class ProbeScore(NamedTuple):
    """A probe on held-out rows.

    Args:
        f1: of the class that has the concept.
        f1_low: lower end of its 95% interval over documents; None for a single document.
        f1_high: upper end.
        precision: of its yes; 0 where it never says yes.
        recall: of what has the concept.
        auroc: of its decision values.
        auroc_low: lower end of the interval.
        auroc_high: upper end.
    """

    f1: float
    f1_low: float | None
    f1_high: float | None
    precision: float
    recall: float
    auroc: float
    auroc_low: float | None
    auroc_high: float | None


def score_decisions(
    decisions: Float[np.ndarray, " row"],
    labels: Bool[np.ndarray, " row"],
    documents: Int[np.ndarray, " row"],
    *,
    seed: int = 0,
) -> ProbeScore:
    """Scores decision values; above 0 is yes.

    Args:
        decisions: of the rows; both classes are there.
        labels: whether the concept is there.
        documents: that the rows are in.
        seed: of the resampling.
    """
    at = np.unique(documents, return_inverse=True)[1]
    n, yes = int(at.max()) + 1, decisions > 0
    counts = np.stack(
        [np.bincount(at, weights=kind, minlength=n) for kind in (yes & labels, yes & ~labels, ~yes & labels)]
    )
    tp, fp, fn = counts.sum(1)
    order = np.argsort(decisions, kind="stable")
    steps = np.r_[True, np.diff(decisions[order]) > 0]
    once = np.ones((1, n))
    auroc = float(_aurocs(once[:, at[order]], labels[order], steps)[0])
    ends: list[float | None] = [None] * 4
    if n > 1:
        draws = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), _RESAMPLES).astype(float)
        tps, fps, fns = (draws @ count for count in counts)
        f1s = 2 * tps / np.maximum(2 * tps + fps + fns, 1)
        aurocs = _aurocs(draws[:, at[order]], labels[order], steps)
        aurocs = aurocs[~np.isnan(aurocs)]  # a resample may lack a class
        for index, values in enumerate((f1s, aurocs)):
            if len(values):
                ends[2 * index : 2 * index + 2] = np.quantile(values, (0.025, 0.975)).tolist()
    return ProbeScore(
        f1=float(2 * tp / max(2 * tp + fp + fn, 1)),
        f1_low=ends[0],
        f1_high=ends[1],
        precision=float(tp / max(tp + fp, 1)),
        recall=float(tp / max(tp + fn, 1)),
        auroc=auroc,
        auroc_low=ends[2],
        auroc_high=ends[3],
    )


def always_yes(labels: Bool[np.ndarray, " row"]) -> float:
    """F1 of saying yes to every row."""
    base = float(labels.mean())
    return 2 * base / (1 + base)


def _aurocs(
    weights: Float[np.ndarray, "draw row"], labels: Bool[np.ndarray, " row"], steps: Bool[np.ndarray, " row"]
) -> Float[np.ndarray, " draw"]:
    """AUROC of rows in ascending order of their values, each counted so many times; `steps` where a value is new."""
    starts = np.flatnonzero(steps)
    positive = np.add.reduceat(weights * labels, starts, axis=1)
    negative = np.add.reduceat(weights * ~labels, starts, axis=1)
    below = negative.cumsum(1) - negative / 2
    pairs = positive.sum(1) * negative.sum(1)
    with np.errstate(invalid="ignore"):
        return np.where(pairs > 0, (positive * below).sum(1) / pairs, np.nan)
