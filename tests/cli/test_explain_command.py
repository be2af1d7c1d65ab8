"""`wheatstone explain`: one JSON document, a page that needs nothing else, one line where it cannot be done."""

from __future__ import annotations

import re
from pathlib import Path

import torch
from commands import Cli, Refused
from safetensors.torch import save_file

from wheatstone.runs import damaged_files


def test_explain(cli: Cli, refused: Refused, tiny_task: tuple[Path, Path], own_home: Path, tmp_path: Path) -> None:
    (model, file), run = tiny_task, tmp_path / "run"
    words = ("--model", model, "--task", file, "--known", 0, "--method", "eap", "--no-figures", "--out", run)
    assert cli("discover", *words).code == 0
    few = refused("explain", run, "--only", "roles", "--most", 3)
    assert "4 prompts, for intervals (n = 3: too few for an interval)" in few
    assert "a section out of lens" in refused("explain", run, "--only", "lense")
    assert "a run folder with a manifest.json" in refused("explain", run / "none")
    assert "a safetensors file of tuned-lens weights" in refused(
        "explain", run, "--only", "lens", "--tuned-lens", run / "none"
    )
    assert "a span 'IO' in every prompt (6 of 6 lack it)" in refused("explain", run, "--only", "ioi")
    assert "a run of a relation" in refused("explain", run, "--only", "wrong")
    assert "for --subject a run of a relation" in refused("explain", run, "--subject", "Malaysia")
    other = tmp_path / "other.safetensors"
    save_file({"0.weight": torch.zeros(1, 1)}, other, {"model": "another"})
    assert "names model another" in refused("explain", run, "--only", "lens", "--tuned-lens", other)
    assert not list(run.glob(".explain*"))
    assert not (run / "explain").exists()
    assert not (run / "explain.html").exists()

    shown = cli("explain", run, "--only", "lens", "--only", "attribution", "--json")
    assert shown.code == 0
    document = shown.document
    assert set(document["sections"]) == {"lens", "attribution"}
    assert document["missing"] == {}
    assert (run / "explain" / "attribution_nodes.parquet").is_file()
    assert damaged_files(run) == []
    page = re.sub(r"<script.*?</script>", "", Path(document["page"]).read_text(encoding="utf-8"), flags=re.DOTALL)
    for source in re.findall(r'(?:src|href)="([^"]*)"', page):
        assert source.startswith(("data:", "#")), source
    targets = set(re.findall(r'href="#([^"]*)"', page))
    assert (
        {"rows-lens_by_layer", "rows-attribution_nodes", "lens"} <= targets <= set(re.findall(r' id="([^"]*)"', page))
    )
    assert "the answer" in " ".join(shown.err.split())
