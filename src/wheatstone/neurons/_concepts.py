"""A concept as labelled spans of text: which places have it, which do not, and which document each is in."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from wheatstone._errors import RequestError
from wheatstone._path import StrPath
from wheatstone._view import Brief
from wheatstone.records import Problem, columns_in_words, content_of, list_in, problems_in_words, rows_of
from wheatstone.texts import Skipped


@dataclass(frozen=True, order=True)
class LabelledSpan:
    """Characters of a text that have a concept, or that do not.

    Args:
        start: first character.
        end: one past the last.
        concept: name.
        positive: whether it is there.
    """

    start: int
    end: int
    concept: str
    positive: bool


@dataclass(frozen=True)
class LabelledText(Brief):
    """A text and the spans labelled in it.

    Args:
        document: that it is a piece of; pieces of one document are held out together.
        text: what the model reads.
        spans: of any concepts.
    """

    document: str
    text: str
    spans: tuple[LabelledSpan, ...]


class _Record(BaseModel):
    """One line of a file of labelled texts."""

    model_config = ConfigDict(strict=True)
    text: str
    spans: list[tuple[int, int, str]] = Field(strict=False)
    document: str = ""


def read_concepts(
    path: StrPath, *, outside: str | None = None, skipped: Skipped | None = None
) -> tuple[LabelledText, ...]:
    """Concepts from a file of records `{"text": …, "spans": [[start, end, label], …], "document": …}`.

    Of two labels the first in the file is the concept and the other is what does not have it. Of more, each is a
    concept of its own against all others. What no span names is not looked at. A line without `document` is one.

    Args:
        path: of the file.
        outside: a label for every word (characters between blanks) that no span touches; it is no concept itself.
        skipped: counts what is left out: empty texts, texts seen before, spans without a character or past their text.

    Raises:
        RequestError: no such file, a line of another form, no span, or spans of a single label.
    """
    path = Path(path)
    skipped = skipped if skipped is not None else Skipped()
    texts: dict[str, tuple[str, list[tuple[int, int, str]]]] = {}
    for number, record in enumerate(_records(path), start=1):
        if not record.text.strip() or record.text in texts:
            skipped.add("seen before" if record.text in texts else "empty")
            continue
        inside: list[tuple[int, int, str]] = []
        for start, end, label in record.spans:
            if 0 <= start < end <= len(record.text):
                inside.append((start, end, label))
            else:
                skipped.add("span past its text" if end > len(record.text) else "span without a character")
        if outside is not None:
            words = [word.span() for word in re.finditer(r"\S+", record.text)]
            free = [(a, b) for a, b in words if all(b <= start or end <= a for start, end, _ in inside)]
            inside += [(start, end, outside) for start, end in free]
        texts[record.text] = (record.document or f"line {number}", inside)
    labels = list(dict.fromkeys(label for _, spans in texts.values() for *_, label in spans))
    if len(labels) < 2:
        raise RequestError(
            expected=f"spans of two labels or more in {path}: what has the concept and what has not",
            got=f"{sum(len(spans) for _, spans in texts.values())} spans, labels {labels}; skipped {skipped.counts}",
            do="label the others too; in a command, --outside LABEL labels every word that no span touches",
        )
    concepts = [label for label in labels if label != outside]
    if len(labels) == 2:
        concepts = concepts[:1]
    return tuple(
        LabelledText(
            document,
            text,
            tuple(
                LabelledSpan(start, end, concept, label == concept)
                for concept in concepts
                for start, end, label in sorted(spans)
            ),
        )
        for text, (document, spans) in texts.items()
        if spans
    )


def concepts_in(texts: Sequence[LabelledText]) -> tuple[str, ...]:
    """Names of the concepts that spans are labelled with, in order of appearance."""
    return tuple(dict.fromkeys(span.concept for text in texts for span in text.spans))


def _records(path: Path) -> list[_Record]:
    """The records of a file in any format that tasks are read from."""
    problems: list[Problem] = []
    records: list[_Record] = []
    for row in rows_of(content_of(path), problems):
        spans = row.fields.get("spans")
        try:
            fields = {**row.fields, "spans": list_in(spans)} if isinstance(spans, str) else row.fields
            records.append(_Record.model_validate_json(json.dumps(fields)))  # a span is a list there
        except (ValueError, TypeError) as error:
            said = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
            problems.append(Problem(row.where, f"{said}, among {columns_in_words(row.fields)}"))
    if problems:
        raise RequestError(
            expected='records such as {"text": "…", "spans": [[0, 4, "label"]], "document": "…"}',
            got=problems_in_words(problems),
            do="correct them",
        )
    if not records:
        raise RequestError(expected="a file with labelled texts", got=f"{path} without a record", do="name another")
    return records
