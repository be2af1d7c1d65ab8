"""`wheatstone neuron scan`, what a scan answers, and the page of a neuron made with one."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from commands import Cli, Refused
from tiny import make_tiny
from tolerance import rounding

from wheatstone._errors import ModelError, RequestError, RunError
from wheatstone.figures._neuron_corpus import corpus_calibration_chart, spread_chart
from wheatstone.models import Neuron, ResidualModel, Tokens, load_model
from wheatstone.neurons import Scan, ScanSettings, bin_edges, bins_of, run_scan
from wheatstone.runs import damaged_files


@pytest.fixture(scope="module")
def model(tiny_task: tuple[Path, Path]) -> ResidualModel:
    return load_model(tiny_task[0])


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("texts")
    for number in range(6):
        (folder / f"{number}.txt").write_text(" ".join(f"w{(number * 7 + at * at) % 40}" for at in range(30 + number)))
    (folder / "other.bin").write_bytes(b"\xff\xfe")
    return folder


@pytest.fixture(scope="module")
def scanned(model: ResidualModel, texts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("scanned") / "scan"
    run_scan(model, ScanSettings(texts=(str(texts),), window=8, top=4, batch=32), out)
    return out


def test_a_scan_is_told_and_listed(
    cli: Cli, tiny_task: tuple[Path, Path], texts: Path, own_home: Path, tmp_path: Path
) -> None:
    scanned = tmp_path / "scan"
    words = ("neuron", "scan", texts, "--model", tiny_task[0], "--window", 8, "--layers", "0-1", "--out", scanned)
    document = cli(*words, "--json").document
    assert document["neurons"] == {"0": 24, "1": 24}
    assert "Left out: 1 not UTF-8." in cli(*words).out  # finished: told again
    # 30 to 35 words each: of one document a single token is left at the end
    assert (document["tokens"], document["documents"], document["skipped"]) == (194, 6, {"not UTF-8": 1})
    assert damaged_files(scanned) == []
    (listed,) = cli("runs", "--json").document["runs"]
    assert (listed["verb"], listed["path"]) == ("scan", str(scanned))
    assert cli("runs", "show", scanned).code == 0


def test_what_a_scan_says_of_a_neuron(scanned: Path, model: ResidualModel) -> None:
    scan = Scan.load(scanned)
    scan.check(model)
    edges = bin_edges()
    for neuron in (Neuron(0, 0), Neuron(1, 23), Neuron(2, 7)):
        found = scan.neuron(neuron)
        assert sum(found.histogram) == found.counted == scan.manifest["counted"]
        assert found.positions_between(-math.inf, math.inf) == found.counted
        assert found.positions_between(0.5, 1.0) == sum(
            count for count, low in zip(found.histogram, edges, strict=False) if 0.5 <= low < 1.0
        )
        kinds = [example.kind for example in found.examples]
        assert (kinds.count("max"), kinds.count("min")) == (4, 4)
        assert kinds.count("bin") == sum(count > 0 for count in found.histogram)
        assert found.examples[0].activation == pytest.approx(found.max)
        tokens = Tokens.of([example.ids for example in found.examples])
        recorded = model.neurons(tokens, layers=[neuron.layer]).activations[neuron.layer][..., neuron.index]
        for row, example in enumerate(found.examples):
            assert float(recorded[row, example.position]) == rounding(model).near(example.activation)
            assert 0 <= example.quantile <= 1
            if example.kind == "bin":
                assert int(bins_of(torch.tensor([example.activation]))) == example.rank
        drawn = sorted((one.activation, one.quantile) for one in found.examples if one.kind == "bin")
        assert [quantile for _, quantile in drawn] == sorted(quantile for _, quantile in drawn)


def test_the_page_of_a_neuron_with_a_scan(
    cli: Cli, tiny_task: tuple[Path, Path], scanned: Path, tmp_path: Path
) -> None:
    page = tmp_path / "page.html"
    shown = cli("neuron", "show", "m2.n3", "--model", tiny_task[0], "--scan", scanned, "--out", page, "--json")
    assert shown.code == 0, shown.err
    facts, corpus = shown.document, shown.document["corpus"]
    assert corpus["counted"] == sum(corpus["histogram"]["counts"])
    for example in corpus["examples"]:
        assert example["activations"][example["position"]] == pytest.approx(example["activation"], rel=1e-4, abs=1e-5)
    bins = corpus["calibration"]["bins"]
    assert sum(row["corpus"] for row in bins) <= corpus["counted"]
    assert all(0 < row["places"] <= row["corpus"] for row in bins)
    for draw in (spread_chart, corpus_calibration_chart):
        assert draw(facts).to_dict(validate=True)["description"]
    text = page.read_text()
    assert "What does it respond to?" in text
    assert 'class="here"' in text or 'dark here"' in text


def test_a_plan_counts_what_the_scan_reads(cli: Cli, tiny_task: tuple[Path, Path], texts: Path, scanned: Path) -> None:
    manifest = Scan.load(scanned).manifest
    words = ("neuron", "scan", texts, "--model", tiny_task[0], "--window", 8, "--top", 4, "--dry-run")
    plan = cli(*words, "--json").document
    for name in ("documents", "windows", "tokens", "skipped"):
        assert plan[name] == manifest[name]
    assert plan["seconds"] > 0
    assert "windows; about" in " ".join(cli(*words).out.split())


def test_what_is_refused(
    refused: Refused, tiny_task: tuple[Path, Path], texts: Path, scanned: Path, tmp_path: Path
) -> None:
    scan = ("neuron", "scan", "--model", tiny_task[0], "--window", "8", "--out", tmp_path / "scan")
    assert "a file, a folder" in refused(*scan, tmp_path / "nowhere")
    assert "no --out" in refused(*scan[:4], texts)
    assert "layers such as 20-29" in refused(*scan, texts, "--layers", "a-b")
    assert "from 0 to 2" in refused(*scan, texts, "--layers", "2-3")
    (tmp_path / "empty.txt").touch()
    assert "left out: 1 empty" in refused(*scan, tmp_path / "empty.txt")
    assert not (tmp_path / "scan").exists()
    assert "top: 20, where it began with 4" in refused(
        *("neuron", "scan", "--model", tiny_task[0], texts, "--window", "8", "--batch", "32", "--out", scanned)
    )
    show = ("neuron", "show", "m0.n0", "--model", tiny_task[0], "--out", tmp_path / "page.html", "--scan")
    assert "manifest.json" in refused(*show, texts)
    assert not (tmp_path / "page.html").exists()


def test_another_model_s_scan_and_layers_that_were_not_scanned(scanned: Path, tmp_path: Path) -> None:
    scan = Scan.load(scanned)
    with pytest.raises(ModelError, match="the model of the scan"):
        scan.check(make_tiny("gpt2", torch.float32))
    with pytest.raises(RequestError, match="that was scanned: 0, 1, 2"):
        scan.neuron(Neuron(3, 0))
    with pytest.raises(RequestError, match="that was scanned"):
        scan.neuron(Neuron(0, 24))
    (tmp_path / "scan-settings.json").write_text("{}")
    with pytest.raises(RunError, match="a finished scan"):
        Scan.load(tmp_path)
