"""A discovery as a run: every file of it, and the same bytes for the same seed."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch

from wheatstone import Circuit, Experiment
from wheatstone.discovery import DiscoverySettings
from wheatstone.runs._folder import FORMAT
from wheatstone.studies import DiscoveryRun, run_discovery


@pytest.fixture(scope="module")
def pair_experiment(tiny_experiment: Experiment) -> Experiment:
    return Experiment(tiny_experiment.model, tiny_experiment.encoded.pairs[:2])


def discovered(experiment: Experiment, seed: int) -> DiscoveryRun:
    settings = DiscoverySettings(faithfulness=0.7, task="words", seed=seed)
    return run_discovery(experiment.model, experiment.encoded.pairs, settings)


def test_the_files_of_a_run(pair_experiment: Experiment, tmp_path: Path) -> None:
    run, again = discovered(pair_experiment, 4), discovered(pair_experiment, 4)
    graph, model = pair_experiment.graph, pair_experiment.model
    run.save(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "attention.parquet",
        "circuit.json",
        "curve.parquet",
        "edges.parquet",
        "held_out.json",
        "lens.parquet",
        "manifest.json",
        "trace.parquet",
        "verification.json",
    ]

    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert (manifest["format"], manifest["verb"], manifest["seed"]) == (FORMAT, "discover", 4)
    assert set(manifest["versions"]) == {"wheatstone", "python", "torch", "transformers"}
    assert set(manifest["computed_on"]) == {"processor", "kernel", "threads", "memory_budget"}
    assert manifest["computed_on"]["threads"] == torch.get_num_threads()
    assert manifest["computed_on"]["memory_budget"] == run.experiment.memory
    assert manifest["model"]["id"] == model.id
    assert manifest["model"]["layers"] == graph.layers
    assert manifest["settings"]["faithfulness"] == 0.7
    assert manifest["settings"]["unit"] == "logits"
    first, second = manifest["prompts"]
    assert first["tokens"] == model.decode(first["ids"])
    assert (len(first["ids"]), len(second["ids"])) == (4, 6)
    assert (first["subject_last"], first["last"], second["subject_last"]) == (1, 3, 2)
    assert set(manifest["timings"]) == {"score", "curve", "search", "verify", "read"}

    circuit = Circuit.load(tmp_path / "circuit.json")
    assert circuit.edges == run.discovery.circuit.edges
    assert circuit.task == "words"
    edges = pq.read_table(tmp_path / "edges.parquet")
    assert edges.num_rows == graph.edges
    scores = {
        (row["sender"], row["receiver"]): row["score"] for row in edges.to_pylist()
    }  # one row an edge, whatever its order
    assert len(scores) == graph.edges
    assert [round(scores[edge], 6) for edge in circuit.edges] == list(circuit.scores or ())
    curve = pq.read_table(tmp_path / "curve.parquet").to_pylist()
    assert {row["kind"] for row in curve} == {"ranking", "complement", "random"}
    verification = json.loads((tmp_path / "verification.json").read_text())
    assert verification["faithfulness"] == pytest.approx(circuit.evaluation and circuit.evaluation.faithfulness)
    (swapped,) = json.loads((tmp_path / "held_out.json").read_text())
    assert [row["prompt"] for row in swapped["prompts"]] == [
        pair.counterfactual for pair in run.experiment.encoded.pairs
    ]
    assert pq.read_table(tmp_path / "attention.parquet").column_names == ["prompt", "head", "query", "key", "weight"]

    folder = tmp_path / "again"
    folder.mkdir()
    again.save(folder)
    for name in ("circuit.json", "verification.json", "held_out.json", "curve.parquet", "edges.parquet"):
        assert (folder / name).read_bytes() == (tmp_path / name).read_bytes(), name


def test_prompts_without_distractors_are_not_swapped(pair_experiment: Experiment, tmp_path: Path) -> None:
    pair = pair_experiment.encoded.pairs[0].model_copy(update={"distractors": ()})
    run = run_discovery(pair_experiment.model, [pair], DiscoverySettings(faithfulness=0.5, metric="kl"))
    run.save(tmp_path)
    assert json.loads((tmp_path / "held_out.json").read_text()) == []
