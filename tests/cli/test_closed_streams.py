"""Standard output or error that is closed, full or read by nobody: no traceback, and an exit code that says it."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from commands import MAIN

from wheatstone.studio._library import EXAMPLES

RUN = str(EXAMPLES / "a-or-an")
VERBS = [
    ("models",),
    ("runs", "--json"),
    ("tasks",),
    ("tasks", "--json"),
    ("models", "list", "--json"),
    ("completion", "bash"),
    ("runs", "show", RUN),
    ("runs", "check", RUN, "--json"),
    ("--version",),
    ("discover", "--help"),
]


def outcome(words: tuple[str, ...], streams: str, home: Path) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a command in a shell that redirects its streams."""
    environment = {**os.environ, "WHEATSTONE_HOME": str(home)}
    shell = ["bash", "-c", f'set -o pipefail; "$@" {streams}', "bash", *MAIN, *words]
    done = subprocess.run(shell, env=environment, capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("streams", ["| true", ">&-", ">/dev/full", ">&- 2>&-"])
@pytest.mark.parametrize("words", VERBS, ids=" ".join)
def test_nobody_reads_what_is_printed(words: tuple[str, ...], streams: str, tmp_path: Path) -> None:
    code, out, err = outcome(words, streams, tmp_path)
    assert code == (0 if "&-" in streams else 1), err
    assert out == ""
    assert "Traceback" not in err
    assert "Exception ignored" not in err
    assert len(err.splitlines()) == (streams == ">/dev/full") or "&-" in streams, err


@pytest.mark.parametrize("streams", ["2>&-", "2>/dev/full", "2> >(true)", ">&- 2>&-"])
@pytest.mark.parametrize("more", [(), ("--json",)])
def test_nobody_reads_what_is_wrong(more: tuple[str, ...], streams: str, tmp_path: Path) -> None:
    assert outcome(("runs", "show", "nowhere", *more), streams, tmp_path) == (2, "", "")


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
@pytest.mark.parametrize("words", [("runs", "show", RUN), ("discover", "--help"), ("bits", "→", "--no→")])
def test_an_encoding_that_lacks_letters(words: tuple[str, ...], encoding: str, tmp_path: Path) -> None:
    """Each is a question mark; JSON is escaped, and says the same."""
    environment = {**os.environ, "WHEATSTONE_HOME": str(tmp_path), "COLUMNS": "80"}

    def run(encoding: str, *more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*MAIN, *words, *more],
            env=environment | {"PYTHONIOENCODING": encoding},
            capture_output=True,
            encoding=encoding,
            check=False,
            timeout=120,
        )

    plain, narrow = run("utf-8"), run(encoding)
    assert narrow.returncode == plain.returncode
    assert "Traceback" not in narrow.stderr
    if words[-1] != "--help":  # whose boxes are drawn otherwise
        assert narrow.stdout == plain.stdout.encode(encoding, "replace").decode(encoding)
        assert narrow.stderr == plain.stderr.encode(encoding, "replace").decode(encoding)
        lines = [(done.stdout or done.stderr) for done in (run("utf-8", "--json"), run(encoding, "--json"))]
        assert json.loads(lines[0]) == json.loads(lines[1])
