"""How well a probe tells a concept on held-out rows, with intervals over documents.

    precision = TP / (TP + FP)    recall = TP / (TP + FN)    F1 = 2 TP / (2 TP + FP + FN)

AUROC is the chance that a row with the concept has the higher decision value than one without, ties half. Rows of one
document are alike, so the intervals are over documents, by leaving out one at a time. A probe that says yes to every
row has F1 = 2b / (1 + b), b the share of rows with the concept: that, not 0, is what an F1 must be read against.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from wheatstone._intervals import jackknife_interval

_TOGETHER = 64
"""Documents left out, one at a time, in one pass over the rows."""


class ProbeScore(NamedTuple):
    """A probe on held-out rows.

    Args:
        f1: of the class that has the concept.
        f1_low: lower end of its 95% interval over documents; None for fewer than four, or an F1 of exactly 0 or 1.
        f1_high: upper end.
        precision: of its yes; 0 where it never says yes.
        recall: of what has the concept.
        auroc: of its decision values.
        auroc_low: lower end of the interval; None also where one document has all rows of a class.
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
) -> ProbeScore:
    """Scores decision values; above 0 is yes.

    Args:
        decisions: of the rows; both classes are there.
        labels: whether the concept is there.
        documents: that the rows are in.
    """
    at = np.unique(documents, return_inverse=True)[1]
    n, yes = int(at.max()) + 1, decisions > 0
    counts = np.stack(
        [np.bincount(at, weights=kind, minlength=n) for kind in (yes & labels, yes & ~labels, ~yes & labels)]
    )
    tp, fp, fn = counts.sum(1)
    order = np.argsort(decisions, kind="stable")
    steps = np.r_[True, np.diff(decisions[order]) > 0]
    # The first row of weights has all documents, each further one leaves one out.
    weights = np.concatenate([np.ones((1, n)), 1 - np.eye(n)])
    parts = np.array_split(weights, -(-len(weights) // _TOGETHER))
    aurocs = np.concatenate([_aurocs(part[:, at[order]], labels[order], steps) for part in parts])
    f1s = _f1(*(weights @ kind for kind in counts))
    f1_ends, auroc_ends = (jackknife_interval(float(values[0]), values[1:]) or (None, None) for values in (f1s, aurocs))
    return ProbeScore(
        f1=float(f1s[0]),
        f1_low=f1_ends[0],
        f1_high=f1_ends[1],
        precision=float(tp / max(tp + fp, 1)),
        recall=float(tp / max(tp + fn, 1)),
        auroc=float(aurocs[0]),
        auroc_low=auroc_ends[0],
        auroc_high=auroc_ends[1],
    )


def always_yes(labels: Bool[np.ndarray, " row"]) -> float:
    """F1 of saying yes to every row."""
    base = float(labels.mean())
    return 2 * base / (1 + base)


def _f1(
    tp: Float[np.ndarray, " draw"], fp: Float[np.ndarray, " draw"], fn: Float[np.ndarray, " draw"]
) -> Float[np.ndarray, " draw"]:
    return 2 * tp / np.maximum(2 * tp + fp + fn, 1)


def _aurocs(
    weights: Float[np.ndarray, "draw row"], labels: Bool[np.ndarray, " row"], steps: Bool[np.ndarray, " row"]
) -> Float[np.ndarray, " draw"]:
    """AUROC of rows in ascending order of their values, each with a weight; `steps` where a value is new."""
    starts = np.flatnonzero(steps)
    positive = np.add.reduceat(weights * labels, starts, axis=1)
    negative = np.add.reduceat(weights * ~labels, starts, axis=1)
    below = negative.cumsum(1) - negative / 2
    pairs = positive.sum(1) * negative.sum(1)
    with np.errstate(invalid="ignore"):
        return np.where(pairs > 0, (positive * below).sum(1) / pairs, np.nan)
