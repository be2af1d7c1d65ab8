"""One prompt pair of a sweep: its circuit, found on it alone."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from wheatstone._errors import RequestError
from wheatstone._path import StrPath, keep_as_text
from wheatstone._progress import Reporter, silent
from wheatstone._version import __version__
from wheatstone._view import Brief
from wheatstone.discovery import DiscoverySettings, discover_in
from wheatstone.models import ResidualModel
from wheatstone.runs import write_json
from wheatstone.tasks import KNOWN_RANK, PromptPair, check_task, sha256_of_task


@dataclass(frozen=True)
class SweepSettings(Brief):
    """What is swept, and how each circuit is found.

    Args:
        tasks: bundled names (`facts/country_capital`, `ioi`) or files, see `load_task`.
        known: keep pairs with an answer among this many top tokens; None keeps all.
        size: most pairs of each task; None for all there are.
        discovery: of each pair; by default the first edges of EAP-IG's ranking that reach a faithfulness of 0.8.
    """

    tasks: tuple[StrPath, ...]
    known: int | None = KNOWN_RANK
    size: int | None = None
    discovery: DiscoverySettings = field(default_factory=lambda: DiscoverySettings(method="eap-ig", faithfulness=0.8))

    def __post_init__(self) -> None:
        keep_as_text(self, "tasks", self.tasks)

    def check(self) -> None:
        """Refuses what can be refused before a model is loaded.

        Raises:
            RequestError: no task, two of one name, or a wrong setting.
        """
        if not self.tasks:
            raise RequestError(expected="a task to sweep", got="none", do="name one; `wheatstone tasks` lists them")
        names = [Path(task).stem for task in self.tasks]
        if twice := [str(task) for task in self.tasks if names.count(Path(task).stem) > 1]:
            raise RequestError(
                expected="tasks of different names, which their pairs are called by",
                got=", ".join(twice),
                do="rename a file, or sweep them into two folders",
            )
        for task in self.tasks:
            check_task(task)
        self.discovery.check()

    def identity(self, model: ResidualModel) -> dict[str, Any]:
        """Everything that results depend on."""
        return {
            "wheatstone": __version__,
            "model": {"id": model.id, "sha256": model.sha256, "dtype": model.precision},
            "settings": asdict(self) | {"tasks": list(self.tasks)},
            "files": {os.fspath(task): sha256_of_task(Path(task)) for task in self.tasks if Path(task).is_file()},
        }


@dataclass(frozen=True)
class PairShard:
    """One prompt pair as a piece of work; see `Shard`.

    Args:
        name: of its task, and which of the task's pairs it is.
        pair: the pair.
        settings: of its discovery.
    """

    name: str
    pair: PromptPair
    settings: DiscoverySettings

    @property
    def content(self) -> dict[str, Any]:
        """The pair and the settings."""
        return {"sweep": self.pair.model_dump(mode="json"), "settings": asdict(self.settings)}

    def run(self, model: ResidualModel, folder: Path, report: Reporter = silent) -> None:
        """Finds the pair's circuit; writes `circuit.json` and `result.json`."""
        settings = self.settings
        experiment = settings.experiment(model, [self.pair])
        found = discover_in(experiment, settings, curve=False, report=report)
        found.circuit.save(folder / "circuit.json")
        assert found.circuit.evaluation is not None
        (answer,) = experiment.model_answers.prompts
        write_json(
            folder / "result.json",
            {
                "prompt": self.pair.prompt,
                "answer": self.pair.answers[0],
                "rank": answer.answer.rank,
                "probability": answer.probability,
                "first": answer.first.token,
                "weak": answer.weak,
                "evaluations": found.evaluations,
                **asdict(found.circuit.evaluation),
            },
        )
