"""The Chinese README has the same commands as the English one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ENGLISH, CHINESE = ((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "README.zh.md"))


def test_the_blocks_of_code_are_the_same() -> None:
    blocks = [re.findall(r"^```.*?^```$", page, re.DOTALL | re.MULTILINE) for page in (ENGLISH, CHINESE)]
    assert len(blocks[0]) > 3
    assert blocks[0] == blocks[1]


@pytest.mark.parametrize("what", [r"`[^`\n]+`", r"\]\((docs/[^)]+)\)"])
def test_the_code_and_the_links_in_the_text_are_the_same(what: str) -> None:
    code = [re.sub(r"^```.*?^```$", "", page, flags=re.DOTALL | re.MULTILINE) for page in (ENGLISH, CHINESE)]
    english, chinese = (set(re.findall(what, page)) for page in code)
    assert len(english) > 10
    assert english == chinese


def test_each_leads_to_the_other() -> None:
    assert "](README.zh.md)" in ENGLISH.split("##")[0]
    assert "](README.md)" in CHINESE.split("##")[0]
