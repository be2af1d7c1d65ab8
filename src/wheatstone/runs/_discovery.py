"""A discovery as a run: everything a picture or a reader needs later, without the model."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from wheatstone._effects import lost
from wheatstone._path import StrPath
from wheatstone._progress import Reporter, silent
from wheatstone._side import ANSWER, ATTENTION, SWAPPED, attempt
from wheatstone.circuits import Circuit, Experiment
from wheatstone.discovery import Discovery, DiscoverySettings, EdgeScores, Stability, discover_in
from wheatstone.lenses import AttentionRow, LensRow, answer_by_layer, head_attention
from wheatstone.models import ResidualModel
from wheatstone.runs._folder import write_json
from wheatstone.runs._manifest import manifest_of
from wheatstone.tasks import PromptPair
from wheatstone.verification import Verification, verify_in

_HEADS_SHOWN = 6


@dataclass(frozen=True, eq=False)
class DiscoveryRun:
    """A discovery with its proof and its lenses, ready to be saved.

    Args:
        discovery: the circuit and how it was found.
        verification: on the prompts it was found on.
        held_out: on other prompts; the swapped pairs, where there are distractors.
        missing: by name, why a side result is missing, in one line. The circuit and its verification never are.
    """

    experiment: Experiment
    settings: DiscoverySettings
    discovery: Discovery
    verification: Verification
    held_out: tuple[Verification, ...]
    lens: tuple[LensRow, ...]
    attention: tuple[AttentionRow, ...]
    seconds: dict[str, float]
    missing: dict[str, str] = field(default_factory=dict[str, str])

    def save(self, folder: StrPath) -> None:
        """Writes all files of the run into a folder."""
        folder = Path(folder)
        write_json(folder / "manifest.json", _manifest(self))
        self.discovery.circuit.save(folder / "circuit.json")
        write_json(folder / "verification.json", self.verification.to_dict())
        write_json(folder / "held_out.json", [verification.to_dict() for verification in self.held_out])
        pq.write_table(_edge_table(self.discovery.scores), folder / "edges.parquet")
        _write_rows(folder / "curve.parquet", [asdict(point) for point in self.discovery.curve])
        _write_rows(folder / "trace.parquet", _steps(self.discovery))
        _write_rows(folder / "lens.parquet", [row._asdict() for row in self.lens])
        columns = {name: pa.array([], kind) for name, kind in ATTENTION_COLUMNS.items()}
        rows = [row._asdict() for row in self.attention]
        table = pa.Table.from_pylist(rows, pa.schema(list(ATTENTION_COLUMNS.items()))) if rows else pa.table(columns)
        pq.write_table(table, folder / "attention.parquet")


ATTENTION_COLUMNS = {
    "prompt": pa.int64(),
    "head": pa.string(),
    "query": pa.int64(),
    "key": pa.int64(),
    "weight": pa.float64(),
}


def run_discovery(
    model: ResidualModel,
    pairs: Sequence[PromptPair],
    settings: DiscoverySettings,
    *,
    report: Reporter = silent,
) -> DiscoveryRun:
    """Discovers a circuit, verifies it and reads it.

    Args:
        model: the model.
        pairs: the prompts.
        settings: what to look for.
        report: told how far it is.
    """
    experiment = settings.experiment(model, pairs)
    found = discover_in(experiment, settings, report=report)
    keep = found.circuit.mask()
    started = time.perf_counter()
    verification = verify_in(experiment, keep, seed=settings.seed, split="the prompts it was found on", report=report)
    missing = dict(found.missing)
    swapped = [pair for pair in (pair.swapped() for pair in pairs) if pair is not None]

    def on_swapped() -> tuple[Verification, ...]:
        return (verify_in(experiment.on(swapped), keep, seed=settings.seed, split=SWAPPED, report=report),)

    held_out = attempt(missing, SWAPPED, on_swapped, ()) if swapped else ()
    verified = time.perf_counter()
    lens = attempt(missing, ANSWER, lambda: answer_by_layer(experiment, keep), [])
    attention = attempt(missing, ATTENTION, lambda: head_attention(experiment, strongest_heads(found.circuit)), [])
    read = time.perf_counter()
    seconds = found.seconds | {"verify": verified - started, "read": read - verified}
    return DiscoveryRun(
        experiment, settings, found, verification, held_out, tuple(lens), tuple(attention), seconds, missing
    )


def strongest_heads(circuit: Circuit) -> list[str]:
    """Heads of a circuit by the summed |effect| (|score| where effects were not measured) of their edges.

    Edges that were removed together share one effect, which counts once.
    """
    weight: dict[str, float] = {}
    counted: set[tuple[str, str]] = set()
    units = circuit.units or tuple(map(str, circuit.edges))
    strengths = circuit.effects or circuit.scores or (0.0,) * len(circuit)
    for edge, unit, effect in zip(circuit.edges, units, strengths, strict=True):
        head = edge.sender.partition("@")[0]  # wherever in the prompt it is read
        if ".h" in head and (head, unit) not in counted:
            counted.add((head, unit))
            weight[head] = weight.get(head, 0.0) + abs(effect)
    return sorted(weight, key=lambda head: -weight[head])[:_HEADS_SHOWN]


def _manifest(run: DiscoveryRun) -> dict[str, Any]:
    settings = asdict(run.settings)
    common = manifest_of(run.experiment, "discover", settings, seed=run.settings.seed, seconds=run.seconds)
    return common | {
        "ranked_edges": run.discovery.ranked,
        "evaluations": run.discovery.evaluations,
        "stability": _stability(run.discovery.stability),
        "missing": run.missing,
    }


def _stability(found: Stability | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {name: value for name, value in vars(found).items() if name != "frequency"}


def _steps(found: Discovery) -> list[dict[str, Any]]:
    """The steps of the search; how far each got is named by what it is: `faithfulness` or `completeness`."""
    measured = lost(found.goal)
    return [
        {"stage": step.stage, "edges": step.edges, measured: step.reached, "evaluations": step.evaluations}
        for step in found.trace
    ]


def _edge_table(scores: EdgeScores) -> pa.Table:
    """Every edge of the graph with its score, in order of computation."""
    graph = scores.graph
    channels, nodes = graph.valid.nonzero()
    return pa.table(
        {
            "sender": pa.array(graph.nodes).take(pa.array(nodes)).dictionary_encode(),
            "receiver": pa.array(graph.channels).take(pa.array(channels)).dictionary_encode(),
            "score": scores.values.numpy()[channels, nodes],
        }
    )


def _write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    pq.write_table(pa.Table.from_pylist(rows), path)
