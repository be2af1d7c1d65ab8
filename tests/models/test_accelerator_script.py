"""benchmarks/gpu.py runs where nobody looks on: its cases, what becomes of one that fails, its page."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import gpu
import pytest


def test_every_wheel_is_pinned() -> None:
    assert {line.partition("==")[0] for line in gpu.wheels()} == set(gpu.WHEELS)


def test_cases_have_time_and_names_of_their_own() -> None:
    names = [case.name for case in (*gpu.CASES, *gpu.SMALL)]
    assert len(set(names)) == len(names)
    assert {case.what for case in gpu.CASES} == {case.what for case in gpu.SMALL} == set(gpu.WORK)


@pytest.mark.parametrize(
    ("child", "words"),
    [
        ("exit 3", "ended with 3"),
        ("echo loading; echo 'OutOfMemoryError: 12 GB' >&2; exit 1", "OutOfMemoryError: 12 GB"),
        ("kill -9 $$", "ended with -9"),
        ("sleep 60", "not done in 0 s"),
    ],
)
def test_a_case_that_fails_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, child: str, words: str) -> None:
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\n{child}\n", encoding="utf-8")
    python.chmod(0o755)
    most = 0.4 if "sleep" in child else 30.0
    monkeypatch.setattr(sys, "executable", str(python))
    monkeypatch.setattr(gpu, "SMALL", (gpu.Case("scan", "tiny", most=most), gpu.Case("graph", "tiny", most=most)))
    monkeypatch.setattr(gpu, "_START", 0.0)
    out = tmp_path / "out.json"
    found = gpu.measure(argparse.Namespace(minutes=2.0, small=True, device="cpu", only=None, out=out))
    assert json.loads(out.read_text(encoding="utf-8")) == found
    assert [line["missing"] for line in found["cases"].values()] == [words, words]
    page = gpu.page(found)
    assert "No GPU has been measured" in page
    assert words in page


def test_parity_of_a_tiny_model() -> None:
    measured = gpu.run(gpu.SMALL[0], "cpu")
    assert measured["gap float32"] == 0 < measured["gap bfloat16"] < 1
