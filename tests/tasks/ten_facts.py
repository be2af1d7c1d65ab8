"""Relations that several tests use, in the words of the tiny models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

TEMPLATES = ["w0 {subject} w3", "{subject} w4"]


def relation(facts: list[tuple[str, list[str]]], **more: Any) -> dict[str, Any]:
    rows = [{"subject": subject, "answers": answers} for subject, answers in facts]
    return {"name": "succession", "kind": "factual", "templates": TEMPLATES, "facts": rows, **more}


TEN = [(f"w{index}", [f"w{index + 20}"]) for index in range(5, 15)]


def write(folder: Path, value: Any, name: str = "relation.json") -> Path:
    path = folder / name
    path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
    return path
