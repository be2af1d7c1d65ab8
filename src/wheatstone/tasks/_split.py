"""Train, validation and test by subject, so that nothing about a test subject is seen before the test."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from wheatstone.records import SPLITS

FRACTIONS = {"train": 0.4, "validation": 0.2, "test": 0.4}
"""Shares of the subjects."""


def split_subjects(subjects: Iterable[str], seed: int) -> dict[str, frozenset[str]]:
    """Divides subjects among the splits, each subject to one.

    Subjects are put in the order of SHA-256(seed, subject) and cut at `FRACTIONS`: the order of the records, the
    template and the model play no part, and two relations over the same subjects are split alike. With three
    subjects or more every split has one. Upper and lower case and surrounding space make no other subject.

    Args:
        subjects: in any order, repeats allowed.
        seed: another seed is another division.

    Returns:
        Subjects as given, by split.

    When this misleads: subjects are disjoint, answers are not. A country of the test split may speak a language
    that the training split has too.
    """
    spellings: dict[str, set[str]] = {}
    for subject in subjects:
        spellings.setdefault(plain(subject), set()).add(subject)
    ordered = sorted(spellings, key=lambda name: hashlib.sha256(f"{seed}/{name}".encode()).digest())
    train = max(round(FRACTIONS["train"] * len(ordered)), 1)
    validation = max(round(FRACTIONS["validation"] * len(ordered)), min(len(ordered) - 2, 1), 0)
    cuts = (ordered[:train], ordered[train : train + validation], ordered[train + validation :])
    return {
        split: frozenset(spelling for name in part for spelling in spellings[name])
        for split, part in zip(SPLITS, cuts, strict=True)
    }


def plain(subject: str) -> str:
    """A subject as it is compared."""
    return subject.strip().casefold()
