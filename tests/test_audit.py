"""An audit that asked nothing is no good news."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

JUDGED = runpy.run_path(str(Path(__file__).parents[1] / "scripts/audit.py"))["judged"]
SKIPPED = {"name": "torch", "skip_reason": "not found"}
SOUND = {"name": "rich", "version": "15.0.0", "vulns": []}
KNOWN = {"name": "jinja2", "version": "2.0", "vulns": [{"id": "PYSEC-1", "fix_versions": ["3.0"]}]}


def judged(*packages: dict[str, Any]) -> tuple[bool, list[str]]:
    return JUDGED({"dependencies": list(packages)})


def test_what_is_looked_up_and_sound_passes() -> None:
    good, lines = judged(SOUND, SKIPPED)
    assert good
    assert lines == ["1 of 2 packages looked up, 0 known vulnerabilities", "not looked up: torch"]


def test_what_is_known_or_not_looked_up_fails() -> None:
    good, lines = judged(SOUND, KNOWN)
    assert not good
    assert lines[0] == "jinja2 2.0: PYSEC-1, mended in 3.0"
    good, lines = judged(SKIPPED)
    assert not good
    assert lines[0].startswith("0 of 1 packages looked up")
