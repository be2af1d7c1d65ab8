"""The page of licences is what the installed packages say, and nobody is missing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_page_is_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "scripts/licences.py", "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_licence_is_said() -> None:
    page = (ROOT / "docs/licences.md").read_text(encoding="utf-8")
    assert page.count("\n| `") > 30
    assert "not said" not in page
    assert "not looked up" not in page
