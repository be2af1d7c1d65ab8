"""Scans as runs: what the folder holds, killed anywhere and gone on with, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from killed_scan import killed_scan
from safetensors.torch import load_file
from tiny import make_tiny
from tolerance import rounding

from wheatstone._errors import RequestError, RunError
from wheatstone.models import ResidualModel, Tokens
from wheatstone.neurons import Scan, ScannedNeuron, ScanSettings, bin_edges, run_scan, scan_evidence
from wheatstone.runs import damaged_files
from wheatstone.runs._folder import read_json


@pytest.fixture(scope="module")
def model() -> ResidualModel:
    return make_tiny("llama", torch.float32)


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    folder = tmp_path / "texts"
    folder.mkdir()
    draw = np.random.default_rng(0)
    for number, length in enumerate((30, 5, 21, 16, 1, 40, 3)):
        (folder / f"{number}.txt").write_text(" ".join(f"w{word}" for word in draw.integers(40, size=length)))
    (folder / "same.txt").write_bytes((folder / "0.txt").read_bytes())
    (folder / "empty.txt").write_text(" \n")
    (folder / "other.bin").write_bytes(b"\xff\xfe\xfa")
    return folder


def settings_for(folder: Path, **changed: Any) -> ScanSettings:
    usual: dict[str, Any] = {"texts": (str(folder),), "window": 8, "top": 3, "batch": 24, "shard": 2}
    return ScanSettings(**usual | changed)


def content(run: Path) -> dict[str, Any]:
    """Every file but those that say when."""
    files = {path.relative_to(run).as_posix(): path.read_bytes() for path in run.rglob("*") if path.is_file()}
    manifest = read_json(run, "manifest.json")
    for name in ("manifest.json", "files.json"):
        del files[name]
    return files | {"manifest": {name: manifest[name] for name in manifest if name not in ("created", "timings")}}


def test_a_scan_is_a_run(model: ResidualModel, texts: Path, tmp_path: Path) -> None:
    out = tmp_path / "scan"
    manifest = run_scan(model, settings_for(texts), out)
    assert damaged_files(out) == []
    # 7 documents; one of a single token gives no window
    assert manifest["documents"] == 7
    assert manifest["skipped"] == {"seen before": 1, "empty": 1, "not UTF-8": 1}
    assert manifest["tokens"] == 30 + 5 + 21 + 16 + 40 + 3
    windows = [row for number in range(len(manifest["shards"])) for row in _rows(out, "windows", number)]
    assert [row["window"] for row in windows] == list(range(manifest["windows"]))
    documents = [row for number in range(len(manifest["shards"])) for row in _rows(out, "documents", number)]
    assert [Path(row["name"]).name for row in documents] == [f"{number}.txt" for number in range(7)]
    assert manifest["counted"] == sum(len(row["ids"]) - 1 for row in windows)

    tokens = Tokens.of([row["ids"] for row in windows])
    inside = torch.arange(tokens.width) < tokens.lengths[:, None]
    inside[:, 0] = False
    recorded = model.neurons(tokens).activations
    arrays = load_file(out / "neurons.safetensors")
    for row in pq.read_table(out / "examples.parquet").to_pylist():
        there = recorded[row["layer"]][row["window"], row["position"], row["neuron"]]
        assert float(there) == rounding(model).near(row["activation"])
        assert windows[row["window"]]["document"] == row["document"]
        assert bool(inside[row["window"], row["position"]])
    for layer in range(3):
        values = recorded[layer][inside].double()
        rounding(model).check(arrays[f"m{layer}.variance"], values.var(0, correction=0))
        assert (arrays[f"m{layer}.histogram"].sum(1) == manifest["counted"]).all()
    assert run_scan(model, settings_for(texts), out) == manifest  # finished: nothing to do


def _rows(run: Path, table: str, number: int) -> list[dict[str, Any]]:
    return pq.read_table(run / table / f"{number:05}.parquet").to_pylist()


@pytest.mark.parametrize("name", ["counted", "documents", "tokens", "shards", "neurons", "texts"])
def test_a_manifest_without_what_a_scan_says_is_refused(
    model: ResidualModel, texts: Path, tmp_path: Path, name: str
) -> None:
    out = tmp_path / "scan"
    run_scan(model, settings_for(texts), out)
    manifest = json.loads((out / "manifest.json").read_text())
    (manifest["settings"] if name == "texts" else manifest).pop(name)
    (out / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(RunError, match=f"whose manifest lacks .*{name}"):
        Scan.load(out)


def test_a_damaged_scan_is_refused_as_evidence(model: ResidualModel, texts: Path, tmp_path: Path) -> None:
    out = tmp_path / "scan"
    run_scan(model, settings_for(texts), out)
    scan = Scan.load(out)
    (layer, _), *_ = scan.manifest["neurons"].items()
    (found,) = scan_evidence(model, scan, [(f"m{layer}.n0@2", 0.5)])
    assert 0 <= found.below <= 1
    with pytest.raises(RunError, match="a run as Wheatstone writes it"):
        scan_evidence(model, Scan(out, {**scan.manifest, "neurons": None}), [(f"m{layer}.n0@2", 0.5)])


def test_nothing_counted_has_no_quantile_above_0() -> None:
    none = ScannedNeuron(0, *[0.0] * 6, histogram=(0,) * (len(bin_edges()) - 1), examples=())
    assert none.quantile(1.0) == 0


def test_killed_at_every_write_it_goes_on_to_the_same_bytes(model: ResidualModel, texts: Path, tmp_path: Path) -> None:
    killed_scan("neurons", tmp_path / "killed", texts, after=True)
    run_scan(model, settings_for(texts), tmp_path / "plain")
    assert content(tmp_path / "killed") == content(tmp_path / "plain")


def test_interrupted_it_loses_at_most_a_batch(model: ResidualModel, texts: Path, tmp_path: Path) -> None:
    told: list[float] = []

    def stopping(stage: str, done: float, total: float | None) -> None:
        told.append(done)
        if len(told) == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_scan(model, settings_for(texts), tmp_path / "scan", report=stopping)
    again: list[float] = []
    run_scan(model, settings_for(texts), tmp_path / "scan", report=lambda _stage, done, _total: again.append(done))
    assert again[0] == told[-1] >= 3 * 24
    run_scan(model, settings_for(texts), tmp_path / "plain")
    assert content(tmp_path / "scan") == content(tmp_path / "plain")


def test_a_share_and_a_number_of_tokens(model: ResidualModel, texts: Path, tmp_path: Path) -> None:
    few = run_scan(model, settings_for(texts, tokens=40), tmp_path / "few")
    assert 40 <= few["tokens"] < 40 + 24 + 8
    # A batch that is larger than the limit does not read past it.
    settings = settings_for(texts, tokens=40, batch=8192)
    assert 40 <= run_scan(model, settings, tmp_path / "large batch")["tokens"] < 40 + 8
    every = run_scan(model, settings_for(texts, share=0.5, window=4), tmp_path / "half")
    assert 20 < every["tokens"] < 95
    one = run_scan(model, settings_for(texts, layers=(1,)), tmp_path / "one")
    assert one["neurons"] == {"1": 24}


def test_what_is_refused(model: ResidualModel, texts: Path, tmp_path: Path) -> None:
    out = tmp_path / "scan"

    def refusal(expected: str, **changed: Any) -> None:
        with pytest.raises(RequestError, match=expected):
            run_scan(model, settings_for(texts, **changed), out)
        assert not out.exists()

    refusal("window of at least 2 tokens", window=1)
    refusal("window of 2 to 32", window=64)
    refusal("layers of tiny-llama, from 0 to 2", layers=(3,))
    refusal("share above 0", share=0.0)
    refusal("at least 1 for tokens", tokens=0)
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "a").write_bytes(b"\xff")
    refusal(r"none in .*empty \(left out: 1 not UTF-8\)", texts=(str(empty),))
    with pytest.raises(RequestError, match="a file, a folder"):
        run_scan(model, settings_for(texts, texts=(str(texts), str(tmp_path / "nowhere.txt")), batch=10_000), out)
    assert not out.exists()


def test_only_what_began_the_same_way_goes_on(model: ResidualModel, texts: Path, tmp_path: Path) -> None:
    out = tmp_path / "scan"

    def stopping(_stage: str, done: float, _total: float | None) -> None:
        if done > 30:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_scan(model, settings_for(texts), out, report=stopping)
    with pytest.raises(RunError, match="top: 4, where it began with 3"):
        run_scan(model, settings_for(texts, top=4), out)
    with pytest.raises(RunError, match="family: 'gpt2'"):
        run_scan(make_tiny("gpt2", torch.float32), settings_for(texts), out)
    first = texts / "0.txt"
    before = first.read_text()
    first.write_text(before + " w1")
    with pytest.raises(RunError, match="the texts that the scan in"):
        run_scan(model, settings_for(texts), out)
    first.write_text(before)
    run_scan(model, settings_for(texts), out)
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "something").touch()
    with pytest.raises(RunError, match="not a run"):
        run_scan(model, settings_for(texts), tmp_path / "taken")
