"""The catalogue: which runs there are, in one SQLite file that any number of processes read and write.

It is an index, not the truth: every fact in it is in a run's own files, and a run that is not listed can be
added again.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Generator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from wheatstone._errors import ComputationError, RunError, reason
from wheatstone._home import home
from wheatstone._json import load_json
from wheatstone._path import StrPath
from wheatstone.runs._contents import CIRCUITS
from wheatstone.runs._folder import FORMAT
from wheatstone.runs._run import Run
from wheatstone.runs._sound import sound

_SCHEMA = """
create table if not exists runs (
    path text primary key, verb text not null, model text not null, task text not null,
    created text not null, edges integer, faithfulness real
)
"""


@dataclass(frozen=True)
class CatalogueEntry:
    """One listed run.

    Args:
        path: its folder, absolute.
        verb: the command that made it.
        model: id of the model.
        task: what it is about: a task's name or the first prompt.
        created: when, ISO 8601 in UTC.
        edges: of its circuit, or None.
        faithfulness: of its circuit, or None.
    """

    path: str
    verb: str
    model: str
    task: str
    created: str
    edges: int | None
    faithfulness: float | None

    @property
    def exists(self) -> bool:
        """Whether the folder is still there."""
        return os.path.isfile(os.path.join(self.path, "manifest.json"))  # Path takes three times as long


@contextmanager
def _database() -> Generator[sqlite3.Connection, None, None]:
    path = home() / "catalogue.sqlite"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(path, timeout=30)) as database:
            database.execute("pragma journal_mode = wal")
            database.execute("pragma synchronous = normal")  # an index: what a power cut takes can be listed again
            with database:
                database.execute(_SCHEMA)
                yield database
    except OSError as error:
        raise _not_written(path, reason(error)) from error
    except sqlite3.OperationalError as error:  # a full or read-only disk, another process that holds it for too long
        raise _not_written(path, str(error)) from error
    except sqlite3.DatabaseError as error:
        raise RunError(
            expected="a catalogue that SQLite can read and write",
            got=f"{path}: {error}",
            do="if it is damaged, delete it and list runs again with `wheatstone runs add`",
        ) from error


def _not_written(path: Path, got: str) -> ComputationError:
    return ComputationError(
        expected="a list of runs that can be read and written",
        got=f"{path}: {got}",
        do="free some space there, or set WHEATSTONE_HOME to another folder; runs are kept, and `wheatstone runs add` "
        "lists them again",
    )


def catalogue_add(run: StrPath) -> CatalogueEntry:
    """Lists a run, or brings its line up to date.

    Raises:
        RunError: there is no run of this format.
    """
    run = Path(run)
    entry = entry_of(run)
    with _database() as database:
        database.execute("insert or replace into runs values (?, ?, ?, ?, ?, ?, ?)", tuple(vars(entry).values()))
    return entry


def entry_of(run: StrPath) -> CatalogueEntry:
    """A run's line, as its files say.

    Raises:
        RunError: there is no run of this format.
    """
    opened = Run.open(Path(run).absolute())
    with sound(run):
        # A study has a circuit for every relation, a screen of neurons has none.
        circuit = opened.result if opened.verb in CIRCUITS else {}
        evaluation = circuit.get("evaluation") or {}
        edges = evaluation.get("edges", len(circuit["edges"]) if "edges" in circuit else None)
        faithfulness = evaluation.get("faithfulness")
        return CatalogueEntry(
            path=str(opened.path),
            verb=opened.verb,
            model=opened.manifest["model"]["id"],
            task=opened.title,
            created=opened.manifest["created"],
            edges=None if edges is None else int(edges),
            faithfulness=None if faithfulness is None else float(faithfulness),
        )


def catalogue_remove(*runs: StrPath) -> None:
    """Takes runs off the list, all or none; their folders stay."""
    with _database() as database:
        database.executemany("delete from runs where path = ?", [(str(Path(run).absolute()),) for run in runs])


def catalogue_entries(limit: int | None = None) -> list[CatalogueEntry]:
    """The listed runs, newest first.

    Args:
        limit: most runs; None for all.
    """
    with _database() as database:
        most = -1 if limit is None else limit
        rows = database.execute("select * from runs order by created desc, path limit ?", (most,)).fetchall()
    return [CatalogueEntry(*row) for row in rows]


def catalogue_size() -> int:
    """How many runs are listed."""
    with _database() as database:
        return int(database.execute("select count(*) from runs").fetchone()[0])


def unlisted_runs(*folders: StrPath, depth: int = 3) -> list[Path]:
    """Runs in folders and some levels below them that are not listed, as a command leaves one that is killed between
    saving and listing it.

    Args:
        folders: to look through; hidden folders and what is inside a run are passed over.
        depth: levels below each of them.

    Raises:
        RunError: the catalogue is damaged.
        ComputationError: the catalogue cannot be read.
    """
    listed = {entry.path for entry in catalogue_entries()} if (home() / "catalogue.sqlite").is_file() else set[str]()
    found: list[Path] = []
    for top in (Path(folder).absolute() for folder in folders):
        for path, inner, files in os.walk(top):
            run = "manifest.json" in files
            last = run or len(Path(path).relative_to(top).parts) == depth
            inner[:] = [] if last else [name for name in sorted(inner) if name[0] != "."]
            if run and path not in listed and _is_run(Path(path)):
                found.append(Path(path))
    return list(dict.fromkeys(found))


def _is_run(folder: Path) -> bool:
    try:
        manifest = load_json(folder / "manifest.json")
    except (OSError, ValueError):
        return False
    return isinstance(manifest, dict) and manifest.get("format") == FORMAT
