"""A circuit of another tool, or a `circuit.json`, as a run: with its proof where prompts are given."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch

from wheatstone._parquet import write_parquet
from wheatstone._path import StrPath
from wheatstone._progress import Reporter, silent
from wheatstone._view import Brief
from wheatstone.circuits import Circuit, Edge, Experiment, Imported, manifest_of, same_weights
from wheatstone.discovery import CurvePoint, EdgeScores, evaluation_of, size_curve
from wheatstone.lenses import AttentionRow, LensRow, answer_by_layer, head_attention
from wheatstone.models import ResidualModel, manifest_without_prompts
from wheatstone.runs import write_json
from wheatstone.studies._circuit_tables import write_curves
from wheatstone.studies._discovery import strongest_heads
from wheatstone.tasks import METRICS, PromptPair
from wheatstone.verification import Verification, verify_in

_SIZES = (1, 2, 5)


@dataclass(frozen=True, eq=False)
class ImportedRun(Brief):
    """An imported circuit, ready to be saved.

    Args:
        model: that it belongs to.
        circuit: the circuit, with its result on the prompts.
        scores: of every edge that the file scores.
        settings: where it comes from, and what it is evaluated with.
        seed: of everything that was drawn.
        experiment: the prompts it was run on; None where none were given, and then there is no proof.
        verification: on these prompts.
        held_out: on a task's test split.
        curve: faithfulness by size of the file's ranking, as far as the file scores edges.
        lens: rank and probability of the answer by layer.
        attention: of the circuit's strongest heads.
        seconds: time of each stage.
    """

    model: ResidualModel
    circuit: Circuit
    scores: Mapping[Edge, float]
    settings: Mapping[str, Any]
    seed: int
    experiment: Experiment | None
    verification: Verification | None
    held_out: tuple[Verification, ...]
    curve: tuple[CurvePoint, ...]
    lens: tuple[LensRow, ...]
    attention: tuple[AttentionRow, ...]
    seconds: dict[str, float]

    def save(self, folder: StrPath) -> None:
        """Writes all files of the run into a folder."""
        folder = Path(folder)
        if self.experiment is None:
            settings = {**self.settings, "unit": METRICS[self.circuit.metric].unit}
            manifest = manifest_without_prompts(self.model, "import", settings, seed=self.seed, seconds=self.seconds)
        else:
            manifest = manifest_of(self.experiment, "import", self.settings, seed=self.seed, seconds=self.seconds)
        write_json(folder / "manifest.json", manifest)
        self.circuit.save(folder / "circuit.json")
        if self.verification is not None:
            write_json(folder / "verification.json", self.verification.to_dict())
        write_json(folder / "held_out.json", [verification.to_dict() for verification in self.held_out])
        ranked = {
            "sender": pa.array([edge.sender for edge in self.scores], pa.string()).dictionary_encode(),
            "receiver": pa.array([edge.receiver for edge in self.scores], pa.string()).dictionary_encode(),
            "score": pa.array(list(self.scores.values()), pa.float32()),
        }
        write_parquet(pa.table(ranked), folder / "edges.parquet")
        write_curves(folder, self.curve, (), self.lens, self.attention)


def run_import(
    model: ResidualModel,
    imported: Imported,
    *,
    source: str,
    pairs: Sequence[PromptPair] = (),
    test: Sequence[PromptPair] = (),
    task: str = "",
    seed: int = 0,
    allow_weak: bool | None = None,
    report: Reporter = silent,
) -> ImportedRun:
    """Makes a run of an imported circuit, and proves it on prompts where some are given.

    Args:
        model: that the circuit belongs to.
        imported: the circuit and its scores.
        source: name of the file, which a run without prompts is called by.
        pairs: prompts to run it on; by default those that it was found on, where the file has them.
        test: held-out prompts of the same task.
        task: name of the task.
        seed: of random circuits and intervals.
        allow_weak: what to do about prompts that leave little to explain, as in `Experiment`.
        report: progress callback.

    Raises:
        ModelError: the circuit was found in other weights.
        PromptError: the prompts cannot be compared, or leave nothing to explain.

    When this misleads: a file of another tool says neither what its other edges carried nor which prompts and metric
    it was found for. The proof here is of the circuit under this ablation and metric, on these prompts.
    """
    circuit = imported.circuit
    same_weights(model, circuit)
    model = model.like(circuit.model.graph)
    pairs = tuple(pairs) or circuit.examples
    settings: dict[str, Any] = {
        "method": f"imported from {imported.format}",
        "file": source,
        "ablation": circuit.ablation,
        "metric": circuit.metric,
        "task": task or ("" if pairs else source),
    }
    scores = imported.scores or dict.fromkeys(circuit.edges, 0.0)
    if not pairs:
        circuit = replace(circuit, task=source)
        return ImportedRun(model, circuit, scores, settings, seed, None, None, (), (), (), (), {})
    started = time.perf_counter()
    # Spans are where these prompts have the parts of their names, which need not be where the file's prompts had them.
    spans = Experiment.of(circuit, model, pairs, allow_weak=allow_weak).spans if circuit.spans else None
    experiment = Experiment(
        model, pairs, ablation=circuit.ablation, metric=circuit.metric, positions=spans, allow_weak=allow_weak
    )
    settings["allow_weak"] = bool(allow_weak)
    circuit = replace(circuit, model=replace(circuit.model, graph=experiment.graph))
    keep = circuit.mask(experiment.graph)
    verification = verify_in(experiment, keep, seed=seed, split="given prompts", report=report)
    held_out = (verify_in(experiment.on(test), keep, seed=seed, split="test", report=report),) if test else ()
    curve = _curve(experiment, imported, seed, report) if imported.scores else ()
    circuit = replace(
        circuit,
        examples=tuple(pairs),
        task=task or circuit.task,
        evaluation=evaluation_of(experiment, keep, verification.faithfulness),
    )
    verified = time.perf_counter()
    lens = answer_by_layer(experiment, keep)
    attention = head_attention(experiment, strongest_heads(circuit))
    seconds = {"verify": verified - started, "read": time.perf_counter() - verified}
    return ImportedRun(
        model,
        circuit,
        scores,
        settings,
        seed,
        experiment,
        verification,
        held_out,
        curve,
        tuple(lens),
        tuple(attention),
        seconds,
    )


def _curve(experiment: Experiment, imported: Imported, seed: int, report: Reporter) -> tuple[CurvePoint, ...]:
    """Faithfulness along the file's ranking, up to as many edges as it scores."""
    values = torch.zeros(experiment.graph.valid.shape)
    for edge, score in imported.scores.items():
        values[experiment.graph.edge(*edge)] = score
    scored = int((values != 0).sum())
    sizes = sorted({size for size in (m * 10**p for p in range(9) for m in _SIZES) if size < scored} | {scored} - {0})
    scores = EdgeScores(experiment.graph, values, imported.format, 1)
    return size_curve(experiment, scores, sizes=sizes, seed=seed, report=report) if sizes else ()
