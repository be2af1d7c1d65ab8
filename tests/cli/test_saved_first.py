"""Results are on disk and listed before the first picture is drawn; what fails after that costs itself and a line."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from commands import Cli
from faulty_cases import make_inputs, words

from wheatstone.figures import _report
from wheatstone.figures._render import svg_of
from wheatstone.runs import damaged_files
from wheatstone.runs._folder import read_json

VERBS = {
    "discover": ("discover --model IN/model --prompts IN/prompts.jsonl --method eap --allow-weak", 4),
    "neuron screen": ("neuron screen --model IN/model --task IN/pairs.jsonl --known 0 --top 2", 3),
    "neuron probe": ("neuron probe --model IN/model --concept IN/words.jsonl --layers 0", 3),
    "trace": ("trace --model IN/model --task IN/facts.jsonl --known 0 --draws 1", 2),
    "edit": ("edit --model IN/model --prompt 'w1 w2 w3' --subject w2 --target w30 --layer 1 --trace", 1),
    "study": (
        "study --relations IN/known.json --model IN/model --train 4 --validation 4 --test 6 --share 0.5 --draws 1 "
        "--method eap --allow-weak",
        3,
    ),
}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inputs")
    make_inputs(folder)
    return folder


@pytest.mark.parametrize("verb", VERBS)
def test_a_picture_that_fails_costs_that_picture_and_a_line(
    cli: Cli, own_home: Path, inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    text, pictures = VERBS[verb]
    draw, drawn = svg_of, list[Any]()

    def fails_first(spec: dict[str, Any]) -> str:
        drawn.append(spec)
        if len(drawn) == 1:
            raise ValueError("the renderer gave up")
        return draw(spec)

    monkeypatch.setattr(_report, "svg_of", fails_first)
    shown = cli(*words(text)(inputs), "--out", tmp_path / "run")
    assert shown.code == 0, shown.err
    (line,) = [line for line in shown.out.splitlines() if line.startswith("not made: ")]
    assert line.startswith("not made: figure ")
    assert "the renderer gave up" in shown.out.replace("\n", " ")
    run = tmp_path / "run"
    assert damaged_files(run) == []
    (name,) = read_json(run, "manifest.json")["missing"]
    assert name.startswith("figure ")
    made = {path.stem for path in (run / "figures").glob("*.svg")} if pictures > 1 else set()
    assert len(made) == pictures - 1
    assert name.removeprefix("figure ") not in made
    assert (run / "report.html").stat().st_size > 1000


@pytest.mark.needs("pipes")
def test_a_renderer_that_ends_the_process_loses_no_result(
    cli: Cli, own_home: Path, inputs: Path, tmp_path: Path
) -> None:
    code = (
        "import os; from wheatstone.figures import _report; _report.svg_of = lambda spec: os.abort(); "
        "from wheatstone.cli import main; main()"
    )
    run = tmp_path / "run"
    command = [sys.executable, "-c", code, *words(VERBS["discover"][0])(inputs), "--out", str(run)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == -signal.SIGABRT
    shown = cli("runs", "check", run)
    assert (shown.code, shown.out) == (0, "every file is as it was written\n")
    assert not [name for folder in (tmp_path, run) for name in os.listdir(folder) if name.startswith(".")]
    (listed,) = cli("runs", "--json").document["runs"]
    assert listed["path"] == str(run)
    assert "had not made it yet, or was stopped before" in " ".join(cli("runs", "show", run).out.split())


@pytest.mark.parametrize("error", ["database or disk is full", "attempt to write a readonly database"])
def test_a_list_of_runs_that_cannot_be_written_costs_a_line(
    cli: Cli, own_home: Path, inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: str
) -> None:
    def full(*_: object, **__: object) -> None:
        raise sqlite3.OperationalError(error)

    monkeypatch.setattr("sqlite3.connect", full)
    run = tmp_path / "run"
    shown = cli(*words(VERBS["discover"][0])(inputs), "--no-figures", "--out", run, "--json")
    assert shown.code == 0, shown.err
    said = json.loads(shown.out)["missing"]["line in the list of runs"]
    assert error in said
    assert "damaged" not in said
    assert "free some space there" in said
    assert damaged_files(run) == []
    assert "not made: line in the list of runs: " in shown.err
    line = cli("runs", "list").err
    assert line.startswith("wheatstone: expected a list of runs that can be read and written; got ")
    assert line.count("\n") == 1
