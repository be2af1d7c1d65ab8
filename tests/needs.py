"""What some tests need besides Python and its packages, and what happens where it is missing.

`@pytest.mark.needs("browser")` names one thing or several. Where one is missing the test is skipped, and the last lines
of the run say how many tests were not run, why, and what to do. With WHEATSTONE_TESTS_COMPLETE=1, which `.ci/run` sets,
the test fails instead, if `make test` could have installed what is missing. There is no other skip in the suite.
"""

from __future__ import annotations

import os
import re
import runpy
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest

from wheatstone.studio._app import BUILT
from wheatstone.studio._notebook import WIDGET

ROOT = Path(__file__).parents[1]
AXE = ROOT / "web/node_modules/axe-core/axe.min.js"


@cache
def chromium() -> str | None:
    """The browser that the tests drive."""
    return runpy.run_path(str(ROOT / "scripts/browser.py"))["chromium"]()


@cache
def mounts() -> bool:
    """Whether this user may mount a small disk."""
    with tempfile.TemporaryDirectory() as folder:
        words = ["mount", "-t", "tmpfs", "-o", "size=4k", "none", folder]
        if not shutil.which("mount") or subprocess.run(words, capture_output=True, check=False).returncode:
            return False
        subprocess.run(["umount", folder], check=True)
    return True


@dataclass(frozen=True)
class Need:
    """Something that tests need.

    Args:
        tests: what they are called in the last lines of a run.
        missing: what is not there.
        do: what to do about it.
        met: whether it is there; None where only a test itself finds out.
        installed: whether `make test` installs it.
    """

    tests: str
    missing: str
    do: str
    met: Callable[[], bool] | None = None
    installed: bool = False


_WEB = "install Node.js 20 or newer with npm, then run `make web`"
NEEDS = {
    "peak": Need(
        "peak-memory",
        "this system has no /proc/self/clear_refs",
        "run them on Linux",
        Path("/proc/self/clear_refs").exists,
    ),
    "C compiler": Need(
        "fault",
        "no C compiler on Linux is there",
        "install gcc or clang",
        lambda: sys.platform == "linux" and shutil.which("cc") is not None,
    ),
    "pipes": Need(
        "named-pipe", "this system has no named pipes", "run them on Linux or macOS", lambda: os.name == "posix"
    ),
    "small disk": Need("full-disk", "this user may not mount a small disk", "run them as root on Linux", mounts),
    "ray node": Need("Ray", "Ray started no node within its 30 seconds", "run them on a machine that is less busy"),
    "ray": Need("Ray", "Ray is not installed", "run `make test`", lambda: find_spec("ray") is not None, installed=True),
    "web app": Need(
        "web app", "the web app is not built", _WEB, lambda: (BUILT / "index.html").is_file() and WIDGET.is_file(), True
    ),
    "web tools": Need(
        "web tool",
        "the web app's tools are not installed",
        _WEB,
        lambda: AXE.is_file() and shutil.which("npm") is not None,
        installed=True,
    ),
    "browser": Need(
        "browser",
        "no Chromium was found, and none could be installed",
        "install the package chromium or run `.venv/bin/playwright install --with-deps chromium`, then `make test`",
        lambda: chromium() is not None,
        installed=True,
    ),
}
"""Every reason for which a test may be skipped. What is missing most often is last."""


def require(name: str) -> None:
    """Skips the test that runs, or fails it, where something is missing."""
    need = NEEDS[name]
    if need.met is None or not need.met():
        complete = os.environ.get("WHEATSTONE_TESTS_COMPLETE") == "1"
        reason = f"needs {name}: {need.missing}; {need.do}"
        if complete and need.installed:
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)


def not_run(reasons: Iterable[str]) -> list[str]:
    """The last lines of a run.

    Args:
        reasons: of each test that was skipped, as pytest reports them.
    """
    names = re.compile(r"needs ([^:]+): ")
    counts = Counter(match[1] for reason in reasons if (match := names.search(reason)))
    return [
        f"{counts[name]} {need.tests} test{'s' * (counts[name] > 1)} "
        f"{'were' if counts[name] > 1 else 'was'} not run: {need.missing}; {need.do}"
        for name, need in NEEDS.items()
        if counts[name]
    ]
