"""Which tasks the circuits of several tasks serve: what every task loses without every circuit.

The folder holds `selectivity-settings.json` from the start, `studied-facts.json` with the facts of a study's tasks, and
`tasks/NAME/result.json` for every task that is done, each a shard with what all circuits cost it. `matrix.parquet`,
`selectivity.json`, `manifest.json` and `files.json` come last and make it a run.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from wheatstone._bounds import FACTS, SEED, SHARE
from wheatstone._errors import RequestError
from wheatstone._path import StrPath, keep_as_text
from wheatstone._progress import Reporter, silent
from wheatstone._version import __version__
from wheatstone._view import Brief
from wheatstone.cards._selectivity_circuits import TaskCircuit, circuits_of, own_parts
from wheatstone.cards._selectivity_matrix import Lost, matrix_of, summary_of
from wheatstone.cards._selectivity_task import TaskShard
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
from wheatstone.models import ResidualModel, manifest_without_prompts
from wheatstone.runs import Table, draw, read_json, sound, write_json, write_table
from wheatstone.tasks import PromptPair

_SETTINGS, _FACTS = settings_file("selectivity"), "studied-facts.json"


@dataclass(frozen=True)
class SelectivitySettings(Brief):
    """Which circuits are compared, and how.

    Args:
        runs: folders of runs of `discover` or `import`, each one circuit, or of `study`, each all of its circuits. At
            least two circuits of different tasks, of one model.
        shared: an edge that more than this share of the circuits keep serves any task and is never ablated; 0 to 1.
            With 1, whole circuits are ablated.
        facts: most facts of each task, held-out ones where the run has some.
        seed: of a study's splits.
    """

    runs: tuple[StrPath, ...]
    shared: float = 0.9
    facts: int = 16
    seed: int = 0

    def __post_init__(self) -> None:
        keep_as_text(self, "runs", self.runs)

    def check(self) -> None:
        """Refuses what can be refused before a model is loaded.

        Raises:
            RequestError: no run, or a number out of range.
        """
        if not self.runs:
            raise RequestError(expected="runs with the circuits to compare", got="none", do="name at least one study")
        SHARE.check("a share of the circuits", self.shared)
        FACTS.check("a number of facts", self.facts)
        SEED.check("a seed", self.seed)

    def circuits(self) -> tuple[TaskCircuit, ...]:
        """The circuits that are compared.

        Raises:
            RunError: a folder has none, or is damaged.
            RequestError: there are fewer than two, or two of one task.
            CircuitError: they are of several models, or their edges are distinguished by position.
        """
        return circuits_of(self.runs)

    def identity(self, model: ResidualModel) -> dict[str, Any]:
        """Everything that results depend on but the circuits."""
        return {
            "wheatstone": __version__,
            "model": {"id": model.id, "sha256": model.sha256, "dtype": model.precision},
            "settings": asdict(self) | {"runs": list(self.runs)},
        }


def run_selectivity(
    model: ResidualModel,
    settings: SelectivitySettings,
    out: StrPath,
    *,
    executor: Executor | None = None,
    pictures: Callable[[Path], object] | None = None,
    report: Reporter = silent,
) -> dict[str, Any]:
    """Ablates every circuit in the whole model, and measures what is lost of every task.

    Args:
        model: the circuits' model.
        settings: which circuits, and how.
        out: folder of the matrix; new, or that of the same one.
        executor: who does the tasks; this process by default.
        pictures: draws the pictures of the finished matrix into its folder.
        report: progress callback.

    Returns:
        What `selectivity.json` holds.

    Raises:
        RunError: the folder holds something else, a matrix of other settings, or one that is running; or see
            `SelectivitySettings.circuits`, whose other errors it has too.
        ModelError: the model is not the circuits'.
        PromptError: not one task could be measured.

    When this misleads: tasks that share a mechanism should lose with each other's circuits. An edge that many tasks
    need is not ablated, so that a circuit that consists of such edges costs no task anything, its own included.
    """
    out = Path(out)
    settings.check()
    with alone_in(out, "selectivity"):
        circuits = settings.circuits()
        parts = own_parts(circuits, settings.shared)
        # A run may be made again in the same folder, so that its name does not say what its circuit is.
        edges = {one.name: json.dumps([str(edge) for edge in one.circuit]).encode() for one in circuits}
        hashes = {name: hashlib.sha256(content).hexdigest() for name, content in edges.items()}
        identity = settings.identity(model) | {"circuits": hashes}
        open_resumable(out, "selectivity", identity)
        shards = [TaskShard(one, _facts(out, one, model, settings, report), parts) for one in circuits]
        failed = run_shards(model, shards, out, "tasks", executor or LocalExecutor(), report)
        expected = f"a task that {model.id} can be measured on"
        done = some_done(out, shards, failed, expected=expected, do="choose other runs")
        matrix = matrix_of([read_json(out / "tasks" / name, "result.json") for name in done])
        document = identity | summary_of(
            matrix, {one.name: (len(one.circuit), len(parts[one.name])) for one in circuits}
        )
        seconds = {"tasks": sum(shard_cost(out / "tasks" / name)["seconds"] for name in done)}
        about = identity["settings"] | {"task": f"{len(circuits)} circuits"}
        manifest = manifest_without_prompts(model, "selectivity", about, seed=settings.seed, seconds=seconds)
        with finished(out, _SETTINGS, _FACTS, SHARD_LIST, "tasks") as folder:
            write_table(Table.of(Lost, matrix), folder / "matrix.parquet")
            write_json(folder / "selectivity.json", document | {"failed": failed})
            write_json(folder / "manifest.json", manifest)
            if pictures:
                draw(folder, pictures)
    return document | {"failed": failed}


def _facts(
    out: Path, one: TaskCircuit, model: ResidualModel, settings: SelectivitySettings, report: Reporter
) -> tuple[PromptPair, ...]:
    """The facts of a task. Those of a study's task, which the model is asked about, are kept for the next start."""
    if not one.task:
        return one.facts(model, settings.facts, settings.seed, report)
    kept: dict[str, Any] = read_json(out, _FACTS) if (out / _FACTS).is_file() else {}
    if one.name not in kept:
        facts = one.facts(model, settings.facts, settings.seed, report)
        kept[one.name] = [pair.model_dump(mode="json") for pair in facts]
        write_json(out / _FACTS, kept)
    with sound(out):
        return tuple(map(PromptPair.model_validate, kept[one.name]))
