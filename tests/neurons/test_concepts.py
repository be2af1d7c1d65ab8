"""Concepts as labelled spans: files that are read, files that are refused, and the rules of the bundled ones."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from wheatstone import RequestError
from wheatstone.neurons import CONCEPTS, bundled_concepts, concepts_in, read_concepts
from wheatstone.texts import Skipped


def _file(folder: Path, *records: dict[str, Any]) -> Path:
    path = folder / "concept.jsonl"
    path.write_text("\n".join(map(json.dumps, records)))
    return path


def test_the_first_of_two_labels_is_the_concept(tmp_path: Path) -> None:
    path = _file(tmp_path, {"text": "le chat", "spans": [[0, 2, "fr"]]}, {"text": "the cat", "spans": [[4, 7, "en"]]})
    first, second = read_concepts(path)
    assert concepts_in([first, second]) == ("fr",)
    assert [(span.start, span.end, span.positive) for span in (*first.spans, *second.spans)] == [
        (0, 2, True),
        (4, 7, False),
    ]
    assert (first.document, second.document) == ("line 1", "line 2")


def test_of_three_labels_each_is_a_concept(tmp_path: Path) -> None:
    path = _file(tmp_path, {"text": "a b c", "spans": [[0, 1, "x"], [2, 3, "y"], [4, 5, "z"]], "document": "d"})
    (text,) = read_concepts(path)
    assert concepts_in([text]) == ("x", "y", "z")
    assert [span.positive for span in text.spans if span.concept == "y"] == [False, True, False]


def test_words_outside_spans_can_be_labelled(tmp_path: Path) -> None:
    path = _file(tmp_path, {"text": "one 22 three", "spans": [[4, 6, "number"]]})
    (text,) = read_concepts(path, outside="word")
    assert {(text.text[span.start : span.end], span.positive) for span in text.spans} == {
        ("one", False),
        ("22", True),
        ("three", False),
    }


def test_what_cannot_be_used_is_counted(tmp_path: Path) -> None:
    spans = [[0, 1, "x"], [2, 3, "y"], [2, 9, "x"], [1, 1, "y"], [-1, 1, "x"]]
    path = _file(tmp_path, {"text": "a b", "spans": spans}, {"text": "a b", "spans": []}, {"text": " ", "spans": []})
    skipped = Skipped()
    (text,) = read_concepts(path, skipped=skipped)
    assert len(text.spans) == 2
    assert skipped.counts == {"span past its text": 1, "span without a character": 2, "seen before": 1, "empty": 1}


def test_what_is_no_concept_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="two labels or more"):
        read_concepts(_file(tmp_path, {"text": "a b", "spans": [[0, 1, "x"]]}))
    with pytest.raises(RequestError, match="record 1"):
        read_concepts(_file(tmp_path, {"text": "a b", "spans": [[0, "x"]]}))
    with pytest.raises(RequestError, match="without a record"):
        read_concepts(_file(tmp_path))
    with pytest.raises(RequestError, match="No such file"):
        read_concepts(tmp_path / "none")
    with pytest.raises(RequestError, match="suffix-ing"):
        bundled_concepts(["suffix-ung"])


def test_bundled_rules_hold() -> None:
    texts = bundled_concepts(["suffix-ing", "comment", "next-an"], most=30)
    found = {name: [(text, span) for text in texts for span in text.spans if span.concept == name] for name in CONCEPTS}
    counts = {name: Counter(span.positive for _, span in spans) for name, spans in found.items() if spans}
    assert counts == {name: {True: 30, False: 60} for name in ("suffix-ing", "comment", "next-an")}
    for text, span in found["suffix-ing"]:
        assert text.text[span.start : span.end].endswith("ing") == span.positive
    for text, span in found["next-an"]:
        assert text.text[span.end :].startswith(" an " if span.positive else " a ")
    for text, span in found["comment"]:
        line = text.text[: span.start].rpartition("\n")[2] + text.text[span.start :]
        assert line.lstrip().startswith("#") == span.positive
    assert len({text.document for text, span in found["suffix-ing"] if span.positive}) > 20  # in turn
