"""`wheatstone init task` writes a task that `discover --task` reads."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import Cli, Refused

from wheatstone.tasks import read_pairs


def test_an_example_task_is_written(
    cli: Cli, refused: Refused, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli("init", "task", "--json").document["task"] == "task.jsonl"
    text = (tmp_path / "task.jsonl").read_text()
    pairs = read_pairs(tmp_path / "task.jsonl")
    assert len(pairs) == 20
    assert pairs[-1].counterfactual == pairs[0].prompt
    for field in ("prompt", "counterfactual", "answers", "distractors", "subject", "split"):
        assert f"\n# {field} " in text
    assert "task.jsonl, which exists" in refused("init", "task")
    (tmp_path / "task.jsonl").write_text("")
    assert cli("init", "task", "--force").code == 0
    assert (tmp_path / "task.jsonl").read_text() == text


@pytest.mark.real_weights
@pytest.mark.usefixtures("smollm2_files")
def test_discover_reads_it(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every pair is one that the bundled model answers."""
    monkeypatch.chdir(tmp_path)
    cli("init", "task")
    assert cli("tasks", "show", "task.jsonl", "--model", "smollm2-135m", "--json").document["answered"]["known"] == 20
    shown = cli("discover", "--task", "task.jsonl", "--dry-run", "--json")
    assert shown.code == 0, shown.err
    assert len(shown.document["model_answers"]["prompts"]) == 8
