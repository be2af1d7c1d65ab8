"""Writes docs/schemas/, a JSON schema of what each command prints with --json, and docs/json.md, which lists them.

    .venv/bin/python scripts/schemas.py [--check]

The shapes are in `printed.py`, in the notation of `wheatstone.runs._documents`. `--check` writes nothing, and exits
with 1 where a file is not what would be written.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import typer
from commands import commands
from generated import write_or_check
from printed import ERROR, PRINTED
from printed_parts import MEANINGS, Means, With

from wheatstone._bounds import Bounds
from wheatstone.cli._app import app_of
from wheatstone.cli._settings import arguments_of
from wheatstone.runs._documents import Each

DOCS = Path(__file__).parents[1] / "docs"
TYPES = {
    str: "string",
    float: "number",
    int: "integer",
    bool: "boolean",
    dict: "object",
    list: "array",
    Path: "string",
    None: "null",
    type(None): "null",
}
HEAD = """# JSON documents

With `--json` a command prints one JSON object on stdout. Its first key is `format`, such as `wheatstone.discover/1`:
the command and the version of the format. Within a version names may be added; none is removed, renamed or given
another type. Each format has a JSON schema (draft 2020-12), which says what its names hold.
Written by `scripts/schemas.py`; the tests check the document of every command against its schema.

Numbers are finite. Intervals are `[low, high]`, at 95%. Paths are as
they were given, but for those of the catalogue of runs, which are absolute. An error is one object on stderr.
In the table, a name followed by ? may be missing.

| command | schema | at the top |
|---|---|---|
"""


def schema_of(shape: Any) -> dict[str, Any]:
    """A shape as a JSON schema."""
    match shape:
        case Means():
            return schema_of(shape.shape) | ({"description": shape.text} if shape.text else {})
        case With():
            record = schema_of(shape.kind)
            for name, part in _record(shape.more)["properties"].items():
                record["properties"][name] = part
            record["required"] += [name for name in shape.more if not name.endswith("?")]
            return record
        case Bounds():
            return {"type": "integer", "minimum": int(shape.least), "maximum": int(shape.most)}
        case tuple():
            return _any(map(schema_of, shape))
        case [inner]:
            return {"type": "array", "items": schema_of(inner)}
        case Each():
            return {"type": "object", "additionalProperties": schema_of(shape.shape)}
        case dict():
            return _record(shape)
        case _ if shape in TYPES:
            return {"type": TYPES[shape]}
        case _:
            return _of_type(shape)


def _any(parts: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Any one of several schemas."""
    every = list(parts)
    if all(part.keys() == {"type"} for part in every):
        return {"type": [part["type"] for part in every]}
    return {"anyOf": every}


def _record(shape: Mapping[str, Any]) -> dict[str, Any]:
    properties: dict[str, Any] = {}
    for key, inner in shape.items():
        name = key.removesuffix("?")
        properties[name] = ({} if isinstance(inner, Means) else _meaning(name, MEANINGS)) | schema_of(inner)
    required = [key for key in shape if not key.endswith("?")]
    return {"type": "object", "properties": properties, "required": required}


def _meaning(name: str, meanings: Mapping[str, str]) -> dict[str, str]:
    return {"description": meanings[name]} if name in meanings else {}


def _of_type(kind: Any) -> dict[str, Any]:
    """A type of Python as a schema; a dataclass or named tuple with the meanings of its docstring."""
    if kind is Any:
        return {}
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin is Annotated:
        return schema_of(arguments[0])
    if origin in (Union, UnionType):
        return _any(map(schema_of, arguments))
    if origin is tuple and arguments[-1] is not Ellipsis:
        parts = {json.dumps(schema_of(one)): schema_of(one) for one in arguments}
        of = {"items": _any(parts.values()) if len(parts) > 1 else next(iter(parts.values()))}
        return {"type": "array", **of, "minItems": len(arguments), "maxItems": len(arguments)}
    if origin in (tuple, list, Sequence):
        return {"type": "array", "items": schema_of(arguments[0])}
    if origin in (dict, Mapping):
        return {"type": "object", "additionalProperties": schema_of(arguments[1])}
    hints = get_type_hints(kind, include_extras=True)
    fields = getattr(kind, "_fields", None) or [field.name for field in dataclasses.fields(kind)]
    meanings = {name: re.sub(r"\bNone\b", "null", text) for name, text in arguments_of(kind).items()}
    properties = {name: _meaning(name, meanings) | schema_of(hints[name]) for name in fields}
    return {"type": "object", "properties": properties, "required": list(fields)}


def document(format_: str, what: str, shape: Any) -> str:
    """The schema of one format, as it is in its file."""
    bodies = [schema_of(variant) for variant in _variants(shape)]
    for body in bodies:
        body["properties"] = {"format": {"const": format_}} | body["properties"]
        body["required"] = ["format", *body["required"]]
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": format_, "description": what}
    return (
        json.dumps(head | (bodies[0] if len(bodies) == 1 else {"anyOf": bodies}), indent=1, ensure_ascii=False) + "\n"
    )


def _variants(shape: Any) -> tuple[Any, ...]:
    """What a command prints with one option or another."""
    return shape if isinstance(shape, tuple) and not isinstance(shape, With) else (shape,)


def _names(shape: Any) -> str:
    """The names at the top of a document."""
    body = schema_of(shape)
    return ", ".join(f"`{name}`" + "?" * (name not in body["required"]) for name in body["properties"])


def pages() -> dict[Path, str]:
    """Every file that is written."""
    root = typer.main.get_command(app_of())
    helps = {words.removeprefix("wheatstone "): command.help or "" for words, command in commands(root, "wheatstone")}
    written, rows = dict[Path, str](), list[str]()
    for verb, shape in sorted(PRINTED.items()):
        name = verb.replace(" ", "-")
        what = " ".join(helps[verb].partition("\n\n")[0].split())
        written[DOCS / f"schemas/{name}.json"] = document(f"wheatstone.{name}/1", what, shape)
        names = "; or ".join(map(_names, _variants(shape)))
        rows.append(f"| `{verb}` | [{name}.json](schemas/{name}.json) | {names} |")
    written[DOCS / "schemas/error.json"] = document("wheatstone.error/1", "An error, on stderr.", ERROR)
    rows.append(f"| an error | [error.json](schemas/error.json) | {_names(ERROR)} |")
    return written | {DOCS / "json.md": HEAD + "\n".join(rows) + "\n"}


if __name__ == "__main__":
    (DOCS / "schemas").mkdir(exist_ok=True)
    write_or_check(pages())
