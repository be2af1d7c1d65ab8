"""The lists of what is bundled, from the code: what `scripts/commands.py` writes into lists.json."""

from __future__ import annotations

import json
from dataclasses import asdict


def lists() -> str:
    """The text of lists.json."""
    from wheatstone.editing import METHODS
    from wheatstone.neurons import CONCEPTS
    from wheatstone.tasks import bundled_tasks

    found = {
        "tasks": [asdict(about) for about in bundled_tasks()],
        "methods": [{"method": name, "summary": editor.summary} for name, editor in METHODS.items()],
        "concepts": [{"name": one.name, "rule": one.rule} for one in CONCEPTS.values()],
    }
    return json.dumps(found, indent=1, ensure_ascii=False) + "\n"
