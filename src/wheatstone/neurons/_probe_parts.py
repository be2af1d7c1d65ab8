"""Whole documents to training, validation and test, so that no probe is judged on a document it has seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Int

from wheatstone._errors import RequestError
from wheatstone._view import Brief

PARTS = ("train", "validation", "test")
Part = Literal["train", "validation", "test"]
_SHARES = (0.6, 0.2, 0.2)
_LEAST = 5
"""Rows of each class that each part must have."""


@dataclass(frozen=True, eq=False)
class ConceptRows(Brief):
    """The rows of one concept.

    Args:
        concept: name.
        rows: their numbers among all rows.
        labels: whether the concept is there.
        documents: that they are in.
        parts: 0 for training, 1 for validation, 2 for test.
    """

    concept: str
    rows: Int[np.ndarray, " labelled"]
    labels: Bool[np.ndarray, " labelled"]
    documents: Int[np.ndarray, " labelled"]
    parts: Int[np.ndarray, " labelled"]

    def of(self, part: Part) -> Bool[np.ndarray, " labelled"]:
        """Which rows are in a part."""
        return self.parts == PARTS.index(part)


def split_documents(
    concept: str,
    rows: Int[np.ndarray, " labelled"],
    labels: Bool[np.ndarray, " labelled"],
    documents: Int[np.ndarray, " labelled"],
    *,
    seed: int = 0,
) -> ConceptRows:
    """Deals documents to training (60%), validation and test (20% each), by seed.

    Documents with both classes, with the concept alone and without it are dealt apart, so that each part has its share.

    Args:
        concept: name.
        rows: numbers among all rows.
        labels: whether the concept is there.
        documents: that they are in.
        seed: of the deal.

    Raises:
        RequestError: a part would have fewer than five rows of a class.
    """
    draw = np.random.default_rng(seed)
    numbers, at = np.unique(documents, return_inverse=True)
    kinds = np.stack([np.bincount(at, weights=labels == value, minlength=len(numbers)) > 0 for value in (True, False)])
    dealt = np.zeros(len(numbers), dtype=np.int64)
    for kind in ((True, True), (True, False), (False, True)):
        chosen = draw.permutation(np.flatnonzero((kinds[0] == kind[0]) & (kinds[1] == kind[1])))
        held = max(1, round(_SHARES[1] * len(chosen))) if len(chosen) >= len(PARTS) else 0
        dealt[chosen[:held]] = 1
        dealt[chosen[held : 2 * held]] = 2
    parts = dealt[at]
    counts = {
        part: tuple(int((labels[parts == number] == value).sum()) for value in (True, False))
        for number, part in enumerate(PARTS)
    }
    if min(map(min, counts.values())) < _LEAST:
        raise RequestError(
            expected=f"at least {_LEAST} spans with {concept!r} and {_LEAST} without in each of {', '.join(PARTS)}, "
            "which share no document",
            got=f"{len(numbers)} documents; with and without: "
            + ", ".join(f"{part} {with_} and {without}" for part, (with_, without) in counts.items()),
            do="label more spans, in more documents",
        )
    return ConceptRows(concept, rows, labels, documents, parts)
