"""From spans to tokens to activations, and documents kept apart."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tolerance import rounding

from wheatstone import RequestError
from wheatstone.models import ResidualModel
from wheatstone.neurons import LabelledSpan, LabelledText, recorded, rows_of, split_documents
from wheatstone.texts import Skipped

TEXTS = (
    LabelledText("a", "w1 w2 w3", (LabelledSpan(0, 5, "x", True), LabelledSpan(6, 8, "x", False))),
    LabelledText("b", "w4 w5", (LabelledSpan(1, 2, "x", False), LabelledSpan(2, 3, "x", True))),
    LabelledText("a", "w6 w7 w8 w9", (LabelledSpan(3, 5, "y", True),)),
)


@pytest.mark.parametrize(
    ("reading", "places"),
    [
        ("last", [(0, 1, 2), (0, 2, 3), (1, 0, 1), (2, 1, 2)]),
        ("mean", [(0, 0, 2), (0, 2, 3), (1, 0, 1), (2, 1, 2)]),
        ("tokens", [(0, 0, 1), (0, 1, 2), (0, 2, 3), (1, 0, 1), (2, 1, 2)]),
    ],
)
def test_rows_and_what_is_recorded_there(tiny: ResidualModel, reading: str, places: list[tuple[int, int, int]]) -> None:
    skipped = Skipped()
    rows = rows_of(tiny, TEXTS, reading=reading, skipped=skipped)
    assert list(map(tuple, rows.places.tolist())) == places
    assert skipped.counts == {"span without a token": 1}  # the blank
    assert rows.documents.tolist() == [0] * (len(places) - 2) + [1, 0]
    assert rows.concepts["y"][0].tolist() == [len(places) - 1]
    with recorded(tiny, rows, [2, 0]) as activations:
        folder = activations.folder
        for layer in (0, 2):
            found = activations.of(layer)
            for row, (text, first, stop) in enumerate(places):
                start = max(first, 1) if stop - first > 1 else first  # a text's first token only where it is alone
                one = tiny.neurons(tiny.tokens([TEXTS[text].text])).activations[layer][0, start:stop].mean(0)
                rounding(tiny).check(torch.from_numpy(found[row]), one)
    assert not folder.exists()


def test_no_such_reading(tiny: ResidualModel) -> None:
    with pytest.raises(RequestError, match="last or tokens or mean"):
        rows_of(tiny, TEXTS, reading="max")


@given(
    documents=st.lists(st.integers(0, 20), min_size=60, max_size=120),
    seed=st.integers(0, 99),
    whole=st.booleans(),
)
@settings(max_examples=30, deadline=None)
def test_documents_are_held_out_whole(documents: list[int], seed: int, whole: bool) -> None:
    where = np.array(documents)
    labels = where % 2 == 0 if whole else np.arange(len(where)) % 2 == 0
    try:
        found = split_documents("x", np.arange(len(where)), labels, where, seed=seed)
    except RequestError:
        return  # too few documents; the refusal has a test of its own
    for document in set(documents):
        assert len(set(found.parts[where == document].tolist())) == 1
    for part in ("train", "validation", "test"):
        chosen = found.of(part)
        assert min(labels[chosen].sum(), (~labels[chosen]).sum()) >= 5


def test_two_documents_cannot_be_split() -> None:
    labels = np.arange(100) % 2 == 0
    with pytest.raises(RequestError, match="2 documents"):
        split_documents("x", np.arange(100), labels, np.arange(100) % 2)
