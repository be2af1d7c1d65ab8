"""benchmarks/gpu.py runs where nobody looks on: its cases, what becomes of one that fails, its page."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import gpu
import pytest


def test_every_wheel_is_pinned() -> None:
    assert {line.partition("==")[0] for line in gpu.wheels()} == set(gpu.WHEELS)


def test_cases_have_time_and_names_of_their_own() -> None:
    names = [case.name for case in (*gpu.CASES, *gpu.SMALL)]
    assert len(set(names)) == len(names)
    assert {case.what for case in gpu.CASES} == {case.what for case in gpu.SMALL} == set(gpu.WORK)


def test_a_case_that_fails_or_finds_no_time_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "SMALL", (gpu.Case("parity", "no such model"), gpu.Case("scan", "tiny", most=0.1)))
    monkeypatch.setattr(gpu, "_START", 0.0)
    out = tmp_path / "out.json"
    options = argparse.Namespace(minutes=2.0, small=True, device="cpu", only=None, out=out)
    found = gpu.measure(options)
    assert json.loads(out.read_text(encoding="utf-8")) == found
    unknown, late = found["cases"].values()
    assert "ValueError" in unknown["missing"]
    assert "not done" in late["missing"]
    page = gpu.page(found)
    assert "No GPU has been measured" in page
    assert unknown["missing"] in page


def test_parity_of_a_tiny_model() -> None:
    measured = gpu.run(gpu.SMALL[0], "cpu")
    assert measured["gap float32"] == 0 < measured["gap bfloat16"] < 1
