"""A circuit for every prompt pair of a task, each found alone, and what the circuits have in common.

The folder holds `sweep-settings.json` and `pairs.json` from the start and `pairs/NAME/{circuit,result}.json` for every
pair that is done, each a shard. `pairs.parquet`, `nodes.parquet`, `sweep.json`, `manifest.json`, the pictures and
`files.json` come last and make it a run.

When this misleads: a circuit of one prompt says how the model answers that prompt; what few prompts share may be
chance, and a node that is in most circuits (the input, the first MLPs) may serve any prompt at all. Heads are therefore
ranked by how much more often they recur than in random circuits of the same sizes, see `_sweep_heads`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from wheatstone._path import StrPath
from wheatstone._progress import Reporter, silent
from wheatstone.circuits import Circuit
from wheatstone.executors import (
    SHARD_LIST,
    Executor,
    LocalExecutor,
    alone_in,
    finished,
    open_resumable,
    run_shards,
    settings_file,
    shard_cost,
    some_done,
)
from wheatstone.models import Graph, ResidualModel, manifest_without_prompts
from wheatstone.records import SPLITS
from wheatstone.runs import Table, draw, read_json, write_json, write_table
from wheatstone.studies._sweep_heads import NodeRow, recurring, shown
from wheatstone.studies._sweep_pair import PairShard, SweepSettings
from wheatstone.tasks import PromptPair, load_task

_HEADS = 30
"""Heads in `sweep.json`, and those that tie with the last."""
_LEVEL = 0.05
"""Of a head's p times the number of heads (Bonferroni)."""
_SETTINGS, _PAIRS = settings_file("sweep"), "pairs.json"


class PairRow(NamedTuple):
    """One pair of a sweep.

    Args:
        name: of its task, and which of the task's pairs.
        prompt: the clean prompt.
        answer: its first right answer.
        rank: of the best-placed answer, from 1.
        edges: of the circuit.
        faithfulness: of it.
        probability: that the model gives the answers.
        first: the model's first choice.
        weak: whether the model itself does not give the answer, see `wheatstone.tasks.ModelAnswer`.
    """

    name: str
    prompt: str
    answer: str
    rank: int
    edges: int
    faithfulness: float
    probability: float
    first: str
    weak: bool


def run_sweep(
    model: ResidualModel,
    settings: SweepSettings,
    out: StrPath,
    *,
    executor: Executor | None = None,
    pictures: Callable[[Path], object] | None = None,
    report: Reporter = silent,
) -> dict[str, Any]:
    """Finds a circuit for every pair that has none yet, then what they have in common.

    Args:
        model: the model.
        settings: the sweep's.
        out: its folder; new, or that of the same sweep.
        executor: who does the pairs; this process by default.
        pictures: draws the pictures of the finished sweep into its folder.
        report: progress callback.

    Returns:
        What `sweep.json` holds.

    Raises:
        RequestError: a wrong setting, no such task.
        PromptError: not one pair could be used.
        RunError: the folder holds something else, a sweep of other settings, or one that is running.
    """
    out = Path(out)
    settings.check()
    with alone_in(out, "sweep"):
        identity = settings.identity(model)
        # Before anything is written: a task that gives no pair leaves no folder.
        pairs = None if (out / _PAIRS).is_file() else _pairs(model, settings, report)
        open_resumable(out, "sweep", identity)
        if pairs is not None:
            write_json(out / _PAIRS, pairs)
        shards = [
            PairShard(name, PromptPair.model_validate(pair), settings.discovery)
            for name, pair in read_json(out, _PAIRS).items()
        ]
        failed = run_shards(model, shards, out, "pairs", executor or LocalExecutor(), report)
        expected = f"a pair that {model.id} has a circuit for"
        done = some_done(out, shards, failed, expected=expected, do="choose another task")
        seconds = {"pairs": sum(shard_cost(out / "pairs" / name)["seconds"] for name in done)}
        about = identity["settings"] | {"task": ", ".join(map(str, settings.tasks))}
        manifest = manifest_without_prompts(model, "sweep", about, seed=settings.discovery.seed, seconds=seconds)
        with finished(out, _SETTINGS, _PAIRS, SHARD_LIST, "pairs") as folder:
            document = identity | _summary(folder, done, failed, model.graph)
            write_json(folder / "sweep.json", document)
            write_json(folder / "manifest.json", manifest)
            if pictures:
                draw(folder, pictures)
    return document


def _pairs(model: ResidualModel, settings: SweepSettings, report: Reporter) -> dict[str, Any]:
    """All pairs by name."""
    found: dict[str, Any] = {}
    for source in settings.tasks:
        task = load_task(
            source,
            model,
            seed=settings.discovery.seed,
            known=settings.known,
            size=settings.size,
            strict=False,
            report=report,
        )
        pairs = [pair for split in SPLITS for pair in task.split(split)]
        stem = Path(source).stem
        found |= {f"{stem}-{number:05}": pair.model_dump(mode="json") for number, pair in enumerate(pairs, 1)}
    return found


def _summary(out: Path, done: Sequence[str], failed: dict[str, str], graph: Graph) -> dict[str, Any]:
    """Writes the tables, and sums them up."""
    results = [(name, read_json(out / "pairs" / name, "result.json")) for name in done]
    rows = [PairRow(name, *(result[field] for field in PairRow._fields[1:])) for name, result in results]
    nodes = recurring([Circuit.load(out / "pairs" / name) for name in done], graph)
    heads = [row for row in nodes if row.excess is not None]
    write_table(Table.of(PairRow, rows), out / "pairs.parquet")
    write_table(Table.of(NodeRow, nodes), out / "nodes.parquet")
    return {
        "pairs": len(rows),
        "weak": sum(row.weak for row in rows),
        "edges": _spread([row.edges for row in rows]),
        "faithfulness": _spread([row.faithfulness for row in rows]),
        "heads": [row._asdict() for row in shown(nodes, _HEADS)],
        "heads_in_any": len(heads),
        "heads_in_all": sum(row.circuits == len(done) for row in heads),
        "heads_beyond_chance": sum(row.p is not None and row.p * graph.layers * graph.heads < _LEVEL for row in heads),
        "heads_of_model": graph.layers * graph.heads,
        "failed": failed,
    }


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {"least": min(values), "median": median(values), "most": max(values)}
