"""Documents to read, and those in the package."""

from __future__ import annotations

import json
import lzma
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files

from wheatstone._text import lines_of
from wheatstone._view import Brief


@dataclass(frozen=True)
class Document:
    """One text, not to be joined with another.

    Args:
        name: what it is called in results.
        text: what it says.
        kind: such as `prose`, `docs` or `code`; empty where not known.
        language: such as `en`; empty where not known.
    """

    name: str
    text: str
    kind: str = ""
    language: str = ""


@dataclass
class Skipped(Brief):
    """What was left out while documents were read, by reason.

    Args:
        counts: reason -> how many.
    """

    counts: dict[str, int] = field(default_factory=dict)

    def add(self, reason: str) -> None:
        """Counts one."""
        self.counts[reason] = self.counts.get(reason, 0) + 1


@cache
def bundled_texts() -> tuple[Document, ...]:
    """The texts in the package, 3.4 MB of books, documentation, code and sentences in 36 languages.

    When this misleads: they are old and public. A model has probably seen them in training.
    """
    data = files("wheatstone.texts").joinpath("data/texts.jsonl.xz").read_bytes()
    rows = (json.loads(line) for line in lines_of(lzma.decompress(data).decode()) if line)
    return tuple(Document(row["name"], row["text"], row["kind"], row["language"]) for row in rows)
