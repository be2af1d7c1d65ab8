"""`wheatstone tasks`, and circuits discovered on a task's training split and proved on its test split."""

from __future__ import annotations

import json
from pathlib import Path

from commands import FRANCE_WORDS, Cli, Refused
from tolerance import rounding

from wheatstone.models import load_model
from wheatstone.runs import damaged_files


def test_bundled_tasks_are_listed_with_their_sizes(cli: Cli) -> None:
    listed = {row["name"]: row for row in cli("tasks", "--json").document["tasks"]}
    assert listed["greater-than"]["metric"] == "prob_diff"
    assert listed["ioi"]["size"] is None
    assert listed["facts/country_capital"]["size"] > 100
    assert "reversed/country_capital" in listed
    assert "greater-than" in cli("tasks").out


def test_a_task_is_shown_without_a_model(cli: Cli) -> None:
    document = cli("tasks", "show", "facts/country_capital", "--json").document
    assert len(document["templates"]) >= 3
    assert "templates" in cli("tasks", "show", "ioi").out


def test_names_that_are_not_there_are_one_line(refused: Refused, tmp_path: Path) -> None:
    assert "'nonsense'" in refused("tasks", "show", "nonsense")
    where = ("--task", "ioi", "--out", tmp_path / "run")
    assert "either --task or prompts; got both" in refused("discover", *FRANCE_WORDS, *where)
    assert not (tmp_path / "run").exists()


def test_a_model_is_asked(cli: Cli, tiny_task: tuple[Path, Path], own_home: Path) -> None:
    model, file = tiny_task
    shown = cli("tasks", "show", file, "--model", model, "--examples", 1, "--json")
    document = shown.document
    assert document["splits"] == {"train": 2, "validation": 1, "test": 3}
    assert document["answered"]["pairs"] == 6
    assert document["answered"]["accuracy"] == 1.0
    assert {split: len(pairs) for split, pairs in document["examples"].items()} == {
        "train": 1,
        "validation": 1,
        "test": 1,
    }
    assert "on 6 pairs: accuracy 1.00" in cli("tasks", "show", file, "--model", model).out


def test_a_task_s_circuit_is_found_on_train_and_proved_on_test(
    cli: Cli, refused: Refused, tiny_task: tuple[Path, Path], own_home: Path, tmp_path: Path
) -> None:
    model, file = tiny_task
    run = tmp_path / "run"
    words = ("--model", model, "--task", file, "--known", 0, "--faithfulness", 0.5, "--no-figures")
    found = cli("discover", *words, "--counterfactuals", 1, "--out", run, "--json").document
    assert found["verification"]["n"] == 2
    assert found["task"]["splits"] == {"train": 2, "validation": 1, "test": 3}
    assert (found["held_out"][0]["split"], found["held_out"][0]["n"]) == ("test", 3)
    kept = json.loads((run / "task.json").read_text())
    assert {split: len(pairs) for split, pairs in kept["pairs"].items()} == {"train": 2, "validation": 1, "test": 3}
    assert damaged_files(run) == []

    tested = cli("verify", run, "--draws", 2, "--json").document
    assert (tested["split"], tested["n"]) == ("test", 3)
    assert tested["faithfulness"] == rounding(load_model(str(model))).near(found["held_out"][0]["faithfulness"])
    own = cli("verify", run, "--split", "train", "--draws", 2, "--json").document
    assert (own["split"], own["n"]) == ("train", 2)
    assert own["faithfulness"] == rounding(load_model(str(model))).near(found["verification"]["faithfulness"])
    other = cli("verify", run, "--task", file, "--known", 0, "--split", "validation", "--draws", 2, "--json").document
    assert (other["split"], other["n"]) == (f"validation of {file}", 1)
    assert len(json.loads((run / "held_out.json").read_text())) == len(found["held_out"]) + 3
    assert "out of train, validation, test; got 'dev'" in refused("verify", run, "--split", "dev")
    assert "either prompts or a task's split; got both" in refused("verify", run, *FRANCE_WORDS, "--split", "test")
    assert damaged_files(run) == []
