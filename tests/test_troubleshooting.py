"""The page of errors knows every kind, and quotes what the code says."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from test_errors import _tree

from wheatstone import WheatstoneError

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/troubleshooting.md").read_text(encoding="utf-8")


def _texts() -> str:
    """All constant texts of the package, those in f-strings too."""
    found: list[str] = []
    for path in (ROOT / "src/wheatstone").rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        found += [
            node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)
        ]
    return "\n".join(found)


@pytest.mark.parametrize("kind", sorted(_tree(WheatstoneError), key=str))
def test_every_kind_of_error_has_its_section(kind: type[WheatstoneError]) -> None:
    assert f"\n## {kind.__name__}\n\n" in PAGE


def test_what_is_quoted_stands_in_the_code() -> None:
    quoted = re.findall(r'^### "(.*)"$', PAGE, re.MULTILINE)
    assert len(quoted) > 20
    texts = _texts()
    assert [text for text in quoted if text not in texts] == []
