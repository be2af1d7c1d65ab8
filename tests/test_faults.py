"""Every command that writes, killed before its file operations and on a disk that gets full; a fixed sample of each.

All of it: `fuzz/faults.py`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from faulty_cases import CASES, READERS

from wheatstone.cli._app import app_of

TESTS = Path(__file__).parent
SAMPLE = {"discover --force": 2, "verify": 1, "explain": 1, "neuron scan": 2, "compress": 1, "pull --force": 1}
"""Cases of the suite, one of each way to write, and how many states and points of each."""


def names(of: Any, before: str = "") -> Iterator[str]:
    """Every command below a group."""
    for name, command in of.commands.items():
        yield f"{before}{name}"
        if hasattr(command, "commands"):
            yield from names(command, f"{before}{name} ")


def test_every_command_writes_in_a_case_or_only_reads() -> None:
    """A new command fails here until it has a case, or a reason why it needs none."""
    written = {case.command for case in CASES}
    assert sorted(written | READERS.keys()) == sorted(names(typer.main.get_command(app_of())))
    assert not written & READERS.keys()


@pytest.fixture(scope="session")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`faults.c`, compiled."""
    made = tmp_path_factory.mktemp("shim") / "faults.so"
    words = ["cc", "-shared", "-fPIC", "-O1", "-w", "-o", str(made), str(TESTS / "faults.c"), "-ldl", "-lpthread"]
    subprocess.run(words, check=True)
    return made


@pytest.mark.needs("C compiler")
@pytest.mark.parametrize("case", SAMPLE)
def test_nothing_is_lost(shim: Path, tmp_path: Path, case: str) -> None:
    most = str(SAMPLE[case])
    done = subprocess.run(
        [sys.executable, str(TESTS / "faults.py"), str(tmp_path), "--only", case, "--kills", most, "--full", most],
        env={**os.environ, "LD_PRELOAD": str(shim), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["lost"] == []
    assert found["kills"] == min(SAMPLE[case], found["states"])
    assert found["full"] == SAMPLE[case]
    assert found["operations"] > found["points"] > 5
