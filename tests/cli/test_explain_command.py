"""`wheatstone explain`: one JSON document, a page that needs nothing else, one line where it cannot be done."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from commands import Cli, Refused

from wheatstone.runs import damaged_files


@pytest.fixture
def run(cli: Cli, tiny_task: tuple[Path, Path], own_home: Path, tmp_path: Path) -> Path:
    """A run of a task on a tiny model."""
    model, file = tiny_task
    words = (
        "--model",
        model,
        "--task",
        file,
        "--known",
        0,
        "--method",
        "eap",
        "--no-figures",
        "--out",
        tmp_path / "run",
    )
    shown = cli("discover", *words)
    assert shown.code == 0, shown
    return tmp_path / "run"


def test_a_page_rows_and_one_document(run: Path, cli: Cli) -> None:
    shown = cli("explain", run, "--only", "lens", "--only", "attribution", "--json")
    assert shown.code == 0
    document = shown.document
    assert set(document["sections"]) == {"lens", "attribution"}
    assert document["missing"] == {}
    assert (run / "explain" / "attribution_nodes.parquet").is_file()
    assert damaged_files(run) == []
    page = Path(document["page"]).read_text(encoding="utf-8")
    for source in re.findall(r'(?:src|href)="([^"]*)"', page):
        assert source.startswith(("data:", "#")), source
    targets = set(re.findall(r'href="#([^"]*)"', page))
    assert (
        {"rows-lens_by_layer", "rows-attribution_nodes", "lens"} <= targets <= set(re.findall(r' id="([^"]*)"', page))
    )
    assert "the answer" in shown.err


def test_what_is_missing_is_said(run: Path, cli: Cli, refused: Refused) -> None:
    assert "a second prompt" in refused("explain", run, "--only", "roles", "--most", 1)
    assert "a section out of lens" in refused("explain", run, "--only", "lense")
    assert "a run folder with a manifest.json" in refused("explain", run / "none")
    assert "a safetensors file of tuned-lens weights" in refused(
        "explain", run, "--only", "lens", "--tuned-lens", run / "none"
    )
    assert not list(run.glob(".explain*"))
    assert not (run / "explain").exists()
    circuit = (run / "circuit.json").read_text()
    (run / "circuit.json").write_text(re.sub(r'("sha256": ")\w{8}', r"\g<1>00000000", circuit))
    assert "the weights the circuit was found in" in refused("explain", run, "--only", "lens")
    shutil.rmtree(run)
