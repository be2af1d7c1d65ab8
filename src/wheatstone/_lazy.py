"""Doors that open on first use: a package lists its public names without importing torch."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any


def door(package: str) -> Callable[[str], Any]:
    """A package's `__getattr__`, which imports on first use what the package imports under `if TYPE_CHECKING`.

    These imports are read from the package's own source, so that every name is said once, as type checkers read it.

    Args:
        package: its `__name__`.

    When this misleads: it needs the package's source, which an installation of compiled files alone does not have.
    """

    def getattr_(name: str) -> Any:
        if name.startswith("__") or name not in opens(package):
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(opens(package)[name]), name)

    return getattr_


@cache
def opens(package: str) -> dict[str, str]:
    """The module of each name that a package imports for type checkers alone."""
    loader: Any = sys.modules[package].__loader__
    return {
        name.name: str(node.module)
        for block in ast.parse(loader.get_source(package)).body
        if isinstance(block, ast.If) and isinstance(block.test, ast.Name) and block.test.id == "TYPE_CHECKING"
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for name in node.names
    }
