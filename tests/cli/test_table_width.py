"""Tables fit the terminal's columns, or a pipe's 80, and use more where there are more."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from commands import FRANCE, Cli, pair_words
from rich.cells import cell_len

WIDTHS = (80, 120, 400)


@pytest.fixture(params=WIDTHS)
def width(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setenv("COLUMNS", str(request.param))
    return request.param


def widest(text: str) -> int:
    return max(map(cell_len, text.splitlines()))


def test_tasks(width: int, cli: Cli) -> None:
    shown = cli("tasks").out
    assert widest(shown) <= width
    (line,) = (line for line in shown.splitlines() if "facts/country_capital " in line and "reversed" not in line)
    assert line.split()[:2] == ["facts/country_capital", "factual"]
    (asked,) = (line for line in shown.splitlines() if "should the indefinite" in line or "of a noun still" in line)
    assert (asked.split()[0] == "a-an") == (width == 400)


@pytest.mark.usefixtures("own_home")
def test_the_scored_tokens_of_a_dry_run(width: int, cli: Cli, tiny_task: tuple[Path, Path]) -> None:
    model, pairs = tiny_task
    pair = json.loads(pairs.read_text().splitlines()[0])
    words = pair_words(pair["prompt"], pair["counterfactual"], pair["answers"][0], pair["distractors"][0])
    asked = ("discover", "--model", model, "--dry-run", *words)
    (row,) = cli(*asked, "--json").document["model_answers"]["prompts"]
    shown = cli(*asked).out
    assert widest(shown) <= width
    line = next(line for line in shown.splitlines() if f"(id {row['answer']['id']}) " in line)
    assert ("first choice" not in line and f"(id {row['distractor']['id']}) " in line) == (width > 80)


@pytest.mark.real_weights
@pytest.mark.usefixtures("own_home")
def test_the_list_of_runs(width: int, own_run: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(own_run.parent)
    cli("runs", "add", own_run)
    shown = cli("runs").out
    assert widest(shown) <= width
    heading, *lines = shown.splitlines()
    made = f"{json.loads((own_run / 'manifest.json').read_text())['created'][:16].replace('T', ' ')}"
    assert lines[0 if width > 80 else 1].strip().startswith(made)
    assert lines[-1].rstrip().endswith(f"smollm2-135m  {own_run.name}" if width == 80 else own_run.name)
    assert (FRANCE in shown) == (width > 80)
    assert ("folder" in heading) == (width > 80)


@pytest.mark.real_weights
@pytest.mark.usefixtures("own_home")
def test_a_run_that_is_shown(width: int, own_run: Path, cli: Cli) -> None:
    assert widest(cli("runs", "show", own_run).out) <= width
