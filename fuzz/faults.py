"""Kills every command that writes before each of its file operations, and fills the disk at each write.

    .venv/bin/python fuzz/faults.py [--only CASE …] [--kills N] [--full N] [--write]

`--write` writes docs/results/faults.md; with `--only`, the rows of other commands stay as they are. Without bounds
every distinct state and every point is tried, which takes some hours; `tests/faults.py` says how. Exit code 1 where
anything was lost. Needs Linux and a C compiler.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/results/faults.md"
HEAD = """# Commands that are killed, and disks that get full

Made by `python {command}`. Each command runs on a tiny random model, with the results of an earlier run
in its place where it can replace them.

* **Kills.** A copy of all files is kept before each file operation of the command (made by Python, Arrow, safetensors
  or SQLite alike): what a process that is killed there leaves. Copies that differ only in what is inside a claim's work
  folder, which the next command removes unread, are tried once. In each, the old or the new result must be whole (work
  that continues may be unfinished), `runs check` must pass, the same command must then end with the same bytes as
  without a kill, and nothing may be left behind.
* **Full disk.** From the n-th operation that needs space on, all of them fail, the first write after half of its bytes.
  The command must end with what it kept, or with one line; then, with space, the same holds as after a kill.

Times are not measured here, and clocks stand still, so that results can be compared byte for byte.

| command | file operations | distinct states | killed in | operations that need space | full from | lost |
|---|---|---|---|---|---|---|
"""


def main() -> int:
    """All cases, one after the other."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--kills", type=int)
    parser.add_argument("--full", type=int)
    parser.add_argument("--write", action="store_true")
    asked = parser.parse_args()
    words = [word for word in sys.argv[1:] if word != "--write"]
    found: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        shim = Path(folder) / "faults.so"
        source = ROOT / "tests/faults.c"
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-w", "-o", shim, source, "-ldl", "-lpthread"], check=True)
        environment = {**os.environ, "LD_PRELOAD": str(shim), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, str(ROOT / "tests/faults.py"), f"{folder}/cases", *words]
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
            for line in process.stdout or ():
                found.append(json.loads(line))
                print(_row(found[-1]), f"{found[-1]['seconds']:.0f} s", flush=True)
                for lost in found[-1]["lost"]:
                    print("   ", lost, flush=True)
    if asked.write:
        bounds = [f"--{name} {value}" for name in ("kills", "full") if (value := getattr(asked, name)) is not None]
        PAGE.write_text(_page(_merged(found) if asked.only else found, " ".join(bounds)), encoding="utf-8")
    return 1 if process.returncode or any(one["lost"] for one in found) else 0


def _merged(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of the page, with those of the commands that were run in their places, and new ones after them."""
    new = {one["case"]: one for one in found}
    rows: list[dict[str, Any]] = []
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("| `"):
            case, *numbers = (cell.strip(" `") for cell in line.strip("|").split("|"))
            names = ("operations", "states", "kills", "points", "full", "lost")
            row = dict(zip(names, (int(number.replace(",", "")) for number in numbers), strict=True))
            if case not in new and row["lost"]:
                raise SystemExit(f"{case} lost something; run it again")
            rows.append(new.pop(case, {"case": case, **row, "lost": []}))
    return [*rows, *new.values()]


def _row(one: dict[str, Any]) -> str:
    numbers = (one["operations"], one["states"], one["kills"], one["points"], one["full"], len(one["lost"]))
    return f"| `{one['case']}` | " + " | ".join(f"{number:,}" for number in numbers) + " |"


def _page(found: list[dict[str, Any]], words: str) -> str:
    sums = {name: sum(one[name] for one in found) for name in ("operations", "states", "kills", "points", "full")}
    total = _row({"case": "all", **sums, "lost": [text for one in found for text in one["lost"]]}).replace("`", "**")
    lines = [HEAD.format(command=f"fuzz/faults.py {words}".strip()), *(f"{_row(one)}\n" for one in found), f"{total}\n"]
    lost = [f"* `{one['case']}`: {text}\n" for one in found for text in one["lost"]]
    return "".join([*lines, *(["\n## Lost\n\n", *lost] if lost else [])])


if __name__ == "__main__":
    sys.exit(main())
