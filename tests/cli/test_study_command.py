"""`wheatstone study`: what it refuses, and a study on real weights from the command to its pictures and page."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import Cli, Refused

from wheatstone.checkpoints._cache import ModelFiles
from wheatstone.runs import damaged_files

pytestmark = pytest.mark.usefixtures("own_home")


def test_what_is_refused_before_anything_is_loaded(refused: Refused, tmp_path: Path) -> None:
    out = tmp_path / "study"
    assert "'capitals'" in refused("study", "--relations", "antonym,capitals", "--out", out)
    assert "--train 2" in refused("study", "--relations", "antonym", "--train", "2", "--out", out)
    assert "acdc" in refused("study", "--relations", "antonym", "--method", "acdc", "--out", out)
    assert not out.exists()
    (tmp_path / "letter.txt").write_text("dear")
    assert "not a run" in refused("study", "--relations", "antonym", "--out", tmp_path)


@pytest.mark.real_weights
def test_a_study_from_the_command_to_its_pages(
    smollm2_files: ModelFiles, cli: Cli, refused: Refused, tmp_path: Path
) -> None:
    out = tmp_path / "study"
    few = ("--train", 4, "--validation", 4, "--test", 6, "--method", "eap-ig", "--draws", 1, "--counterfactuals", 1)
    words = ("study", "--relations", "us_state_capital", "--model", smollm2_files.folder, *few, "--out", out)
    document = cli(*words, "--json").document
    (row,) = document["relations"]
    hit = row["test"]["hit_at_10"]
    assert hit["model"] == 1
    assert hit["circuit"] > max(hit["empty"], hit["random"], hit["complement"])
    assert row["edges"] <= 706
    assert set(row["transfer"]) == {"template 1", "template 2", "reversed"}
    drawn = {f"{name}.{kind}" for name in ("curves", "hits", "overlap") for kind in ("png", "svg")}
    assert {path.name for path in (out / "figures").iterdir()} == drawn
    page = (out / "report.html").read_text()
    assert "us_state_capital" in page
    assert "http://" not in page
    assert "https://" not in page
    assert damaged_files(out) == []

    made = (out / "relations/us_state_capital/shard.json").read_bytes()
    shown = cli(*words)
    assert "us_state_capital (few)" in shown.out
    assert (out / "relations/us_state_capital/shard.json").read_bytes() == made
    assert "began with 0" in refused(*words, "--seed", "1")
    assert cli("runs", "show", out, "--json").document["manifest"]["verb"] == "study"
    assert cli("runs", "delete", out).code == 0
