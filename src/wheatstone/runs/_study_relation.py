"""One relation of a study: found on train, sized on validation, reported on test."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from jaxtyping import Bool
from torch import Tensor

from wheatstone._errors import PromptError, RequestError
from wheatstone._progress import Reporter, silent
from wheatstone.circuits import Circuit, Experiment, ModelInfo
from wheatstone.discovery import Discovery, EdgeScores, discover_in, evaluation_of
from wheatstone.models import ResidualModel
from wheatstone.runs._folder import write_json
from wheatstone.runs._study_settings import ENOUGH, FEWEST, StudySettings, name_of, task_of
from wheatstone.tasks import SPLITS, PromptPair, Task, bundled_relation, bundled_relations, hits, load_task
from wheatstone.verification import Verification, verify_in

_TRANSFER_DRAWS = 1
_HALVINGS = 5


@dataclass(frozen=True)
class Sized:
    """A candidate circuit on the validation facts.

    Args:
        edges: its size.
        hit_at_10: its Hit@10.
        kept: share of the model's Hit@10 gain over the empty circuit; None where the model gains nothing.
    """

    edges: int
    hit_at_10: float
    kept: float | None


@dataclass(frozen=True, eq=False)
class RelationResult:
    """What a study found about one relation.

    Args:
        circuit: found on train, of the size chosen on validation.
        verification: on the test facts.
        about: the rest, as JSON has it.
    """

    circuit: Circuit
    verification: Verification
    about: dict[str, Any]

    def save(self, folder: Path) -> None:
        """Writes `circuit.json` and `result.json`."""
        self.circuit.save(folder / "circuit.json")
        write_json(folder / "result.json", self.about | {"test": self.verification.to_dict()})


def study_relation(
    model: ResidualModel, relation: str, settings: StudySettings, *, report: Reporter = silent
) -> RelationResult:
    """Studies one relation.

    Args:
        model: the model.
        relation: a bundled name or a JSON file.
        settings: the study's.
        report: told how far it is.

    Raises:
        PromptError: too few facts are known, or they leave nothing to explain.
    """
    started, task = time.perf_counter(), _task(model, relation, settings, report)
    train, test = task.train[: settings.train], task.test[: settings.test]
    experiment = Experiment(model, train)
    found = discover_in(experiment, settings.discovery(task.name), curve=False, report=report)
    searched = time.perf_counter()
    keep, tried = _choose(experiment.on(task.validation[: settings.validation]), found, settings)
    verification = verify_in(
        experiment.on(test), keep, draws=settings.draws, seed=settings.seed, split="test", report=report
    )
    circuit = Circuit.of_mask(
        ModelInfo.of(model),
        keep,
        scores=tuple(found.scores.values[keep].tolist()),
        examples=train,
        task=task.name,
        evaluation=evaluation_of(experiment, keep),
    )
    about = {
        "relation": name_of(relation),
        "kind": task.kind,
        "facts": {**{split: len(task.split(split)) for split in SPLITS}, "discovered_on": len(train)},
        "few": len(test) < ENOUGH,
        "known": None if task.known is None else asdict(task.known),
        "task_sha256": task.sha256,
        "edges": len(circuit),
        "share": len(circuit) / model.graph.edges,
        "searched_edges": len(found.circuit),
        "ranked_edges": found.ranked,
        "evaluations": found.evaluations,
        "train_faithfulness": circuit.evaluation.faithfulness if circuit.evaluation else None,
        "validation": [asdict(row) for row in tried],
        "transfer": _transfer(model, relation, task, keep, experiment, settings),
        "skipped_records": [str(problem) for problem in task.skipped],
        "notes": list(task.notes),
        "seconds": {"discover": round(searched - started, 1), "all": round(time.perf_counter() - started, 1)},
    }
    return RelationResult(circuit, verification, about)


def _task(model: ResidualModel, relation: str, settings: StudySettings, report: Reporter) -> Task:
    """The relation's known facts; records that cannot be used are listed in its `skipped`."""
    task = load_task(task_of(relation), model, seed=settings.seed, size=None, strict=False, report=report)
    sizes = {split: len(task.split(split)) for split in SPLITS}
    if min(sizes.values()) < FEWEST:
        raise PromptError(
            expected=f"at least {FEWEST} known facts in each split of {name_of(relation)}",
            got=f"{', '.join(f'{size} {split}' for split, size in sizes.items())}; {'; '.join(task.notes)}",
            do="add facts or templates that the model knows, or try a larger model",
        )
    return task


def sizes_up_to(limit: int, verified: int) -> list[int]:
    """Sizes to try: the limit and its its parts by steps of √2, 32-fold down, and the verified circuit's own."""
    grid = {max(1, round(limit * 2 ** (-step / 2))) for step in range(2 * _HALVINGS + 1)}
    return sorted(grid | {min(verified, limit)})


def smallest_enough(tried: Sequence[Sized], kept: float, verified: int) -> int:
    """Which candidate is taken: the smallest that keeps enough of the gain, else the one that keeps most.

    Where the model gains nothing over the empty circuit, Hit@10 cannot choose: then the one nearest the verified
    circuit's size.
    """
    if tried[0].kept is None:
        return min(range(len(tried)), key=lambda index: abs(tried[index].edges - verified))
    best = max(row.kept or 0.0 for row in tried)
    return next(index for index, row in enumerate(tried) if (row.kept or 0.0) >= min(kept, best))


def gain_kept(model: float, circuit: float, empty: float) -> float | None:
    """(circuit − empty) / (model − empty); None where the model is no better than the empty circuit."""
    return (circuit - empty) / (model - empty) if model > empty else None


def _choose(
    validation: Experiment, found: Discovery, settings: StudySettings
) -> tuple[Bool[Tensor, "channel node"], list[Sized]]:
    """The circuit of the size that validation asks for: verified edges first, then along the ranking."""
    graph, verified = validation.graph, found.circuit.mask()
    scores = found.scores.values.abs()
    order = EdgeScores(graph, scores + verified * (1 + scores.max()), "verified first", found.scores.steps)
    sizes = sizes_up_to(max(1, int(settings.share * graph.edges)), len(found.circuit))
    masks = order.top(sizes)
    rows = hits(validation.logits(masks), validation.encoded, 10).mean(-1).tolist()
    model, empty = (
        float(hits(logits, validation.encoded, 10).mean())
        for logits in (validation.clean_logits, validation.corrupt_logits)
    )
    tried = [Sized(size, row, gain_kept(model, row, empty)) for size, row in zip(sizes, rows, strict=True)]
    return masks[smallest_enough(tried, settings.kept, len(found.circuit))], tried


def _transfer(
    model: ResidualModel,
    relation: str,
    task: Task,
    keep: Bool[Tensor, "channel node"],
    experiment: Experiment,
    settings: StudySettings,
) -> dict[str, Any]:
    """The same circuit on the test facts under the other templates, and asked the other way round."""
    others = {f"template {number}": (task_of(relation), number) for number in (1, 2)[: len(task.about.templates) - 1]}
    if relation in bundled_relations() and bundled_relation(relation).reverse_templates:
        others["reversed"] = (f"reversed/{relation}", 0)
    found: dict[str, Any] = {}
    for name, (source, template) in others.items():
        try:
            other = load_task(source, model, seed=settings.seed, size=None, template=template, strict=False)
            pairs: tuple[PromptPair, ...] = other.test[: settings.test]
            proof = verify_in(experiment.on(pairs), keep, draws=_TRANSFER_DRAWS, seed=settings.seed, split=name)
        except RequestError as error:
            found[name] = {"why_not": str(error)}
        else:
            found[name] = {key: value for key, value in proof.to_dict().items() if key != "prompts"}
    return found
