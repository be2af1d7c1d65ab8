"""Words of this project's old dialect, which readers had to read twice, do not come back."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
KINDS = {".py", ".ts", ".tsx", ".jinja", ".md"}
WORDS = re.compile(
    r"\b([Tt]old|anew|[Ff]oretells?|[Ff]oretold|[Nn]obody|dearer|mends?|(stands?|stood) (for|in for|beside))\b"
)
PROMPTS = {"src/wheatstone/tasks/generators/_a_an.py", "src/wheatstone/neurons/_concepts_bundled.py"}
"""Texts for a model."""


def _files() -> Iterator[Path]:
    yield from ROOT.glob("*.md")
    for folder in ("src/wheatstone", "web/src", "docs"):
        yield from (path for path in (ROOT / folder).rglob("*") if path.suffix in KINDS)


def test_no_word_of_the_old_dialect_is_left() -> None:
    found = [
        f"{name}:{number}: {line.strip()[:80]}"
        for path in _files()
        if (name := path.relative_to(ROOT).as_posix()) not in PROMPTS
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if WORDS.search(line)
    ]
    assert not found, "\n".join(found)
