"""What is bundled, by name: tasks, editing methods, concepts; so that listing them loads nothing that computes.

`scripts/commands.py` writes lists.json from the code, and a test compares the two.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

LISTS = Path(__file__).with_name("lists.json")


def listed(what: str) -> list[dict[str, Any]]:
    """One list, as it was written.

    Args:
        what: `tasks`, `methods` or `concepts`.
    """
    return json.loads(LISTS.read_text(encoding="utf-8"))[what]
