"""Writes docs/api.md: every public name with its signature and what it is, from the code.

    .venv/bin/python scripts/api.py [--check]

`--check` writes nothing, and exits with 1 where the page is not what would be written.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from generated import write_or_check

import wheatstone
from wheatstone._lazy import opens

PAGE = Path(__file__).parents[1] / "docs/api.md"
HEAD = """# API

Every public name, from the code. Written by `scripts/api.py`, checked by a test. Import names from the package under
which they are listed; `import wheatstone as ws` has those of the first section. [Architecture](architecture.md) says
what the packages are for, [the library](guides/library.md) shows them at work. `help(NAME)` prints arguments, shapes,
errors and when a result misleads.
"""
SOURCE = Path(wheatstone.__file__).parent
PACKAGES = ("wheatstone", *(f"wheatstone.{door.parent.name}" for door in sorted(SOURCE.glob("[!_]*/__init__.py"))))
_LONGEST = 110
"""Letters of a line of code."""


@cache
def definitions(module: str) -> dict[str, ast.stmt]:
    """The statements at the top of a module that define names, by name. Nothing is imported."""
    spec = find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    body = ast.parse(Path(spec.origin).read_text(encoding="utf-8")).body
    found: dict[str, ast.stmt] = {}
    for at, node in enumerate(body):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found[node.name] = node
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            after = body[at + 1] if at + 1 < len(body) else None
            names = [part.id for target in targets for part in ast.walk(target) if isinstance(part, ast.Name)]
            found |= dict.fromkeys(names, _Value(node, after))
    return found


class _Value(ast.stmt):
    """A value and the text below it."""

    def __init__(self, node: ast.Assign | ast.AnnAssign, after: ast.stmt | None) -> None:
        super().__init__()
        self.node, self.after = node, after


def entry(name: str, module: str) -> tuple[str, str]:
    """A name's signature and the first paragraph of its text."""
    module = home_of(name, module)
    node = definitions(module)[name]
    if isinstance(node, _Value):
        after, value = node.after, ast.unparse(node.node)
        text = after.value.value if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) else ""
        return value if len(value) <= _LONGEST else f"{value[: _LONGEST - 1]}…", " ".join(str(text).split())
    assert isinstance(node, ast.FunctionDef | ast.ClassDef)
    first = (ast.get_docstring(node) or "").partition("\n\n")[0]
    return _signature(node, module), " ".join(first.split())


def home_of(name: str, module: str) -> str:
    """The module that defines a name which a package may hand on."""
    while name not in definitions(module):
        module = opens_of(module)[name]
    return module


def opens_of(module: str) -> dict[str, str]:
    """As `opens`, of a door that is imported first."""
    __import__(module)
    return opens(module)


def _signature(node: ast.FunctionDef | ast.ClassDef, module: str) -> str:
    if isinstance(node, ast.FunctionDef):
        returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
        return f"{node.name}({ast.unparse(node.args)}){returns}"
    marks = {ast.unparse(mark).partition("(")[0] for mark in node.decorator_list}
    if "dataclass" in marks or "NamedTuple" in map(ast.unparse, node.bases):
        return f"{node.name}({', '.join(_fields(getattr(import_module(module), node.name)))})"
    made = next((each for each in node.body if isinstance(each, ast.FunctionDef) and each.name == "__init__"), None)
    if made is None:
        return f"class {node.name}"
    return f"{node.name}({ast.unparse(made.args).removeprefix('self, ').removeprefix('self')})"


def _fields(of: type[Any]) -> Iterator[str]:
    """The fields of a dataclass or named tuple, inherited ones too."""
    for parameter in inspect.signature(of).parameters.values():
        kind = getattr(parameter.annotation, "__forward_arg__", parameter.annotation)
        kind = kind if isinstance(kind, str) else getattr(kind, "__name__", "Any")
        default = parameter.default
        plain = default is None or isinstance(default, str | int | float | tuple)
        shown = "" if default is parameter.empty else f" = {default!r}" if plain else " = …"
        yield f"{parameter.name}: {kind}{shown}"


def section(package: str) -> str:
    """One package's part of the page."""
    lines = [f"## {package}", ""]
    names = opens_of(package) | (_errors() if package == "wheatstone" else {})
    for name, module in sorted(names.items(), key=lambda both: both[0].lower()):
        signature, text = entry(name, module)
        lines += [f"### {name}", "", *(f"    {line}" for line in _wrapped(signature)), "", text, ""]
        node = definitions(home_of(name, module))[name]
        rows = [
            f"* `{each.name}`: {' '.join(paragraph.split())}"
            for each in (node.body if isinstance(node, ast.ClassDef) else ())
            if isinstance(each, ast.FunctionDef) and each.name[0] != "_"
            if (paragraph := (ast.get_docstring(each) or "").partition("\n\n")[0])
        ]
        lines += [*rows, ""] if rows else []
    return "\n".join(lines)


def _errors() -> dict[str, str]:
    errors = (name for name, value in vars(wheatstone).items() if isinstance(value, type) and name.endswith("Error"))
    return dict.fromkeys(errors, "wheatstone._errors")


def _wrapped(signature: str) -> list[str]:
    """A signature, broken after commas that are in no brackets but the outer ones."""
    if len(signature) <= _LONGEST:
        return [signature]
    lines, depth, line = list[str](), 0, ""
    for sign in signature:
        depth += (sign in "([{") - (sign in ")]}")
        line += sign
        if sign == "," and depth == 1 and len(line) > 80:
            lines.append(line)
            line = "   "
    return [*lines, line]


def page() -> str:
    """The page as it should be."""
    text = "\n".join([HEAD, *map(section, PACKAGES)])
    return "\n".join(line.rstrip() for line in text.split("\n")).rstrip() + "\n"


if __name__ == "__main__":
    write_or_check({PAGE: page()})
