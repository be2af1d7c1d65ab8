"""How long every command takes until it shows something: docs/results/first-output.md.

    python benchmarks/first_output.py [--repeats 3] [--only VERB] [--write]

Runs the first example of each command's help on SmolLM2-135M-Instruct (Q4_1), on a terminal, in a fresh copy of a
folder that holds what the examples name. The clock starts with the process and stops at the first letter on the
terminal; a command that is not done after a further second is killed. Linux and macOS. Some seven minutes on an idle
machine with two cores.
"""

from __future__ import annotations

import argparse
import os
import platform
import pty
import re
import select
import shlex
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import psutil

from wheatstone._home import home
from wheatstone._progress import EVERY
from wheatstone.cli._examples import EXAMPLES
from wheatstone.studio._library import EXAMPLES as RUNS

PAGE = Path(__file__).parents[1] / "docs/results/first-output.md"
COMMAND = [sys.executable, "-c", "from wheatstone.cli import main; main()"]
EXAMPLE_RUNS = {"france": "a-fact", "capitals": "a-relation", "ioi": "indirect-object", "graph": "a-fact-in-neurons"}
"""Runs that the examples name, out of those that the studio shows."""
PREPARED = {
    "france.tar.zst": "runs export runs/france --out france.tar.zst",
    "circuit.eap.json": "export runs/france --format eap-json --out circuit.eap.json",
    "notes.whst": "compress notes.txt --out notes.whst",
    "runs/heads": "head scan texts --layers 23 --tokens 512 --out runs/heads",
    "ledger": EXAMPLES["edit add"][0] + " --method ft-m",
}
"""Commands that make the rest, where an example names it."""
MORE = {
    "compress": "--force",
    "decompress": "--force",
    "edit add": "--replace",
    "import": "--force",
    "runs export": "--force",
    "runs import": "--force",
    "studio": "--no-browser --port 0",
}
"""Added to an example: no browser is opened, and what the copy holds already is replaced."""
LISTS = (
    *("completion", "edit --list", "init task", "models", "models list"),
    *("neuron probe --list", "runs", "runs list", "tasks"),
)
"""Commands that load no model and check nothing: wanted within `LIST` seconds. `edit list` reads and checks every file
of its ledger."""
LIST, DISCOVER = 0.3, 3.0
AFTER = 1.0
"""Seconds that a command may still run."""
PATIENCE = 120.0
_CONTROL = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]|\s")


class Seen(NamedTuple):
    """One run of a command.

    Args:
        first: seconds to the first letter.
        processor: seconds of processor time until then.
        done: seconds until it ended, where it did.
        code: its exit code, where it ended.
        text: what it showed.
    """

    first: float
    processor: float
    done: float | None
    code: int | None
    text: bytes


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", action="append", help="a command, such as 'runs list'; may be repeated")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.name}")
    options = parser.parse_args()
    if options.only and options.write:
        parser.error("expected every command with --write; got --only; leave one out")
    load, began = os.getloadavg()[0], time.perf_counter()
    with tempfile.TemporaryDirectory() as work:
        template = Path(work) / "template"
        lines = lines_of(options.only or ())
        prepare(template, " ".join(lines.values()))
        rows: dict[str, list[Seen]] = {}
        for verb, line in lines.items():
            rows[verb] = [measure(template, shlex.split(line)) for _ in range(options.repeats)]
            print(row(verb, rows[verb]), flush=True)
    if options.write:
        seconds = time.perf_counter() - began
        PAGE.write_text(page(rows, options.repeats, load, seconds), encoding="utf-8")


def lines_of(only: Sequence[str]) -> dict[str, str]:
    """What is measured: of each command its first example, and the options that list something."""
    lines = {verb: examples[0].partition(" >")[0] for verb, examples in EXAMPLES.items()}
    lines |= {line: line for examples in EXAMPLES.values() for line in examples if line.endswith(" --list")}
    of_others = {
        verb
        for verb, line in lines.items()
        if any(line.startswith(f"{other} ") for other in lines if other.startswith(f"{verb} "))
    }
    chosen = {
        verb: f"{line} {MORE.get(verb, '')}".replace("--out runs/", "--out made/")
        for verb, line in sorted(lines.items())
        if verb not in of_others
    }
    return {verb: line for verb, line in chosen.items() if verb in only} if only else chosen


def prepare(folder: Path, named: str) -> None:
    """Makes a folder with everything that the examples name, and a cache that shares the model's file."""
    (folder / "runs").mkdir(parents=True)
    for name, example in EXAMPLE_RUNS.items():
        shutil.copytree(RUNS / example, folder / "runs" / name)
    (folder / "notes.txt").write_text("The official language of France is French, and its capital is Paris.\n" * 3)
    (folder / "texts").mkdir()
    for text in (Path(__file__).parents[1] / "docs/guides").glob("*.md"):
        shutil.copy(text, folder / "texts")
    own = '{"supernodes": [{"name": "my own", "members": ["group 0"]}]}'
    (folder / "supernodes.json").write_text(own)
    model = home() / "models/smollm2-135m"
    shutil.copytree(model, folder / "home/models/smollm2-135m", copy_function=_copy)
    for line in ("runs add runs/france", *(line for made, line in PREPARED.items() if made in named)):
        subprocess.run([*COMMAND, *shlex.split(line)], cwd=folder, env=environment(folder), check=True)


def _copy(source: str, target: str) -> None:
    """Copies a file; one of more than 10 MB, which no command writes to, is shared."""
    (os.link if os.path.getsize(source) > 10_000_000 else shutil.copy2)(source, target)


def environment(folder: Path) -> Mapping[str, str]:
    """Variables of a command in a folder of its own."""
    return {**os.environ, "WHEATSTONE_HOME": str(folder / "home"), "COLUMNS": "80", "TERM": "xterm-256color"}


def measure(template: Path, words: list[str]) -> Seen:
    """Runs a command once, in a copy of the folder."""
    with tempfile.TemporaryDirectory(dir=template.parent) as copy:
        folder = Path(copy) / "work"
        shutil.copytree(template, folder, copy_function=_copy)
        ours, theirs = pty.openpty()
        start = time.perf_counter()
        process = psutil.Popen(
            [*COMMAND, *words],
            cwd=folder,
            env=environment(folder),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        try:
            return _watch(process, ours, start)
        finally:
            os.close(ours)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _watch(process: psutil.Popen, screen: int, start: float) -> Seen:
    """Reads a terminal until its command is done, or has shown something and had its further second."""
    text, first, processor = b"", None, 0.0
    while time.perf_counter() - start < (PATIENCE if first is None else first + AFTER):
        ready, _, _ = select.select([screen], [], [], 0.01)
        try:
            text += os.read(screen, 1 << 16) if ready else b""
        except OSError:  # Linux says so where the other side is closed
            break
        if first is None and _CONTROL.sub(b"", text):
            first, times = time.perf_counter() - start, process.cpu_times()
            processor = times.user + times.system
    done = None
    if process.poll() is not None or _ended(process):
        done = time.perf_counter() - start
    if first is None:
        raise SystemExit(f"{shlex.join(process.args)} showed nothing in {PATIENCE:.0f} s: {text!r}")
    return Seen(first, processor, done, process.poll(), text)


def _ended(process: psutil.Popen) -> bool:
    """Whether a command whose terminal is closed is gone within a moment."""
    try:
        process.wait(0.05)
    except psutil.TimeoutExpired:
        return False
    return True


def row(verb: str, seen: list[Seen]) -> str:
    """A command's line of the table."""
    for one in seen:
        if one.code not in (None, 0):
            raise SystemExit(f"{verb} ended with {one.code}: {one.text.decode(errors='replace')}")
    first = [one.first for one in seen]
    done = [one.done for one in seen]
    ended = f"{statistics.median(filter(None, done)):.2f}" if all(done) else "–"
    wanted = LIST if verb in LISTS else DISCOVER if verb == "discover" else None
    held = "" if wanted is None else f"≤ {wanted:g}: " + ("held" if statistics.median(first) <= wanted else "missed")
    middle = statistics.median(first)
    processor = statistics.median(one.processor for one in seen)
    return f"| `{verb}` | {middle:.2f} ({min(first):.2f} to {max(first):.2f}) | {processor:.2f} | {ended} | {held} |"


def page(rows: Mapping[str, list[Seen]], repeats: int, load: float, seconds: float) -> str:
    """The page of results."""
    lists = [rows[verb] for verb in LISTS if verb in rows]
    clock = [statistics.median(one.first for one in seen) <= LIST for seen in lists]
    processor = [statistics.median(one.processor for one in seen) <= LIST for seen in lists]
    lines = [
        "# Time to first output",
        "",
        f"Made by `python benchmarks/first_output.py --repeats {repeats} --write`.",
        "",
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, SmolLM2-135M-Instruct "
        f"(Q4_1); load {load:.1f} when it began, {seconds:.0f} s. Each command is the first example of its help, on a "
        f"terminal, run {repeats} time{'s' * (repeats != 1)} in a fresh copy of its folder. *First output*: seconds of "
        "the clock from the start of the process to the first letter on the terminal, median (smallest to largest). "
        "*Processor*: seconds of processor time until then. *Done*: seconds to the end, of commands that end within "
        f"{AFTER:g} s after it.",
        "",
        f"Lists are wanted within {LIST} s: of {len(lists)}, {sum(clock)} held by the clock on this load, and "
        f"{sum(processor)} in processor time. The first sign of `discover` is its line of progress, wanted within "
        f"{DISCOVER:g} s. Without a terminal the first output is the result, or a line of progress after "
        f"{EVERY:g} s.",
        "",
        "| command | first output (s) | processor (s) | done (s) | wanted (s) |",
        "|---|---|---|---|---|",
        *(row(verb, seen) for verb, seen in rows.items()),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
