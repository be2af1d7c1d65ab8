"""A run as an object: everything that is read from a run folder is read here, without torch and without a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wheatstone._errors import RunError
from wheatstone._path import StrPath
from wheatstone._view import Brief
from wheatstone.runs._columns import Row, count_rows, first_rows, read_table
from wheatstone.runs._contents import Contents, contents_of
from wheatstone.runs._folder import file_inside, read_json, read_manifest, read_sound_manifest
from wheatstone.runs._section import Section
from wheatstone.runs._sound import sound

if TYPE_CHECKING:
    import pyarrow as pa

_EXPLAIN = "explain"


@dataclass(frozen=True, eq=False)
class Run(Brief):
    """A finished run, opened for reading. Documents and tables go by their names without ending.

    Args:
        path: its folder.
        manifest: `manifest.json`.
    """

    path: Path
    manifest: Mapping[str, Any]

    @classmethod
    def open(cls, path: StrPath, *verbs: str) -> Run:
        """Opens a run by reading its manifest; everything else is read when it is needed.

        Args:
            path: the run folder.
            verbs: those that may have made it; any by default.

        Raises:
            RunError: there is no run, it is of another format or verb, or its manifest is damaged.
        """
        return cls(Path(path), read_manifest(path, *verbs))

    @classmethod
    def open_checked(cls, path: StrPath, *verbs: str) -> Run:
        """Opens a run after checking all of its documents, so that a damaged one is refused before any work.

        A circuit is not among them, for it may be large; it is checked where it is loaded. Neither are the sections
        of `explain`, which can be made again one by one.

        Raises:
            RunError: as `open`, or a document is damaged.
        """
        return cls(Path(path), read_sound_manifest(path, *verbs))

    @property
    def verb(self) -> str:
        """The verb in the manifest."""
        return self.manifest["verb"]

    @property
    def contents(self) -> Contents:
        """What the runs of its verb contain."""
        return contents_of(self.verb)

    @property
    def settings(self) -> Mapping[str, Any]:
        """The settings that it was made with."""
        return self.manifest["settings"]

    @property
    def missing(self) -> dict[str, str]:
        """By name, why a side result could not be made."""
        return dict(self.manifest.get("missing") or {})

    @property
    def title(self) -> str:
        """What the run is about: its own title, its task or its first prompt. A weak answer is marked."""
        prompts = self.manifest.get("prompts") or [{"prompt": self.contents.command}]
        title = str(self.manifest.get("title") or self.settings.get("task") or prompts[0]["prompt"])
        weak = (self.manifest.get("model_answers") or {}).get("needs_allow_weak")
        return f"{title} (weak answer)" if weak else title

    def has(self, document: str) -> bool:
        """Whether the run contains a document."""
        return (self.path / f"{document}.json").is_file()

    def document(self, name: str) -> Any:
        """A JSON document, such as `circuit` or `explain/lens`.

        Raises:
            RunError: it is missing or damaged, or a field is missing, of another type or out of range.
        """
        return read_json(self.path, f"{name}.json")

    @property
    def result(self) -> Any:
        """The document with the run's result; errors as `document`."""
        return self.document(self.contents.document)

    @property
    def evaluation(self) -> dict[str, Any]:
        """How its circuit did on the prompts it was found on; empty for a run without one. Errors as `document`."""
        return self.result.get("evaluation") or {} if self.contents.document == "circuit" else {}

    @property
    def held_out(self) -> list[Mapping[str, Any]]:
        """Verifications on other prompts than its own; errors as `document`."""
        return self.document("held_out") if self.has("held_out") else []

    @property
    def verifications(self) -> list[Mapping[str, Any]]:
        """The verification on its own prompts, which an imported circuit may lack, then those on others; errors as
        `document`."""
        return [*([self.document("verification")] if self.has("verification") else []), *self.held_out]

    def file(self, name: str) -> Path:
        """A file of the run by its name with ending, such as `circuit.json`.

        Raises:
            RunError: it is not there, or a link leads out of the run.
        """
        return file_inside(self.path, name)

    @cached_property
    def tables(self) -> tuple[str, ...]:
        """Names of its tables, the main one first, then those that `explain` added.

        Raises:
            RunError: a section of the explanation is damaged.
        """
        own = [name for name in self.contents.columns if (self.path / self._file_of(name)).is_file()]
        return tuple(dict.fromkeys([*own, *self.explained]))

    def table(self, name: str, *, columns: Sequence[str] | None = None, filters: Any = None) -> pa.Table:
        """A table, with the columns that its verb registered.

        Args:
            name: of the table.
            columns: to read; all by default.
            filters: of rows, see `pyarrow.parquet.read_table`.

        Raises:
            RunError: the run has no such table, it is damaged, or a column is missing or of another type.
        """
        return read_table(self.path_of(name), self.contents.columns.get(name), columns=columns, filters=filters)

    def path_of(self, table: str) -> Path:
        """The file of a table.

        Raises:
            RunError: the run has no such table.
        """
        if table in self.contents.columns:
            return self.file(self._file_of(table))
        if table in self.explained:
            return self.file(f"{_EXPLAIN}/{table}.parquet")
        raise RunError(
            expected=f"a table out of {', '.join(self.tables)}" if self.tables else "a run with tables",
            got=f"{table!r}, which {self.path} does not have",
            do="choose another table, or make more with `wheatstone explain`",
        )

    def rows(self, name: str, *, filters: Any = None) -> list[Row]:
        """The rows of a table; errors as `table`."""
        return self.table(name, filters=filters).to_pylist()

    def first(self, name: str, most: int) -> list[Row]:
        """The first rows of a table; errors as `table`."""
        return first_rows(self.path_of(name), most)

    def count(self, name: str) -> int:
        """The number of rows of a table, from its metadata alone; errors as `table`."""
        return count_rows(self.path_of(name))

    def _file_of(self, name: str) -> str:
        """The file of one of its verb's tables, under its former name in a run of an earlier version."""
        formerly = self.contents.formerly.get(name)
        old = formerly is not None and not (self.path / f"{name}.parquet").exists()
        return f"{formerly if old else name}.parquet"

    def decisions(self, folder: StrPath | None = None) -> dict[tuple[str, str], str]:
        """By sender and receiver, whether an edge is in, out or undecided by the run's card; empty without a card.

        Args:
            folder: of the card's tables; by default where the run keeps them.

        Raises:
            RunError: the table is damaged, or a link leads out of the run.
        """
        root, name = (self.path, "card/edges.parquet") if folder is None else (Path(folder), "edges.parquet")
        if not (root / name).is_file():
            return {}
        path, wanted = file_inside(root, name), ["sender", "receiver", "decision"]
        columns = read_table(path, dict.fromkeys(wanted, str), columns=wanted).to_pydict().values()
        return {(sender, receiver): decision for sender, receiver, decision in zip(*columns, strict=True)}

    def sections(self, folder: StrPath | None = None) -> dict[str, Section]:
        """The sections of its explanation, by name; empty where it was not explained.

        Args:
            folder: that holds them; the run's own by default.

        Raises:
            RunError: one is damaged.
        """
        folder = self.path / _EXPLAIN if folder is None else Path(folder)
        root = self.path if folder.is_relative_to(self.path) else folder  # a new explanation is not in the run yet
        documents = sorted(folder.glob("*.json"))
        return {path.stem: Section(folder, read_json(root, path.relative_to(root).as_posix())) for path in documents}

    @cached_property
    def explained(self) -> dict[str, Section]:
        """The section of each table that `explain` added; errors as `sections`."""
        with sound(self.path):
            return {name: section for section in self.sections().values() for name in section.tables}
