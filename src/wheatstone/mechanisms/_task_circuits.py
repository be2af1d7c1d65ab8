"""The circuits of several tasks, found once and kept: what a prompt may trigger."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from wheatstone._disk import replaced
from wheatstone._errors import CircuitError, PromptError, RequestError
from wheatstone._home import home
from wheatstone._progress import Reporter, silent
from wheatstone._version import __version__
from wheatstone.circuits import Circuit, Experiment, ModelInfo
from wheatstone.discovery import attribute, evaluation_of
from wheatstone.models import ResidualModel
from wheatstone.tasks import files_of, load_task

COMPETING = ("induction", "ioi", "greater-than", "a-an", "facts/country_capital")
"""Tasks whose circuits are looked for in a prompt by default."""


def task_circuits(
    model: ResidualModel,
    tasks: Sequence[str] = COMPETING,
    *,
    edges: int = 1000,
    prompts: int = 6,
    seed: int = 0,
    report: Reporter = silent,
) -> dict[str, Circuit]:
    """A circuit for each task: the first edges of its EAP-IG ranking on training prompts that the model knows.

    All are of one size, so that none is the stronger for being the larger. They are kept in the cache, by the
    model's hash and everything that made them; a model without a hash is asked again.

    Args:
        model: the model.
        tasks: bundled names or files, as `load_task` takes them.
        edges: of each circuit.
        prompts: most training prompts of each.
        seed: of the tasks.
        report: progress callback.

    Raises:
        RequestError: no such task, or more edges than the model has.
        PromptError: a task of which the model knows nothing.

    When this misleads: a ranking is not a proof. How much of its task each circuit keeps on these prompts is in
    its `evaluation`; on others, see `competition` on the task's own test prompts.
    """
    if not 0 < edges <= model.graph.edges:
        raise RequestError(
            expected=f"1 to {model.graph.edges:,} edges, all that {model.id} has", got=str(edges), do="choose fewer"
        )
    found: dict[str, Circuit] = {}
    for name in tasks:
        report("task circuits", len(found), len(tasks))
        record = _record(model, name, edges, prompts, seed)
        kept = _read(record)
        if kept is None:
            kept = _find(model, name, edges, prompts, seed)
            _write(record, kept)
        found[name] = kept
    report("task circuits", len(tasks), len(tasks))
    return found


def _find(model: ResidualModel, name: str, edges: int, prompts: int, seed: int) -> Circuit:
    task = load_task(name, model, seed=seed)
    experiment = Experiment(model, task.train[:prompts], metric=task.metric)
    keep = attribute(experiment).top([edges])[0]
    return Circuit.of_mask(
        ModelInfo.of(model),
        keep,
        ablation=experiment.ablation,
        metric=experiment.metric.name,
        examples=experiment.encoded.pairs,
        task=name,
        evaluation=evaluation_of(experiment, keep),
    )


def _record(model: ResidualModel, name: str, edges: int, prompts: int, seed: int) -> Path | None:
    """Where a circuit is kept: nowhere for a model without a hash, such as one wrapped in memory."""
    if not model.sha256:
        return None
    about = f"{__version__} {model.sha256} {model.dtype} {model.graph.split} {name} {edges} {prompts} {seed}"
    files = "".join(file["sha256"] for file in files_of(name).values())  # a name says nothing about what is in a file
    return home() / "circuits" / f"{hashlib.sha256(f'{about} {files}'.encode()).hexdigest()}.json"


def held_out_faithfulness(
    model: ResidualModel, name: str, circuit: Circuit, *, seed: int = 0, most: int = 12
) -> tuple[int, float | None]:
    """What a task's circuit keeps on test prompts, which its ranking has not seen: their number and the faithfulness.

    None where the task has no test prompts that leave something to explain.
    """
    pairs = [pair for pair in load_task(name, model, seed=seed).test if pair not in circuit.examples][:most]
    if not pairs:
        return 0, None
    try:
        experiment = Experiment.of(circuit, model, pairs)
    except PromptError:
        return 0, None
    return len(pairs), experiment.faithfulness(circuit.mask(experiment.graph)[None])[0]


def _read(record: Path | None) -> Circuit | None:
    if record is None or not record.is_file():
        return None
    try:
        return Circuit.load(record)
    except CircuitError:
        return None


def _write(record: Path | None, circuit: Circuit) -> None:
    if record is None:
        return
    with suppress(OSError), replaced(record) as partial:  # without a cache the circuit is found again each time
        circuit.save(partial)
