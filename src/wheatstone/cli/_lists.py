"""What is bundled, by name: tasks, editing methods, concepts.

`scripts/commands.py` writes the lists into lists.json from the code, and a test compares the two, so that printing one
loads nothing that computes.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

LISTS = Path(__file__).with_name("lists.json")


def listed(what: str) -> list[dict[str, Any]]:
    """One list, as it was written.

    Args:
        what: `tasks`, `methods` or `concepts`.
    """
    return json.loads(LISTS.read_text(encoding="utf-8"))[what]


def lists() -> str:
    """The text of lists.json, from the code."""
    from wheatstone.editing import METHODS
    from wheatstone.neurons import CONCEPTS
    from wheatstone.tasks import bundled_tasks

    found = {
        "tasks": [asdict(about) for about in bundled_tasks()],
        "methods": [{"method": name, "summary": editor.summary} for name, editor in METHODS.items()],
        "concepts": [{"name": one.name, "rule": one.rule} for one in CONCEPTS.values()],
    }
    return json.dumps(found, indent=1, ensure_ascii=False) + "\n"
