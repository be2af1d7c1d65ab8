"""`wheatstone runs` over many runs: limits, checks of all, pruning, archives."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from commands import Cli, Refused

from wheatstone.runs import catalogue_add, new_run
from wheatstone.runs._folder import FORMAT, write_json

pytestmark = pytest.mark.usefixtures("own_home")
PRUNED = "wheatstone.runs-prune/1"


@pytest.fixture
def three(own_home: Path, tmp_path: Path) -> list[Path]:
    """Three listed runs, the oldest first."""
    runs = [tmp_path / f"run{number}" for number in range(3)]
    for number, run in enumerate(runs):
        with new_run(run) as work:
            write_json(
                work / "manifest.json",
                {
                    "format": FORMAT,
                    "verb": "study",
                    "model": {"id": "tiny"},
                    "settings": {"task": "[/b] \x1b[31m"},
                    "prompts": [],
                    "created": f"2026-01-0{number + 1}T00:00:00+00:00",
                },
            )
        catalogue_add(run)
    return runs


def test_the_newest_are_shown_and_the_rest_counted(three: list[Path], cli: Cli) -> None:
    assert [entry["path"] for entry in cli("runs", "--json").document["runs"]] == [str(run) for run in reversed(three)]
    assert [entry["path"] for entry in cli("runs", "--json", "--limit", 1).document["runs"]] == [str(three[2])]
    shown = cli("runs", "list", "--limit", 1)
    assert "and 2 older; --limit 0 shows all" in shown.out
    assert "--limit 0" not in cli("runs", "--limit", 0).out
    assert "[/b]" in shown.out  # a task's brackets are brackets


def test_all_are_checked(three: list[Path], cli: Cli, refused: Refused) -> None:
    assert cli("runs", "check", "--all").out == "3 runs checked, 0 damaged, 0 gone\n"
    three[0].rename(three[0].with_name("elsewhere"))
    (three[1] / "manifest.json").write_text("{")
    shown = cli("runs", "check", "--all", "--json")
    assert shown.code == 1
    assert {Path(line["run"]).name: (line["exists"], line["damaged"]) for line in shown.document["runs"]} == {
        "run0": (False, []),
        "run1": (True, ["manifest.json"]),
        "run2": (True, []),
    }
    out = cli("runs", "check", "--all").out.replace("\n", "")
    assert "run0: gone" in out
    assert "damaged or missing: manifest.json" in out
    assert "RUN or --all; got neither" in refused("runs", "check")
    assert "RUN or --all; got both" in refused("runs", "check", three[2], "--all")


def test_pruning_says_what_and_asks(
    three: list[Path], cli: Cli, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli("runs", "prune").out == "nothing to prune\n"
    three[0].rename(three[0].with_name("elsewhere"))
    dry = cli("runs", "prune", "--older-than", "1h", "--dry-run", "--json")
    gone, old = [str(three[0])], [str(three[2]), str(three[1])]
    assert dry.document == {"format": PRUNED, "unlisted": gone, "deleted": old, "done": False}
    assert str(three[2]) in dry.err.replace("\n", "")
    assert "an age such as 12h" in refused("runs", "prune", "--older-than", "soon")
    assert "--yes where there is no terminal to ask at" in cli("runs", "prune", "--json").err
    assert len(cli("runs", "--json").document["runs"]) == 3
    pruned = cli("runs", "prune", "--yes", "--json").document
    assert pruned == {"format": PRUNED, "unlisted": gone, "deleted": [], "done": True}
    assert three[1].is_dir()
    assert cli("runs", "prune", "--older-than", "1h", "--yes").code == 0
    assert cli("runs", "--json").document["runs"] == []
    assert not three[1].exists()


@pytest.mark.parametrize("ending", ["tar.zst", "zip"])
def test_out_and_back(three: list[Path], cli: Cli, refused: Refused, tmp_path: Path, ending: str) -> None:
    archive, back = tmp_path / f"run.{ending}", tmp_path / "back"
    document = cli("runs", "export", three[0], "--out", archive, "--json").document
    assert document == {
        "format": "wheatstone.runs-export/1",
        "run": str(three[0]),
        "file": str(archive),
        "bytes": archive.stat().st_size,
    }
    assert "which exists" in refused("runs", "export", three[0], "--out", archive)
    assert cli("runs", "import", archive, "--out", back, "--json").document["path"] == str(back)
    assert cli("runs", "check", back).code == 0
    assert "already holds a run" in refused("runs", "import", archive, "--out", back)
    assert "ending in .tar.zst or .zip" in refused("runs", "export", back, "--out", tmp_path / "run.rar")
    archive.write_bytes(archive.read_bytes()[:-20])
    assert "nothing was written" in refused("runs", "import", archive, "--out", tmp_path / "cut")
    assert not (tmp_path / "cut").exists()


def test_the_help_of_every_verb_names_its_options(cli: Cli) -> None:
    for verb, option in [("prune", "--older-than"), ("export", "--out"), ("import", "--out"), ("check", "--all")]:
        assert option in cli("runs", verb, "--help").out, sys.argv
