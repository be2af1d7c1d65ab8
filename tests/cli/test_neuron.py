"""`wheatstone neuron`: a screen as a run, one neuron's page, pairs; what is refused."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from commands import Cli, Refused
from tolerance import rounding

from wheatstone.figures import NEURON_FIGURES, ScreenData
from wheatstone.figures._neuron_one import calibration_chart, congruence_chart
from wheatstone.models import load_model
from wheatstone.runs import damaged_files
from wheatstone.runs._folder import read_manifest


@pytest.fixture(scope="module")
def screened(tiny_task: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a screen of the tiny task goes; made by the first test."""
    return tmp_path_factory.mktemp("screen") / "run"


def test_a_screen_is_a_run(cli: Cli, tiny_task: tuple[Path, Path], screened: Path, own_home: Path) -> None:
    model, task = tiny_task
    shown = cli(
        "neuron", "screen", "--model", model, "--task", task, "--known", 0, "--top", 5, "--out", screened, "--json"
    )
    assert shown.code == 0, shown.err
    document = shown.document
    assert (document["neurons"], document["n"], document["direction"]) == (72, 2, "denoising")
    assert len(document["confirmed"]) == 5
    assert {"neuron", "estimate", "exact", "low", "high", "share_of_mlp"} <= set(document["confirmed"][0])
    assert damaged_files(screened) == []
    manifest = read_manifest(screened)
    assert (manifest["verb"], manifest["settings"]["metric"], len(manifest["prompts"])) == ("neuron", "logit_diff", 2)
    assert pq.read_metadata(screened / "neurons.parquet").num_rows == 72
    every = pq.read_table(screened / "neurons.parquet").to_pylist()
    for row in document["confirmed"]:
        layer, index = row["neuron"][1:].split(".n")
        (one,) = [each for each in every if (each["layer"], each["index"]) == (int(layer), int(index))]
        assert one["estimate"] == pytest.approx(row["estimate"])
        assert sum(one["by_position"]) == rounding(load_model(str(model)), passes=3).near(row["estimate"])
    for name in ("recovery", "neurons", "doses"):
        assert (screened / "figures" / f"{name}.svg").stat().st_size > 1000
    data = ScreenData.load(screened)
    for draw in NEURON_FIGURES.values():
        assert draw(data).to_dict(validate=True)["description"]
    page = (screened / "report.html").read_text()
    assert document["confirmed"][0]["neuron"] in page
    listed = cli("runs", "--json").document["runs"]
    assert [(entry["verb"], entry["edges"]) for entry in listed] == [("neuron", None)]
    assert cli("runs", "show", screened, "--json").document["evaluation"] is None


def test_one_neuron_s_page(cli: Cli, tiny_task: tuple[Path, Path], screened: Path, tmp_path: Path) -> None:
    page = tmp_path / "neuron.html"
    words = ("neuron", "show", "m2.n3", "--model", tiny_task[0], "--run", screened, "--out", page)
    shown = cli(*words, "--json")
    assert shown.code == 0, shown.err
    facts = shown.document
    assert (facts["neuron"], facts["page"]) == ("m2.n3", str(page))
    effects = facts["prompts"]["effects"]
    assert set(effects) == {"denoising", "noising"}
    assert len(facts["congruence"]["readout"]["promoted"]) == 20
    assert sum(row["places"] for row in facts["prompts"]["calibration"]["bins"]) == 12
    for draw in (congruence_chart, calibration_chart):
        assert draw(facts).to_dict(validate=True)["description"]
    text = page.read_text()
    assert "http://" not in text.split("<script")[0].replace("http://www.w3.org", "")
    assert "Does it predict" in text
    assert cli(*words).code == 2  # the page is there
    shown = cli("neuron", "show", "m2.n3", "--model", tiny_task[0], "--token", "w7", "--out", tmp_path / "bare.html")
    assert shown.code == 0
    assert "promoted" in shown.out


def test_pairs(cli: Cli, tiny_task: tuple[Path, Path]) -> None:
    document = cli("neuron", "pairs", "--model", tiny_task[0], "--top", 3, "--null", "--json").document
    assert len(document["pairs"]) == 3
    assert document["entries"] == 40 * 72
    assert document["best_of_shuffled"] > 0
    assert "pairs in all" in cli("neuron", "pairs", "--model", tiny_task[0], "--reading", "embedding").out


def test_what_is_refused(refused: Refused, tiny_task: tuple[Path, Path], tmp_path: Path) -> None:
    show = ("neuron", "show", "--model", tiny_task[0], "--out", tmp_path / "page.html")
    assert "from n0 to n23" in refused(*show, "m0.n24")
    assert "from 0 to 2" in refused(*show, "m3.n0")
    assert "such as m0.n5" in refused(*show, "m0")
    assert "which is 2 tokens ('w1', 'w2')" in refused(*show, "m0.n0", "--token", "w1 w2")
    assert "no --prompt" in refused("neuron", "screen", "--model", tiny_task[0], "--out", tmp_path / "run")
    assert "readout or embedding" in refused("neuron", "pairs", "--model", tiny_task[0], "--reading", "both")
    assert not (tmp_path / "page.html").exists()
