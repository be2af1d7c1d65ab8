"""A test that is not run is counted at the end, or fails where the suite has to be complete."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from needs import NEEDS, not_run

TESTS = Path(__file__).parent


def run_without_a_browser(folder: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """The browser tests of the notebook's map, where no Chromium is in PATH or in Playwright's folder."""
    words = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        str(TESTS / "studio/test_browser_widget.py"),
    ]
    missing = {"PATH": str(folder), "PLAYWRIGHT_BROWSERS_PATH": str(folder)} | settings
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "WHEATSTONE_TESTS_"))}
    return subprocess.run(words, env=kept | missing, cwd=TESTS.parent, capture_output=True, text=True, check=False)


def test_the_last_line_says_how_many_browser_tests_were_not_run(tmp_path: Path) -> None:
    done = run_without_a_browser(tmp_path)
    assert done.returncode == 0, done.stdout
    assert re.fullmatch(
        r"\d+ browser tests were not run: no Chromium was found.*install the package chromium.*",
        done.stdout.strip().splitlines()[-1],
    )


def test_a_complete_run_fails_for_want_of_a_browser(tmp_path: Path) -> None:
    done = run_without_a_browser(tmp_path, WHEATSTONE_TESTS_COMPLETE="1")
    assert done.returncode == 1
    assert "needs browser: no Chromium was found" in done.stdout
    assert "skipped" not in done.stdout.splitlines()[-1]


def test_lines_are_counted_by_what_is_missing() -> None:
    reasons = [f"('a.py', 3, 'Skipped: needs {name}: …')" for name in ("browser", "small disk", "browser")]
    disk, browser = not_run([*reasons, "('b.py', 1, 'Skipped: another reason')"])
    assert disk.startswith("1 full-disk test was not run: this user may not mount a small disk; run them")
    assert browser.startswith("2 browser tests were not run: ")
    assert not_run([]) == []


def test_there_is_no_other_skip_in_the_suite() -> None:
    """Whoever needs something names it in `NEEDS`, with the reason."""
    skips = re.compile(r"pytest\.skip|mark\.skip|importorskip|xfail|unittest\.skip")
    found = {
        str(path.relative_to(TESTS)) for path in TESTS.rglob("*.py") if skips.search(path.read_text(encoding="utf-8"))
    }
    assert found == {"needs.py", "test_needs.py"}


def test_every_need_that_a_test_names_is_listed() -> None:
    uses = re.compile(r"(?:mark\.needs|require)\(([^)]*)\)")
    text = "\n".join(path.read_text(encoding="utf-8") for path in TESTS.rglob("test_*.py"))
    text += (TESTS / "studio/browser.py").read_text(encoding="utf-8")
    names = {name for use in uses.findall(text) for name in re.findall(r'"([^"]+)"', use)}
    assert names == set(NEEDS)
