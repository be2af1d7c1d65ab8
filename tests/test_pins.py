"""What the package imports is declared, and what is declared is pinned."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]


def name_of(requirement: str) -> str:
    """`ray[client]>=2.40` is ray."""
    return re.split(r"[^\w.-]", requirement, maxsplit=1)[0].lower().replace("_", "-")


def test_every_dependency_is_pinned() -> None:
    declared = {
        name_of(each) for each in [*PROJECT["dependencies"], *(one for extra in EXTRAS.values() for one in extra)]
    }
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert declared <= {name_of(line) for line in lines if "==" in line}


def imported_from(folder: str) -> set[str]:
    """Top-level modules that files of a folder import, wherever in the file."""
    names: set[str] = set()
    for path in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                names.add(node.module or "")
    return {name.partition(".")[0] for name in names} - {"wheatstone"} - set(sys.stdlib_module_names)


def test_every_import_of_the_package_is_declared() -> None:
    """By the package itself or by an extra; `dev` is for those who work on it."""
    extras = (one for extra, each in EXTRAS.items() if extra != "dev" for one in each)
    declared = {name_of(each) for each in [*PROJECT["dependencies"], *extras]}
    distributions = packages_distributions()
    undeclared = {
        module
        for module in imported_from("src")
        if not {name_of(each) for each in distributions.get(module, [module])} & declared
    }
    assert undeclared == set()
