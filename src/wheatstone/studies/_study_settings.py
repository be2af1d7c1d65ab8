"""What a relation study is asked for, and which relations it can be asked about."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from wheatstone._bounds import COUNT, DRAWS, FACTS, SEED, SHARE, check_fields
from wheatstone._errors import RequestError
from wheatstone._path import StrPath, keep_as_text
from wheatstone._version import __version__
from wheatstone._view import Brief
from wheatstone.discovery import DiscoverySettings

if TYPE_CHECKING:
    from wheatstone.models import ResidualModel

FEWEST = 4
"""Known facts that each split needs; a relation with fewer is skipped, and listed with its numbers."""
ENOUGH = 10
"""Known test facts from which on a relation counts in the averages; with fewer it is marked `few`."""


LEARNED = "learned"
"""The study's own method: a ranking for all sizes, learned from EAP-IG's (`wheatstone.discovery.learn_ranking`)."""


@dataclass(frozen=True)
class StudySettings(Brief):
    """How every relation of a study is treated alike.

    Args:
        relations: bundled names, or paths of relations' JSON files.
        train: most facts to discover on.
        validation: most facts to choose the size on.
        test: most facts to test on.
        method: learned (a ranking learned on many counterfactuals, for all circuit sizes, from EAP-IG's); re-ranked
            (search by exact runs, ended before single edges); verified (with the proof that no edge can go; many times
            slower); or a scoring method's ranking as it is.
        steps: steps of learning, by the method learned.
        batch: facts of each of these steps.
        counterfactuals: most counterfactuals of a fact, to learn with and to be evaluated on.
        faithfulness: share of the metric's change to keep on training facts; not read by the method learned.
        share: most edges of a circuit, as a share of all.
        kept: a circuit is made smaller than share only where at least this share of Hit@10 on validation is kept, at
            the lower end of the 95% interval.
        draws: size-matched random circuits on the test facts.
        seed: of splits, counterfactuals, random circuits.
        allow_weak: also study a relation whose counterfactuals keep more than half of the metric. The known-fact filter
            leaves out answers that the model does not give.
    """

    relations: tuple[StrPath, ...] = ()
    train: Annotated[int, FACTS] = 40
    validation: Annotated[int, FACTS] = 20
    test: Annotated[int, FACTS] = 40
    method: str = LEARNED
    steps: Annotated[int, COUNT] = 120
    batch: Annotated[int, COUNT] = 10
    counterfactuals: Annotated[int, COUNT] = 4
    faithfulness: Annotated[float, SHARE] = 0.9
    share: Annotated[float, SHARE] = 0.01
    kept: Annotated[float, SHARE] = 0.95
    draws: Annotated[int, DRAWS] = 5
    seed: Annotated[int, SEED] = 0
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
        check_fields(self)
        if not (self.share and self.kept):
            raise RequestError(
                expected="shares above 0", got=f"{self.share} and {self.kept}", do="0.01 is one in a hundred"
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
    from wheatstone.tasks import bundled_relations

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
