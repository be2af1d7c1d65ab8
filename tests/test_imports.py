"""Imports that import-linter does not see: those by a string, and those of another room's private module."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src/wheatstone"
MODULES = sorted(SOURCE.rglob("*.py"))
BY_STRING = {"_lazy.py": "what a door lists", "cli/_app.py": "the verbs' own modules", "_view.py": "pandas or polars"}
"""Modules that may import by a string, and what."""
PRIVATE = re.compile(r"wheatstone\.[a-z]\w*(\.\w+)*")
"""A module of a room, as a string names it."""
HEAVY = {"torch", "transformers"}
"""What takes seconds to load."""


def _name(path: Path) -> str:
    return path.relative_to(SOURCE).as_posix()


def _room(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0]


@cache
def _nodes(path: Path) -> tuple[ast.AST, ...]:
    return tuple(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


def _imports(path: Path) -> Iterator[str]:
    for node in _nodes(path):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
        elif isinstance(node, ast.Import):
            yield from (name.name for name in node.names)


def _floors() -> dict[str, int]:
    """By room, its place in the list of layers; the highest has 0."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    layers = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    return {room.strip(): floor for floor, layer in enumerate(layers) for room in layer.split("|")}


def test_only_doors_and_verbs_are_imported_by_a_string() -> None:
    for path in MODULES:
        names = {node.id for node in _nodes(path) if isinstance(node, ast.Name)}
        names |= {node.attr for node in _nodes(path) if isinstance(node, ast.Attribute)}
        if names & {"import_module", "__import__"}:
            assert _name(path) in BY_STRING, f"{_name(path)} imports by a string"


def test_a_door_opens_its_own_room_or_one_below() -> None:
    floors = _floors()
    for path in SOURCE.glob("*/__init__.py"):
        own = f"wheatstone.{_room(path)}"
        rooms = {".".join(name.split(".")[:2]) for name in _imports(path) if name.startswith("wheatstone.")} - {own}
        assert all(floors[room] > floors[own] for room in rooms if own in floors), f"the door of {own} opens {rooms}"


def test_every_name_on_a_door_can_be_had() -> None:
    for path in (SOURCE / "__init__.py", *SOURCE.glob("*/__init__.py")):
        package = import_module(".".join(("wheatstone", *path.parent.relative_to(SOURCE).parts)))
        for node in _nodes(path):
            for name in node.names if isinstance(node, ast.ImportFrom) else ():
                assert name.asname is None or getattr(package, name.asname) is not None


def _texts(path: Path) -> Iterator[str]:
    """Its strings."""
    for node in _nodes(path):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def test_no_room_imports_another_s_private_module() -> None:
    for path in MODULES:
        for name in (*_imports(path), *(text for text in _texts(path) if PRIVATE.fullmatch(text))):
            parts = name.split(".")
            private = len(parts) > 2 and parts[0] == "wheatstone" and parts[2].startswith("_")
            if private and not parts[1].startswith("_"):
                assert parts[1] == _room(path), f"{_name(path)} imports {name}"


def test_no_room_imports_another_s_module_from_its_door() -> None:
    """`from wheatstone.room import _module` reaches a private module too."""
    for path in MODULES:
        for node in _nodes(path):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("wheatstone."):
                room = node.module.split(".")[1]
                if not room.startswith("_") and room != _room(path):
                    names = [name.name for name in node.names if name.name.startswith("_")]
                    assert not names, f"{_name(path)} imports {names} from {node.module}"


def test_runs_need_no_model() -> None:
    """A list of runs loads neither torch nor a room that knows models."""
    for path in (path for path in MODULES if _room(path) == "runs"):
        roots = {name.split(".")[0] for name in _imports(path)}
        rooms = {name.split(".")[1] for name in _imports(path) if name.startswith("wheatstone.")}
        assert not roots & HEAVY, _name(path)
        assert all(room == "runs" or room.startswith("_") for room in rooms), _name(path)


def test_only_the_room_of_runs_reads_the_files_of_a_run() -> None:
    """`Run` is the only reader: no room above knows where a run keeps its files."""
    for path in MODULES:
        if _room(path) in ("figures", "studio", "cli"):
            assert not {"wheatstone._parquet", "pyarrow.parquet"} & set(_imports(path)), _name(path)
            text = path.read_text(encoding="utf-8")
            assert not any(f'"{name}.parquet"' in text for name in ("edges", "curve", "trace", "tracing")), _name(path)
