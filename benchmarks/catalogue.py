"""The catalogue under load: how long a list of many runs takes, and many processes writing at once.

    python benchmarks/catalogue.py [--runs 10000] [--processes 8] [--seconds 60]

Prints one JSON document. Works in a temporary folder with a catalogue of its own.

`list`: that many runs, each a folder with its manifest, are listed by the library (all of them, and whether each
folder is still there), and by `wheatstone runs` and `wheatstone runs --json` as processes of their own; the median and
mean of ten, the mean's 95% interval by Student's t, and the processor's time, beside what the command takes with an
empty list and what Python takes to start. `write`: so many processes each add runs, one transaction at
a time, and look at the list now and then; every run that a process was told was listed must be in the list at the end,
and SQLite's integrity check must say ok.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from scipy.stats import t

from wheatstone.runs import catalogue_entries
from wheatstone.runs._catalogue import _database, entry_of
from wheatstone.runs._folder import FORMAT

REPEATS = 10
COMMAND = [sys.executable, "-c", "from wheatstone.cli import main; main()", "runs"]
# Each process makes its runs' folders as it goes; it prints the ones that were listed.
WRITER = """
import json, sys, time
from pathlib import Path
from wheatstone.runs import catalogue_add, catalogue_entries
from benchmark import make_run
folder, seconds = Path(sys.argv[1]), float(sys.argv[2])
end, listed = time.monotonic() + seconds, 0
while time.monotonic() < end:
    catalogue_add(make_run(folder / str(listed), listed))
    listed += 1
    if listed % 100 == 0:
        catalogue_entries(50)
print(listed)
""".replace("benchmark", Path(__file__).stem)


def make_run(folder: Path, number: int) -> Path:
    """The least that is a run."""
    folder.mkdir(parents=True)
    manifest = {
        "format": FORMAT,
        "verb": "study",
        "created": f"2026-01-01T{number // 3600 % 24:02}:{number // 60 % 60:02}:{number % 60:02}+00:00",
        "model": {"id": "tiny"},
        "settings": {"task": f"task {number}"},
        "prompts": [],
    }
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return folder


def times_ms(do: Callable[[], object]) -> dict[str, Any]:
    """What it takes in milliseconds: by the clock, and of the processor, here and in processes that it began."""
    taken: list[float] = []
    begun = os.times()
    for _ in range(REPEATS):
        started = time.perf_counter()
        do()
        taken.append((time.perf_counter() - started) * 1000)
    processor = sum(os.times()[:4]) - sum(begun[:4])
    mean = statistics.fmean(taken)
    half = float(t.ppf(0.975, REPEATS - 1)) * statistics.stdev(taken) / REPEATS**0.5
    return {
        "median": round(statistics.median(taken), 1),
        "mean": round(mean, 1),
        "ci95": [round(mean - half, 1), round(mean + half, 1)],
        "processor": round(processor * 1000 / REPEATS, 1),
        "n": REPEATS,
    }


def command(*words: str) -> Callable[[], object]:
    """`wheatstone runs` as a process of its own."""
    return lambda: subprocess.run([*COMMAND, *words], check=True, stdout=subprocess.DEVNULL)


def measure_list(folder: Path, runs: int) -> dict[str, Any]:
    """Times of lists of so many runs."""
    empty = times_ms(command())
    entries = [entry_of(make_run(folder / str(number), number)) for number in range(runs)]
    with _database() as database:  # at once, to be quick; `measure_write` adds them one by one
        rows = [tuple(vars(entry).values()) for entry in entries]
        database.executemany("insert into runs values (?, ?, ?, ?, ?, ?, ?)", rows)
    return {
        "runs": runs,
        "library_ms": times_ms(lambda: [entry.exists for entry in catalogue_entries()]),
        "library_newest_50_ms": times_ms(lambda: [entry.exists for entry in catalogue_entries(50)]),
        "command_ms": times_ms(command()),
        "command_json_ms": times_ms(command("--json")),
        "command_empty_ms": empty,
        "python_ms": times_ms(lambda: subprocess.run([sys.executable, "-c", "pass"], check=True)),
    }


def measure_write(folder: Path, processes: int, seconds: float) -> dict[str, Any]:
    """What so many writers at once leave."""
    before = {entry.path for entry in catalogue_entries()}
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(folder / f"writer{number}"), str(seconds)],
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for number in range(processes)
    ]
    counts = [int(writer.communicate(timeout=seconds + 120)[0] or -1) for writer in writers]
    wanted = {
        str(folder / f"writer{number}" / str(at)) for number, count in enumerate(counts) for at in range(max(count, 0))
    }
    listed = {entry.path for entry in catalogue_entries()} - before
    with sqlite3.connect(Path(os.environ["WHEATSTONE_HOME"]) / "catalogue.sqlite") as database:
        integrity = database.execute("pragma integrity_check").fetchone()[0]
    return {
        "processes": processes,
        "seconds": seconds,
        "failed": sum(writer.returncode != 0 for writer in writers),
        "added": len(wanted),
        "lost": len(wanted - listed),
        "integrity_check": integrity,
    }


def main() -> None:
    """Runs both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=60)
    asked = parser.parse_args()
    folder, load = Path(tempfile.mkdtemp(prefix="catalogue-")), os.getloadavg()[0]
    os.environ["WHEATSTONE_HOME"] = str(folder / "home")
    try:
        found = {
            "list": measure_list(folder / "runs", asked.runs),
            "write": measure_write(folder, asked.processes, asked.seconds),
            "load_average": {"before": round(load, 1), "after": round(os.getloadavg()[0], 1)},
        }
    finally:
        shutil.rmtree(folder)
    print(json.dumps(found, indent=1))
    sys.exit(bool(found["write"]["lost"] or found["write"]["failed"] or found["write"]["integrity_check"] != "ok"))


if __name__ == "__main__":
    main()
