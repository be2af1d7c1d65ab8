"""JSON documents of the commands beside their schemas in docs/schemas/."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

SCHEMAS = Path(__file__).parents[1] / "docs/schemas"


@cache
def validator(format_: str) -> Draft202012Validator:
    """Of a format such as `wheatstone.discover/1`. Names that the schema does not list are refused here."""
    name = format_.removeprefix("wheatstone.").partition("/")[0]
    return Draft202012Validator(closed(json.loads((SCHEMAS / f"{name}.json").read_text(encoding="utf-8"))))


def closed(schema: Any) -> Any:
    """A schema that takes no other names than it lists: what a command prints is documented."""
    if isinstance(schema, list):
        return [closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {name: closed(part) for name, part in schema.items()}
    return inner | ({"additionalProperties": False} if isinstance(schema.get("properties"), dict) else {})


def wrong(document: Any) -> list[str]:
    """What in a document is not as its schema says: places and reasons."""
    found = validator(document["format"]).iter_errors(document)
    return [f"{'.'.join(map(str, error.absolute_path))}: {error.message[:300]}" for error in found]
