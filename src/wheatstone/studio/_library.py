"""Which runs there are, each under a name that is no path: what a browser asks for never reaches the file system."""

from __future__ import annotations

import hashlib
import itertools
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wheatstone._errors import RunError
from wheatstone._path import StrPath
from wheatstone._view import Brief
from wheatstone.runs import CIRCUITS, CatalogueEntry, Run, catalogue_entries, command_of, sound
from wheatstone.studio._lines import Facts, Lines, State, kept_lines
from wheatstone.studio._schema import RunList, RunSummary

EXAMPLES = Path(__file__).with_name("examples")
"""Precomputed runs of the package, read-only."""
Line = tuple[str, RunSummary]
"""A run's verb and its line in the list."""


@dataclass(frozen=True)
class Library(Brief):
    """The runs of the catalogue, those in given folders, and the examples.

    Args:
        folders: each a folder of runs, listed whether or not the catalogue knows them.
        examples: folder of the precomputed runs.
    """

    folders: tuple[StrPath, ...] = ()
    examples: StrPath = EXAMPLES

    @property
    def new_runs(self) -> Path:
        """Where new runs go: the first of the given folders, else `runs` where the studio was started."""
        return Path(self.folders[0] if self.folders else "runs").absolute()

    def free_folder(self, title: str) -> Path:
        """A folder for a new run that is not there yet, named after what the run is about."""
        words = "-".join(re.findall(r"[a-z0-9]+", title.lower()))[:60].strip("-") or "run"
        names = (words if count == 1 else f"{words}-{count}" for count in itertools.count(1))
        return next(path for path in map(self.new_runs.joinpath, names) if not path.exists())

    def runs(self) -> RunList:
        """All runs, the user's newest first, then the examples; those without a circuit apart."""
        with kept_lines() as kept:
            return self._read(kept)

    def _read(self, kept: Lines) -> RunList:
        found: dict[str, Line] = {}
        problems: list[str] = []
        try:
            entries = catalogue_entries()
        except RunError as error:  # the examples and the folders are still there to be seen
            entries, problems = [], [str(error)]
        for entry in entries:
            found[entry.path] = _line(Path(entry.path), kept) if entry.exists else _gone(entry)
        for path in _inside(self.folders):
            if str(path) not in found:
                found[str(path)] = _line(path, kept)
        mine = sorted(found.values(), key=lambda line: line[1].created, reverse=True)
        lines = [*mine, *(_line(path, kept, example=True) for path in _inside((self.examples,)))]
        # What cannot be read is listed with the circuits, so that it is seen.
        circuits = [run for verb, run in lines if verb in (*CIRCUITS, "")]
        others = [run for verb, run in lines if verb not in (*CIRCUITS, "")]
        return RunList(runs=circuits, others=others, problems=problems)

    def scans(self, sha256: str) -> list[RunSummary]:
        """Corpus scans of the neurons of a model, the newest first.

        Args:
            sha256: of its weights; none are known of a model with an empty one.
        """
        scans = [run for run in self.runs().others if run.command == "neuron scan" and not run.trouble]
        return [run for run in scans if sha256 and _weights(Path(run.path)) == sha256]

    def find(self, id: str) -> Path:
        """The folder of a run.

        Raises:
            RunError: no run is listed under this name, or its folder is gone.
        """
        if id.startswith("example-"):
            paths = {f"example-{path.name}": path for path in _inside((self.examples,))}
        else:
            known = [*(Path(entry.path) for entry in catalogue_entries()), *_inside(self.folders)]
            paths = {identity(str(path)): path for path in known}
        if id not in paths:
            raise RunError(
                expected="a run that the catalogue lists", got=repr(id), do="choose one of the list, or reload it"
            )
        path = paths[id]
        if not (path / "manifest.json").is_file():
            raise RunError(
                expected=f"the run's folder {path}",
                got="nothing there: it was moved or deleted",
                do="choose another run, or list it where it is now with `wheatstone runs add`",
            )
        return path


def identity(path: str) -> str:
    """The name of a run in the API: 16 hexadecimal digits of its path's SHA-256."""
    return hashlib.sha256(path.encode()).hexdigest()[:16]


def _inside(folders: Sequence[StrPath]) -> list[Path]:
    """The run folders directly inside some folders."""
    # Names instead of paths until a run is found: with thousands of runs, making paths takes most of the time.
    return [
        Path(path)
        for folder in (str(Path(each).absolute()) for each in folders)
        if os.path.isdir(folder)
        for path in sorted(os.path.join(folder, name) for name in os.listdir(folder) if not name.startswith("."))
        if os.path.isfile(os.path.join(path, "manifest.json"))
    ]


def _line(path: Path, kept: Lines, *, example: bool = False) -> Line:
    """A run's verb and its line in the list; no verb and what is wrong for a run that cannot be read."""
    id = f"example-{path.name}" if example else identity(str(path))
    at: dict[str, Any] = {"id": id, "path": str(path), "example": example}
    try:
        verb, facts = kept.of(path, state_of(path, "held_out.json"), _facts)
        return verb, RunSummary(**at, **facts)
    except (RunError, KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
        trouble = f"it cannot be read: {error}"
        return "", RunSummary(**at, title=path.name, command="", model="", created="", trouble=trouble)


def _gone(entry: CatalogueEntry) -> Line:
    """The same of a listed run whose folder is gone."""
    facts: dict[str, Any] = {
        "id": identity(entry.path),
        "title": entry.task,
        "command": command_of(entry.verb),
        **{name: getattr(entry, name) for name in ("path", "model", "created", "edges", "faithfulness")},
    }
    return entry.verb, RunSummary(**facts, example=False, trouble="the folder is gone")


def _weights(path: Path) -> str:
    """SHA-256 of the weights that a run is of; empty where it does not say or cannot be read."""
    try:
        return Run.open(path).manifest["model"].get("sha256", "")
    except RunError:
        return ""


def state_of(path: Path, *more: str) -> State:
    """Time and size of the files that a run's line is read from, and of others: what is read of them is kept until they
    change. Zeros for a file that is not there, or not any more.
    """
    return tuple(_time_and_size(os.path.join(path, name)) for name in ("manifest.json", "circuit.json", *more))


def _time_and_size(file: str) -> tuple[int, int]:
    try:
        state = os.stat(file)
    except OSError:  # what is wrong with it is said where it is read
        return 0, 0
    return state.st_mtime_ns, state.st_size


def _facts(path: Path) -> Facts:
    """A run's verb and what its line says."""
    run = Run.open(path)
    with sound(path):
        manifest = run.manifest
        prompts = manifest.get("prompts") or []
        circuit = run.result if run.verb in CIRCUITS else {}  # a study has a circuit for every relation
        evaluation = circuit.get("evaluation") or {}
        held_out = sorted(run.held_out, key=lambda one: one["split"] != "test")
        return run.verb, {
            "title": run.title,
            "command": run.contents.command,
            "model": manifest["model"]["id"],
            "created": manifest["created"],
            "answer": " or ".join((prompts[0].get("answers") or [])[:3]).strip() if prompts else "",
            "method": str(run.settings.get("method") or ""),
            "n": len(prompts) or None,
            "edges": evaluation.get("edges", len(circuit["edges"]) if "edges" in circuit else None),
            "faithfulness": evaluation.get("faithfulness"),
            "held_out": held_out[0]["faithfulness"] if held_out else None,
        }
