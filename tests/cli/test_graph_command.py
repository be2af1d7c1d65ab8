"""`wheatstone graph`: with a prompt, with a task's other prompts as counterfactuals, and of a task as a whole."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from commands import Cli, Refused

from wheatstone.models import Neuron
from wheatstone.neurons import Scan
from wheatstone.runs import Run


def first_pair(file: Path) -> dict[str, list[str]]:
    return json.loads(file.read_text().splitlines()[0])


@pytest.mark.usefixtures("own_home")
def test_a_tasks_graph_is_judged_on_prompts_that_it_was_not_learned_on(
    cli: Cli, tiny_task: tuple[Path, Path], tmp_path: Path
) -> None:
    model, task = tiny_task
    out = tmp_path / "run"
    words = ("graph", "--model", model, "--task", task, "--known", 0, "--nodes", 60, "--steps", 5, "--out", out)
    shown = cli(*words, "--json")
    assert shown.code == 0, shown.err
    document = shown.document
    splits = document["task"]["splits"]
    assert [(proof["baseline"], proof["n"]) for proof in document["proofs"]] == [
        (ablation, splits["test"]) for ablation in ("counterfactual", "template mean", "corpus mean")
    ]
    sizes = {row["units"] for row in document["curve"]}
    assert max(sizes) == 60
    assert len(document["curve"]) == len(sizes) * 3 * 2
    for ablation, size in document["chosen"].items():
        fit = [
            row["units"]
            for row in document["curve"]
            if (row["ablation"], row["split"]) == (ablation, "validation") and 0.9 <= row["faithfulness"] <= 1.1
        ]
        assert size == min(fit, default=None)
    rows = pq.read_table(out / "nodes.parquet").to_pylist()
    kept = [row for row in rows if row["kind"] != "token"]
    assert len(kept) == document["proofs"][0]["nodes"] == (document["chosen"]["counterfactual"] or 60)
    assert {row["token"] for row in rows} == set(document["tokens"])
    assert all(0 <= row["recurs"] <= 1 for row in kept)
    assert "have in common" in (out / "report.html").read_text()
    assert Run.open(out).has("task")
    for form in ("json", "html", "svg", "graphml"):
        assert cli("export", out, "--format", form, "--out", tmp_path / f"out.{form}").code == 0


@pytest.mark.usefixtures("own_home")
def test_a_tasks_other_prompts_are_counterfactuals_and_some_of_them_judge(
    cli: Cli, tiny_task: tuple[Path, Path], tmp_path: Path
) -> None:
    model, task = tiny_task
    pair = first_pair(task)
    answer = pair["answers"][0]
    words = ("graph", "--model", model, "--task", task, "--known", 0, "--prompt", pair["prompt"], "--answer", answer)
    words = (*words, "--nodes", 30, "--steps", 3, "--counterfactuals", 3, "--allow-weak")
    shown = cli(*words, "--verify", "--out", tmp_path / "run", "--json")
    assert shown.code == 0, shown.err
    document = shown.document
    judged = [row["counterfactual"] for row in document["held_out"]]
    assert judged
    assert not set(judged) & set(document["counterfactuals"])
    assert len(document["counterfactuals"]) == len(document["proofs"]) <= 3
    assert "not chosen with" in (tmp_path / "run" / "report.html").read_text()


def test_half_a_request_is_refused(refused: Refused, tiny_task: tuple[Path, Path], tmp_path: Path) -> None:
    model, task = tiny_task
    words = ("graph", "--model", model, "--out", tmp_path / "run")
    assert "--prompt and --answer, or --task" in refused(*words)
    assert "--prompt with --answer" in refused(*words, "--task", task, "--prompt", "w1 w2")
    assert "--prompt with --answer" in refused(*words, "--task", task, "--counterfactual", "w1 w2")
    assert "--prompt with --answer" in refused(*words, "--task", task, "--distractor", " w8")
    assert "three ablations" in refused(*words, "--task", task, "--known", 0, "--ablation", "mean")
    assert "--exact, --allow-weak, not used there" in refused(*words, "--task", task, "--exact", 3, "--allow-weak")
    pair = ("--prompt", "w1 w2", "--answer", " w7")
    assert "--ablation counterfactual with --task" in refused(*words, *pair, "--task", task, "--ablation", "mean")
    assert "--task with --template, --skip-bad" in refused(*words, *pair, "--template", 0, "--skip-bad")
    assert "a bundled task" in refused(*words, "--task", "no such task")
    assert "--nodes" in refused(*words, "--task", task, "--nodes", 0)


@pytest.mark.usefixtures("own_home")
def test_a_prompt_that_no_prompt_of_the_task_fits_is_refused(
    refused: Refused, tiny_task: tuple[Path, Path], tmp_path: Path
) -> None:
    model, task = tiny_task
    words = ("graph", "--model", model, "--task", task, "--known", 0, "--out", tmp_path / "run")
    assert "differ from this one in their subject alone" in refused(
        *words, "--prompt", "w1 w1 w1 w1 w1 w1", "--answer", " w7", "--allow-weak"
    )


@pytest.mark.usefixtures("own_home")
def test_a_scan_says_what_the_strongest_neurons_respond_to(
    cli: Cli, refused: Refused, tiny_task: tuple[Path, Path], tmp_path: Path
) -> None:
    model, task = tiny_task
    (tmp_path / "text.txt").write_text(" ".join(f"w{at * at % 40}" for at in range(400)))
    scan = tmp_path / "scan"
    assert cli("neuron", "scan", tmp_path / "text.txt", "--model", model, "--window", 16, "--out", scan).code == 0
    pair = first_pair(task)
    words = ("graph", "--model", model, "--prompt", pair["prompt"], "--answer", pair["answers"][0], "--nodes", 30)
    shown = cli(*words, "--ablation", "zero", "--allow-weak", "--scan", scan, "--out", tmp_path / "run", "--json")
    assert shown.code == 0, shown.err
    run = Run.open(tmp_path / "run")
    rows = {row["node"]: row for row in run.rows("nodes") if row["kind"] == "neuron"}
    evidence = run.rows("evidence")
    assert len(evidence) == min(40, len(rows))
    for row in evidence:
        assert row["value"] == rows[row["node"]]["value"]
        assert 0 <= row["below"] <= 1
        assert row["least"] <= row["mean"] <= row["most"]
        found = Scan.load(scan).neuron(Neuron.named(row["node"].split("@")[0]))
        assert (row["strengths"][0] == found.max) == (row["value"] >= found.mean)
        assert all(passage.count("[") == 1 for passage in row["passages"])
        assert row["below"] == found.quantile(row["value"])
    assert "What its neurons respond to" in (tmp_path / "run" / "report.html").read_text()
    assert "a folder without a manifest.json" in refused(*words, "--scan", tmp_path, "--out", tmp_path / "other")
