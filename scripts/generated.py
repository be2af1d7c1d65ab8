"""Pages that a script writes, and checks with `--check`."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path


def write_or_check(pages: Mapping[Path, str]) -> None:
    """Writes pages; or with `--check` on the command line exits with 1 where one is not what would be written."""
    for path, wanted in pages.items():
        if "--check" not in sys.argv[1:]:
            path.write_text(wanted, encoding="utf-8")
        elif not path.is_file() or path.read_text(encoding="utf-8") != wanted:
            print(f"{path.name} is not what scripts/{Path(sys.argv[0]).name} writes; run it")
            sys.exit(1)
