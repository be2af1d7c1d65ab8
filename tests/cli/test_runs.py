"""`wheatstone runs`: list, show, add, check, delete."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from commands import FRANCE, JAPAN, Cli, Refused, pair_words

pytestmark = [pytest.mark.real_weights, pytest.mark.usefixtures("own_home")]


def test_an_empty_list(cli: Cli) -> None:
    assert cli("runs", "--json").document["runs"] == []
    assert cli("runs", "list").out == "no runs yet; make one with `wheatstone discover`\n"


def test_the_life_of_a_run(own_run: Path, cli: Cli, refused: Refused) -> None:
    entry = cli("runs", "add", own_run, "--json").document
    assert entry["path"] == str(own_run)
    (listed,) = cli("runs", "list", "--json").document["runs"]
    assert {"format": "wheatstone.runs-add/1", **listed} == entry | {"exists": True}
    assert (listed["model"], listed["task"]) == ("smollm2-135m", "The official language of France is")
    assert listed["edges"] <= 15
    assert cli("runs", "--json").document["runs"] == [listed]
    assert "smollm2-135m" in cli("runs", "list").out

    document = cli("runs", "show", own_run, "--json").document
    assert document["manifest"]["seed"] == 0
    assert document["evaluation"]["faithfulness"] == listed["faithfulness"]
    assert "0.9" in cli("runs", "show", own_run).out

    checked = {"format": "wheatstone.runs-check/1", "run": str(own_run), "damaged": []}
    assert cli("runs", "check", own_run, "--json").document == checked
    data = bytearray((own_run / "edges.parquet").read_bytes())
    data[len(data) // 2] ^= 1
    (own_run / "edges.parquet").write_bytes(data)
    shown = cli("runs", "check", own_run, "--json")
    assert (shown.code, shown.document["damaged"]) == (1, ["edges.parquet"])
    assert "damaged or missing: edges.parquet" in cli("runs", "check", own_run).out

    deleted = cli("runs", "delete", own_run, "--json").document
    assert deleted == {"format": "wheatstone.runs-delete/1", "deleted": str(own_run)}
    assert not own_run.exists()
    assert cli("runs", "list", "--json").document["runs"] == []
    assert "which is not there; list the runs" in refused("runs", "delete", own_run)


def test_a_folder_beneath_this_one_is_named_from_here(own_run: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    cli("runs", "add", own_run)
    monkeypatch.setenv("COLUMNS", "400")
    assert cli("runs", "list").out.split()[-1] == str(own_run)
    monkeypatch.chdir(own_run.parent)
    assert cli("runs", "list").out.split()[-1] == own_run.name


def test_runs_are_listed_from_a_folder_that_is_gone(
    own_run: Path, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli("runs", "add", own_run)
    monkeypatch.setenv("COLUMNS", "400")
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert cli("runs", "list").out.split()[-1] == str(own_run)


def test_a_run_that_is_gone_is_shown_so_and_can_be_unlisted(own_run: Path, cli: Cli) -> None:
    cli("runs", "add", own_run)
    own_run.rename(own_run.with_name("elsewhere"))
    (listed,) = cli("runs", "list", "--json").document["runs"]
    assert listed["exists"] is False
    assert "(gone)" in cli("runs", "list").out.replace("\n", "")
    assert cli("runs", "delete", own_run).code == 0
    assert cli("runs", "list", "--json").document["runs"] == []


@pytest.mark.parametrize("verb", ["show", "add", "check", "delete"])
def test_what_is_not_a_run_of_this_format_is_left_alone(verb: str, refused: Refused, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "chapter.tex").write_text("years of work")
    assert "a run folder with a manifest.json" in refused("runs", verb, folder, "--json")
    (folder / "manifest.json").write_text(json.dumps({"format": "wheatstone.run/9"}))
    assert "of format 'wheatstone.run/9'; make the run again" in refused("runs", verb, folder)
    assert (folder / "chapter.tex").exists()


@pytest.mark.parametrize("verb", ["show", "add"])
def test_a_cut_off_circuit_is_named(verb: str, own_run: Path, refused: Refused) -> None:
    text = (own_run / "circuit.json").read_text()
    (own_run / "circuit.json").write_text(text[: len(text) // 2])
    assert "a run folder with a circuit.json" in refused("runs", verb, own_run)


def test_a_folder_below_a_file_is_refused_before_any_work(refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    words = pair_words(FRANCE, JAPAN, " French", " Japanese")
    assert "a folder that can be written" in refused("discover", *words, "--out", tmp_path / "file" / "run")
