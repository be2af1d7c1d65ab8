"""The catalogue: which runs there are, in one SQLite file that any number of processes read and write.

It is an index, not the truth: every fact in it stands in a run's own files, and a run that is not listed can be
added again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Generator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from wheatstone._errors import RunError
from wheatstone._home import home
from wheatstone.runs._folder import read_json, read_manifest

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
        return (Path(self.path) / "manifest.json").is_file()


@contextmanager
def _database() -> Generator[sqlite3.Connection, None, None]:
    path = home() / "catalogue.sqlite"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(path, timeout=30)) as database:
            database.execute("pragma journal_mode = wal")
            with database:
                database.execute(_SCHEMA)
                yield database
    except sqlite3.DatabaseError as error:
        raise RunError(
            expected="a catalogue that SQLite can read and write",
            got=f"{path}: {error}",
            do="if it is damaged, delete it and list runs again with `wheatstone runs add`",
        ) from error


def catalogue_add(run: Path) -> CatalogueEntry:
    """Lists a run, or brings its line up to date.

    Raises:
        RunError: there is no run of this format.
    """
    run = run.absolute()
    manifest = read_manifest(run)
    # A study has a circuit for every relation, a screen of neurons has none.
    evaluation = read_json(run, "circuit.json").get("evaluation") or {} if manifest["verb"] == "discover" else {}
    entry = CatalogueEntry(
        path=str(run),
        verb=manifest["verb"],
        model=manifest["model"]["id"],
        task=manifest["settings"].get("task") or manifest["prompts"][0]["prompt"],
        created=manifest["created"],
        edges=evaluation.get("edges"),
        faithfulness=evaluation.get("faithfulness"),
    )
    with _database() as database:
        database.execute("insert or replace into runs values (?, ?, ?, ?, ?, ?, ?)", tuple(vars(entry).values()))
    return entry


def catalogue_remove(run: Path) -> None:
    """Takes a run off the list; its folder stays."""
    with _database() as database:
        database.execute("delete from runs where path = ?", (str(run.absolute()),))


def catalogue_entries() -> list[CatalogueEntry]:
    """All listed runs, newest first."""
    with _database() as database:
        rows = database.execute("select * from runs order by created desc, path").fetchall()
    return [CatalogueEntry(*row) for row in rows]
