"""One relation of a study: found on train, sized on validation, reported on test."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from wheatstone._errors import PromptError, RequestError
from wheatstone._path import StrPath
from wheatstone._progress import Reporter, silent
from wheatstone.circuits import SHARES, Circuit, Experiment, ModelInfo, kept_over, sizes_of
from wheatstone.discovery import evaluation_of
from wheatstone.models import ResidualModel
from wheatstone.records import SPLITS
from wheatstone.runs import write_json
from wheatstone.studies._study_find import find
from wheatstone.studies._study_settings import ENOUGH, FEWEST, StudySettings, name_of, task_of
from wheatstone.tasks import PromptPair, Task, load_task, other_wordings, relation_named, relations_in, sha256_of_task
from wheatstone.verification import Verification, verify_on


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


@dataclass(frozen=True)
class RelationShard:
    """A relation as a piece of work; see `Shard`.

    Args:
        relation: a bundled name or a JSON file.
        settings: the study's.
    """

    relation: StrPath
    settings: StudySettings

    @property
    def name(self) -> str:
        """What the relation is called."""
        return name_of(self.relation)

    @property
    def content(self) -> dict[str, Any]:
        """The settings, and the hash of the relation's file where it has one of its own."""
        file = Path(self.relation)
        data = sha256_of_task(file) if file.suffix == ".json" else os.fspath(self.relation)
        settings = asdict(self.settings)
        del settings["relations"]
        return {"study": data, "settings": settings}

    def run(self, model: ResidualModel, folder: Path, report: Reporter = silent) -> None:
        """Studies it."""
        study_relation(model, self.relation, self.settings, report=report).save(folder)


def study_relation(
    model: ResidualModel, relation: StrPath, settings: StudySettings, *, report: Reporter = silent
) -> RelationResult:
    """Studies one relation.

    Args:
        model: the model.
        relation: a bundled name or a JSON file.
        settings: the study's.
        report: progress callback.

    Raises:
        PromptError: too few facts are known, or they leave nothing to explain.
    """
    task = _task(model, relation, settings, report)
    train, test = task.train[: settings.train], task.test[: settings.test]
    experiment = Experiment(model, train, allow_weak=settings.allow_weak)

    def several(pairs: Sequence[PromptPair]) -> list[PromptPair]:
        return experiment.several(pairs, most=settings.counterfactuals, seed=settings.seed)

    wordings, unused = other_wordings(task_of(relation), task, model, most=settings.train, seed=settings.seed)
    found = find(experiment, wordings, several(task.validation[: settings.validation]), settings, report)
    keep = found.keep
    verification = verify_on(
        experiment,
        keep,
        test,
        counterfactuals=settings.counterfactuals,
        draws=settings.draws,
        seed=settings.seed,
        split="test",
        report=report,
    )
    sizes = sizes_of(model.graph)
    masks = torch.cat((found.order.top(sizes), found.scores.top([int(keep.sum())])))
    reached = {
        split: kept_over(experiment.over(several(pairs)), masks) for split, pairs in (("train", train), ("test", test))
    }
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
        "warnings": list(dict.fromkeys((*experiment.model_answers.warnings, *verification.warnings))),
        "few": len(test) < ENOUGH,
        "known": None if task.known is None else asdict(task.known),
        "task_sha256": task.sha256,
        "edges": len(circuit),
        "share": len(circuit) / model.graph.edges,
        "found_by": found.order.method,
        "ranking_alone": {"hit_at_10": float(reached["test"].hit_at_10[-1].mean())},
        "curve": [
            {"edges": edges, "share": share}
            | {f"gain_kept_{split}": kept.gain_kept(place) for split, kept in reached.items()}
            for place, (share, edges) in enumerate(zip(SHARES, sizes, strict=True))
        ],
        "evaluations": experiment.evaluations,
        "train_faithfulness": circuit.evaluation.faithfulness if circuit.evaluation else None,
        "validation": [asdict(row) for row in found.tried],
        "transfer": _transfer(model, relation, task, circuit, settings),
        "skipped_records": [str(problem) for problem in task.skipped],
        "notes": [*task.notes, *unused],
    }
    return RelationResult(circuit, verification, about)


def _task(model: ResidualModel, relation: StrPath, settings: StudySettings, report: Reporter) -> Task:
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


def _transfer(
    model: ResidualModel, relation: StrPath, task: Task, circuit: Circuit, settings: StudySettings
) -> dict[str, Any]:
    """The same circuit on the test facts under the other templates, and asked the other way round."""
    others = {f"template {number}": (task_of(relation), number) for number in (1, 2)[: len(task.about.templates) - 1]}
    given = relations_in(task_of(relation))
    if given is not None and relation_named(given.relations[0]).reverse_templates:
        others["reversed"] = (f"reversed/{os.fspath(relation)}", 0)
    found: dict[str, Any] = {}
    for name, (source, template) in others.items():
        try:
            other = load_task(source, model, seed=settings.seed, size=None, template=template, strict=False)
            pairs = other.test[: settings.test]
            asked = Experiment(model, pairs, allow_weak=settings.allow_weak)
        except RequestError as error:
            found[name] = {"why_not": str(error)}
        else:
            several = asked.several(pairs, most=settings.counterfactuals, seed=settings.seed)
            kept = kept_over(asked.over(several), circuit.mask()[None])
            hit = {"model": kept.model[0], "circuit": kept.hit_at_10[0], "empty": kept.empty[0]}
            found[name] = {
                "n": len(pairs),
                "hit_at_10": {who: float(values.mean()) for who, values in hit.items()},
                "gain_kept": kept.gain_kept(0),
            }
    return found
