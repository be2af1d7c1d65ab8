"""Run by itself: work that is stopped midway, in processes forked from one that has only imported.

    stopped.py points MODEL FOLDER     shards, killed at one file operation after another, at random
    stopped.py command MODEL FOLDER    `wheatstone sweep`, likewise, by a signal of each kind
    stopped.py drivers MODEL FOLDER    shards in several processes, which whoever looks on stops
    stopped.py ray MODEL FOLDER ADDRESS    shards on a Ray cluster, likewise

Kill points are counted in operations on the folder's files, so that nothing depends on time.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from notes import notes, same_bytes

from wheatstone.cli import main
from wheatstone.cli._app import _terminated
from wheatstone.executors import (
    LocalExecutor,
    ProcessExecutor,
    RayExecutor,
    run_shards,  # once, for all that are forked
)
from wheatstone.models import load_model
from wheatstone.studies import run_sweep as run_sweep

SHARDS = 12
STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)


def forked(work: Callable[[], object]) -> int:
    """Does it in a process of its own, and gives its id."""
    process = os.fork()
    if process == 0:
        work()
        sys.exit(0)
    return process


def end_of(process: int) -> int:
    """Its exit code, or minus the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


class Counted:
    """Counts the operations on a folder's files in this process, and sends it a signal at one of them."""

    def __init__(self, folder: Path, at: int = 0, stop: signal.Signals = signal.SIGKILL) -> None:
        self.folder, self.at, self.stop, self.seen = str(folder), at, stop, 0
        sys.addaudithook(self)

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        ours = any(isinstance(argument, str) and argument.startswith(self.folder) for argument in arguments)
        if ours and event.startswith(("open", "os.", "shutil.", "tempfile.")):
            self.seen += 1
            if self.seen == self.at:
                os.kill(os.getpid(), self.stop)


def points(model_folder: str, folder: Path) -> None:
    """Twelve shards in each of several folders, killed up to eight times."""
    model = load_model(model_folder)
    draw = random.Random(0)

    def work(name: str, at: int = 0) -> None:
        out = folder / name
        out.mkdir(exist_ok=True)
        counted = Counted(out, at)
        run_shards(model, notes(folder / f"notes-{name}", SHARDS), out, "shards", LocalExecutor(1))
        (folder / f"{name}.seen").write_text(str(counted.seen))

    assert end_of(forked(lambda: work("quiet"))) == 0
    every = int((folder / "quiet.seen").read_text())
    killed = 0
    for number in range(4):
        name = f"killed{number}"
        for at in [draw.randrange(1, every) for _ in range(draw.randrange(1, 9))]:
            killed += end_of(forked(lambda name=name, at=at: work(name, at))) == -signal.SIGKILL
        assert end_of(forked(lambda name=name: work(name))) == 0
        assert same_bytes(folder / name) == same_bytes(folder / "quiet"), name
    print(json.dumps({"operations": every, "killed": killed}))


def command(model_folder: str, folder: Path) -> None:
    """The command, stopped by each signal at two points, and once more to its end."""
    words = ["wheatstone", "sweep", "--model", model_folder, "--task", str(folder / "pairs.jsonl"), "--known", "0"]
    draw = random.Random(0)
    load_model(model_folder)  # imports what every one of them needs
    import_module("pyarrow.parquet")

    def work(name: str, at: int = 0, stop: signal.Signals = signal.SIGKILL) -> None:
        counted = Counted(folder / name, at, stop)
        sys.argv = [*words, "--out", str(folder / name)]
        signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            main()
        finally:
            (folder / f"{name}.seen").write_text(str(counted.seen))

    assert end_of(forked(lambda: work("quiet"))) == 0
    every = int((folder / "quiet.seen").read_text())
    ends: dict[str, list[int]] = {}
    for stop in STOPS:
        name = stop.name
        for at in sorted(draw.randrange(1, every) for _ in range(2)):
            ends.setdefault(name, []).append(end_of(forked(lambda at=at, name=name, stop=stop: work(name, at, stop))))
        assert end_of(forked(lambda name=name: work(name))) == 0
        assert same_bytes(folder / name) == same_bytes(folder / "quiet"), name
    print(json.dumps({"operations": every, "ends": ends}))


def drivers(model_folder: str, folder: Path) -> None:
    """One process for each signal, which begins shards of which all but the first wait; ends with all of them."""

    def work(name: str) -> None:
        out = folder / name
        out.mkdir()
        signal.signal(signal.SIGTERM, _terminated)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        (folder / f"{name}.process").write_text(str(os.getpid()))
        waiting = {"n" + "0" * count: {"waits": True} for count in range(2, SHARDS + 1)}
        shards = notes(folder / f"notes-{name}", SHARDS, **waiting)
        run_shards(load_model(model_folder), shards, out, "shards", ProcessExecutor(2))

    processes = {stop.name: forked(lambda stop=stop: work(stop.name)) for stop in STOPS}
    print(json.dumps({name: end_of(process) for name, process in processes.items()}))


def on_ray(model_folder: str, folder: Path, address: str) -> None:
    """Shards on a cluster, of which all but the first wait."""
    (folder / "out").mkdir()
    waiting = {"n" + "0" * count: {"waits": True} for count in range(2, SHARDS + 1)}
    shards = notes(folder / "notes", SHARDS, **waiting)
    run_shards(load_model(model_folder), shards, folder / "out", "shards", RayExecutor(address))


if __name__ == "__main__":
    kinds = {"points": points, "command": command, "drivers": drivers, "ray": on_ray}
    kinds[sys.argv[1]](sys.argv[2], Path(sys.argv[3]), *sys.argv[4:])
