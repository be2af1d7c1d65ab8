"""A Chromium for the tests of the web app: one that is installed, or else Playwright's, or else Debian's.

    python scripts/browser.py [--install]

Prints the path of the browser. With --install, one is installed where none is found: Playwright's where it can be
downloaded, otherwise Debian's package where this user may install packages. Set WHEATSTONE_TESTS_INSTALL=no to install
nothing. Ends with 1 where there is no browser.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome")
HOST = "cdn.playwright.dev"
APT = (
    "apt-get",
    "-y",
    "-o",
    "Acquire::Retries=0",
    "-o",
    "Acquire::http::Timeout=10",
    "-o",
    "Acquire::https::Timeout=10",
)
PACKAGES = ("chromium", "fonts-liberation")


def chromium() -> str | None:
    """The path of a Chromium that starts: from PATH, otherwise from Playwright's own folder."""
    in_path = filter(None, map(shutil.which, NAMES))
    return next((path for path in (*in_path, _playwrights()) if path and starts(path)), None)


def starts(path: str) -> bool:
    """Whether a browser runs; a package that only stands in for a snap, or one without its libraries, does not."""
    return run([path, "--version"], seconds=30)


def run(words: Sequence[str], *, seconds: float, environment: dict[str, str] | None = None) -> bool:
    """Whether a command ends well in time; what it prints is not shown."""
    try:
        done = subprocess.run(
            words, env=os.environ | (environment or {}), timeout=seconds, capture_output=True, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def install() -> str | None:
    """Installs a Chromium by the first way that works.

    Returns:
        Its path; None where there is no way.
    """
    for way in (_from_playwright, _from_debian):
        way()
        if path := chromium():
            return path
    return None


def _playwrights() -> str | None:
    """Where Playwright keeps its own, which need not be there."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return None
    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if Path(path).is_file() else None


def _from_playwright() -> None:
    proxied = {"PLAYWRIGHT_DOWNLOAD_HOST", "HTTPS_PROXY", "https_proxy"} & os.environ.keys()
    if not (proxied or _reachable(HOST)):
        return
    print(f"downloading Playwright's Chromium from {HOST}", flush=True)
    command = [sys.executable, "-m", "playwright", "install", "chromium"]
    run(command, seconds=300, environment={"PLAYWRIGHT_DOWNLOAD_CONNECTION_TIMEOUT": "10000"})


def _reachable(host: str) -> bool:
    try:
        socket.create_connection((host, 443), timeout=5).close()
    except OSError:
        return False
    return True


def _from_debian() -> None:
    if not shutil.which("apt-get"):
        return
    root: list[str] = [] if os.geteuid() == 0 else ["sudo", "-n"]
    if root and not run([*root, "true"], seconds=10):
        return
    print(f"installing Debian's packages {' and '.join(PACKAGES)}", flush=True)
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    words = [*root, *APT, "install", "--no-install-recommends", *PACKAGES]
    if not run(words, seconds=300, environment=quiet):
        run([*root, *APT, "update"], seconds=60, environment=quiet)
        run(words, seconds=300, environment=quiet)


def main() -> int:
    """Says which browser the tests will use."""
    wanted = "--install" in sys.argv[1:] and os.environ.get("WHEATSTONE_TESTS_INSTALL") != "no"
    path = chromium() or (install() if wanted else None)
    print(path or "no Chromium was found: the browser tests will not run")
    return 0 if path else 1


if __name__ == "__main__":
    raise SystemExit(main())
