"""What a relation study is asked for, and which relations it can be asked about."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from wheatstone._errors import RequestError
from wheatstone._path import StrPath, keep_as_text
from wheatstone._version import __version__
from wheatstone.discovery import DiscoverySettings
from wheatstone.models import ResidualModel
from wheatstone.tasks import bundled_relations

FEWEST = 4
"""Known facts that each split needs; a relation with fewer is skipped, and listed with its numbers."""
ENOUGH = 10
"""Known test facts from which on a relation counts in the averages; with fewer it is marked `few`."""


LEARNED = "learned"
"""The study's own method: a ranking for all sizes, learned from EAP-IG's (`wheatstone.discovery.learn_ranking`)."""


@dataclass(frozen=True)
class StudySettings:
    """How every relation of a study is treated alike.

    Args:
        relations: bundled names, or paths of relations' JSON files.
        train: most facts to discover on.
        validation: most facts to choose the size on.
        test: most facts to test on.
        method: `learned`: a ranking that is learned for all circuit sizes and starts from EAP-IG's; or a method of
            discovery, see `DiscoverySettings`.
        steps: that the ranking is learned in.
        batch: facts of each of these steps.
        counterfactuals: most of each fact: to learn with, to choose the size by and to test on.
        faithfulness: that discovery aims at on the training facts; `learned` does not read it.
        share: of all edges, that a circuit may keep at most.
        kept: a circuit is made smaller than `share` only where Hit@10 on validation falls by at most 1 − `kept`, at the
            lower end of the 95% interval.
        draws: size-matched random circuits on the test facts.
        seed: of splits, counterfactuals, random circuits.
        allow_weak: also study a relation whose counterfactuals keep more than half of the metric. The known-fact filter
            leaves out answers that the model does not give.
    """

    relations: tuple[StrPath, ...]
    train: int = 40
    validation: int = 20
    test: int = 40
    method: str = LEARNED
    steps: int = 120
    batch: int = 10
    counterfactuals: int = 4
    faithfulness: float = 0.9
    share: float = 0.01
    kept: float = 0.95
    draws: int = 5
    seed: int = 0
    allow_weak: bool = False

    def __post_init__(self) -> None:
        keep_as_text(self, "relations", self.relations)

    def check(self) -> None:
        """Refuses what can be refused before a model is loaded.

        Raises:
            RequestError: no such relation, two of one name, or a number out of range.
        """
        if not self.relations:
            raise RequestError(expected="a relation to study", got="none", do="name some, or use --relations all")
        for relation in self.relations:
            task_of(relation)
        names = [name_of(relation) for relation in self.relations]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise RequestError(expected="each relation once", got=f"{twice[0]!r} twice", do="name it once")
        if min(self.train, self.validation, self.test) < FEWEST:
            raise RequestError(
                expected=f"at least {FEWEST} facts to discover on, to choose by and to test on",
                got=f"--train {self.train}, --validation {self.validation}, --test {self.test}",
                do="allow more",
            )
        if not (0 < self.share <= 1 and 0 < self.kept <= 1):
            raise RequestError(
                expected="shares above 0 and at most 1",
                got=f"{self.share} and {self.kept}",
                do="0.01 is one in a hundred",
            )
        if min(self.steps, self.batch, self.counterfactuals) < 1:
            raise RequestError(
                expected="at least one step, of at least one fact with one counterfactual",
                got=f"--steps {self.steps}, --batch {self.batch}, --counterfactuals {self.counterfactuals}",
                do="use --steps 120 --batch 10 --counterfactuals 4",
            )
        self.discovery().check()

    def discovery(self) -> DiscoverySettings:
        """How a relation's circuit is looked for; `learned` takes only the ranking from it."""
        method = "eap-ig" if self.method == LEARNED else self.method
        return DiscoverySettings(
            faithfulness=self.faithfulness, method=method, seed=self.seed, allow_weak=self.allow_weak
        )

    def identity(self, model: ResidualModel) -> dict[str, Any]:
        """Everything that results depend on: a study goes on only in a folder where this is the same."""
        return {
            "wheatstone": __version__,
            "model": {"id": model.id, "sha256": model.sha256, "dtype": model.precision},
            "settings": asdict(self) | {"relations": list(self.relations)},
        }


def task_of(relation: StrPath) -> str:
    """The task of a relation as `load_task` takes it.

    Raises:
        RequestError: it is neither bundled nor a JSON file.
    """
    bundled, relation = bundled_relations(), os.fspath(relation)
    if relation in bundled:
        return f"facts/{relation}"
    if Path(relation).suffix == ".json" and Path(relation).is_file():
        return relation
    raise RequestError(
        expected=f"a relation out of {', '.join(bundled)}, or the JSON file of one",
        got=repr(relation) + (", which is not there" if "/" in relation and not Path(relation).exists() else ""),
        do="choose one of these, or use --relations all",
    )


def name_of(relation: StrPath) -> str:
    """What a relation is called in tables and folders."""
    return Path(relation).stem if Path(relation).suffix == ".json" else os.fspath(relation)
