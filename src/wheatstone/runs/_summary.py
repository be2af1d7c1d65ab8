"""A summary: a frozen dataclass that a computation fills in, a run stores as JSON, and a page reads again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

Summary = TypeVar("Summary")
_hints = cache(get_type_hints)


def summary_json(value: Any) -> Any:
    """A summary as JSON: dataclasses and named tuples become objects, other tuples lists."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: summary_json(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return {name: summary_json(each) for name, each in zip(value._fields, value, strict=True)}  # pyright: ignore[reportAttributeAccessIssue]
    if isinstance(value, Mapping):
        return {name: summary_json(each) for name, each in value.items()}
    return [summary_json(each) for each in value] if isinstance(value, list | tuple) else value


def summary_of(kind: type[Summary], stored: Mapping[str, Any]) -> Summary:
    """A stored summary as a value of its class. A field that an earlier version did not store has its default.

    Args:
        kind: a frozen dataclass or a named tuple. Its fields may be such classes too, tuples of one type
            (`tuple[Row, ...]`), mappings from text (`Mapping[str, Row]`), and any of these or None.
        stored: what the run has.

    Raises:
        KeyError: a field without a default is missing.
        TypeError: a field holds something else.
    """
    hints = _hints(kind)
    if is_dataclass(kind):
        needed = {field.name for field in fields(kind) if field.default is field.default_factory is MISSING}
    else:
        needed = hints.keys() - getattr(kind, "_field_defaults", {}).keys()
    return kind(
        **{name: _value(hint, stored[name]) for name, hint in hints.items() if name in stored or name in needed}
    )


def _value(hint: Any, stored: Any) -> Any:
    origin, parts = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return None if stored is None else _value(next(part for part in parts if part is not type(None)), stored)
    if origin is tuple:
        return tuple(_value(parts[0], each) for each in stored)
    if origin is not None and issubclass(origin, Mapping):
        return {name: _value(parts[1], each) for name, each in stored.items()}
    if isinstance(hint, type) and (is_dataclass(hint) or hasattr(hint, "_fields")):
        return summary_of(hint, stored)
    if hint is float and isinstance(stored, int) and not isinstance(stored, bool):
        return float(stored)
    if isinstance(hint, type) and not isinstance(stored, hint):
        raise TypeError(f"{hint.__name__} expected, got {stored!r}"[:200])
    return stored
