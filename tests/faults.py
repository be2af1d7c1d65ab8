"""Run by itself: every command that writes, stopped before each of its file operations, and on a disk that gets full.

    LD_PRELOAD=faults.so faults.py FOLDER [--only CASE …] [--kills N] [--full N]

A command runs in a process forked from one that has imported everything. Before each operation on a file below the
sandbox, which `faults.c` sees in any language, a copy of the sandbox is kept: it is what a process that is killed there
leaves. In every such state the results must be whole, and the same command must end as it ends when nothing happens,
and leave nothing behind. States that differ only in what is inside the work folder of a claim, which is removed unread,
are tried once. On a full disk, every operation from the n-th on that needs space fails; the command must say so in one
line. `--kills` and `--full` bound the states and the points of a case, evenly spread. Writes one JSON line a case to
stdout.
"""

from __future__ import annotations

import argparse
import ctypes
import datetime as dates
import hashlib
import json
import os
import re
import shutil
import sqlite3
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from faulty_cases import CASES, Case, make_inputs

LOOK, FULL = 2, 3
_DEADLINE = 300


class Frozen(dates.datetime):
    """So that two runs of one command write the same bytes."""

    @classmethod
    def now(cls, tz: dates.tzinfo | None = None) -> Frozen:
        return cls(2027 if "prune" in sys.argv else 2026, 1, 1, tzinfo=tz)


@dataclass
class Found:
    """What a case came to.

    Args:
        case: its name.
        operations: on files, of the command when nothing happens.
        states: that differ among those that a kill before each operation leaves.
        kills: of these, how many were tried.
        points: operations that need space.
        full: of these, how many were tried.
        lost: what went wrong, in a line each.
    """

    case: str
    operations: int = 0
    states: int = 0
    kills: int = 0
    points: int = 0
    full: int = 0
    lost: list[str] = field(default_factory=list[str])


class Sandbox:
    """A folder that commands work in: `work`, the current folder; `home`; `tmp`."""

    def __init__(self, folder: Path, inputs: Path) -> None:
        self.root, self.inputs = folder / "sandbox", inputs
        self.saved = folder / "saved"
        self.library: Any = ctypes.CDLL(os.environ["LD_PRELOAD"])

    def begin(self) -> None:
        """Empties it."""
        shutil.rmtree(self.root, ignore_errors=True)
        for name in ("work", "home", "tmp"):
            (self.root / name).mkdir(parents=True)

    def keep(self, name: str) -> None:
        """Copies it as it is."""
        shutil.rmtree(self.saved / name, ignore_errors=True)
        shutil.copytree(self.root, self.saved / name, symlinks=True)

    def back(self, name: str) -> None:
        """Makes it what it was when it was copied."""
        shutil.rmtree(self.root)
        shutil.copytree(self.saved / name, self.root, symlinks=True)

    def forget(self) -> None:
        shutil.rmtree(self.saved, ignore_errors=True)

    def run(self, words: Sequence[str], *, mode: int = 0, at: int = 0, look: Callable[[], None] | None = None) -> Ran:
        """Runs a command in a forked process; `look` is called before each of its operations."""
        to_us, to_them, ends = os.pipe(), os.pipe(), self.root.parent / "ran.json"
        ends.unlink(missing_ok=True)
        process = os.fork()
        if process == 0:
            self._child(words, mode, at, to_us[1], to_them[0], ends)
        os.close(to_us[1])
        os.close(to_them[0])
        while os.read(to_us[0], 1):
            if look:
                look()
            os.write(to_them[1], b"x")
        os.close(to_us[0])
        os.close(to_them[1])
        status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        if not ends.is_file():
            return Ran(status, "", f"no end: exit {status}", 0, 0)
        return Ran(**json.loads(ends.read_text()))

    def _child(self, words: Sequence[str], mode: int, at: int, out: int, into: int, ends: Path) -> None:
        code, streams = 70, [tempfile.TemporaryFile("w+") for _ in range(2)]  # noqa: SIM115
        try:
            os.environ |= {"WHEATSTONE_HOME": str(self.root / "home"), "TMPDIR": str(self.root / "tmp")}
            tempfile.tempdir = str(self.root / "tmp")  # Python would try it out with a file
            os.chdir(self.root / "work")
            sys.stdout, sys.stderr = streams
            sys.argv = ["wheatstone", *words]
            self.library.faults_arm(str(self.root).encode(), mode, ctypes.c_long(at), out, into)
            try:
                main()
            except SystemExit as stop:
                code = int(stop.code or 0) if isinstance(stop.code, int | None) else 1
            except BaseException:
                traceback.print_exc()
            self.library.faults_disarm()
            texts: list[str] = []
            for stream in streams:
                stream.flush()
                stream.seek(0)
                texts.append(stream.read())
            seen = (self.library.faults_operations(), self.library.faults_spaces())
            ends.write_text(json.dumps(asdict(Ran(code, texts[0], texts[1], *seen))))
        finally:
            os._exit(0)

    def tree(self) -> dict[str, str]:
        """Every file by its hash, and every folder."""
        found: dict[str, str] = {}
        for path in sorted(self.root.rglob("*")):
            name = path.relative_to(self.root).as_posix()
            if path.is_symlink():
                found[name] = "link"
            elif path.is_dir():
                found[name] = "folder"
            elif path.name == "verified.json":  # of a model in the cache: times of its files
                found[name] = "times"
            elif not name.startswith("home/catalogue"):  # SQLite is crash-safe, and its bytes are its own
                found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
        return found

    def listed(self) -> list[str]:
        """The paths of the catalogue."""
        path = self.root / "home" / "catalogue.sqlite"
        if not path.is_file():
            return []
        with sqlite3.connect(path) as database:
            try:
                return sorted(row[0] for row in database.execute("select path from runs"))
            except sqlite3.OperationalError:
                return []


@dataclass(frozen=True)
class Ran:
    """How a command ended."""

    code: int
    out: str
    err: str
    operations: int
    spaces: int


def spread(count: int, most: int | None) -> list[int]:
    """All of 0 … count - 1, or so many of them evenly spread, the first and the last among them."""
    if most is None or count <= most:
        return list(range(count))
    return sorted({round(place * (count - 1) / max(1, most - 1)) for place in range(most)})


def try_case(case: Case, sandbox: Sandbox, kills: int | None, full: int | None) -> Found:
    """One case, all of it."""
    found = Found(case.name)
    words = case.words(sandbox.inputs)
    sandbox.forget()
    sandbox.begin()
    for before in case.before:
        ran = sandbox.run(before(sandbox.inputs))
        if ran.code:
            found.lost.append(f"prepare {before(sandbox.inputs)}: exit {ran.code}: {ran.err.strip()[-300:]}")
            return found
    sandbox.keep("before")
    start = sandbox.tree()

    # What a kill before each operation leaves; states that are alike are tried once.
    states: list[str] = []
    seen = {alike(start)}

    def look() -> None:
        now = alike(sandbox.tree())
        if now not in seen:
            seen.add(now)
            states.append(f"state-{len(states)}")
            sandbox.keep(states[-1])

    quiet = sandbox.run(words, mode=LOOK, look=look)
    if quiet.code:
        found.lost.append(f"the command itself: exit {quiet.code}: {quiet.err.strip()[-300:]}")
        return found
    found.operations, found.points, found.states = quiet.operations, quiet.spaces, len(states)
    sandbox.keep("after")
    after, listed = sandbox.tree(), sandbox.listed()
    found.lost += [f"left by a quiet run: {name}" for name in hidden(after)]
    results = Results(sandbox, case, start, after, listed)

    for number in spread(len(states), kills):
        found.kills += 1
        sandbox.back(states[number])
        results.check(f"killed in state {number} of {len(states)}", found.lost)
    for number in spread(quiet.spaces, full):
        found.full += 1
        sandbox.back("before")
        where = f"full from operation {number + 1} of {quiet.spaces}"
        ran = sandbox.run(words, mode=FULL, at=number + 1)
        lines = ran.err.strip().splitlines()
        if "Traceback" in ran.err or "[Errno" in ran.err or "damaged" in ran.err or ran.code not in (0, 1, 2):
            found.lost.append(f"{where}: exit {ran.code}: {ran.err.strip()[-400:]}")
        elif ran.code and not (len(lines) == 1 and lines[0].startswith("wheatstone: expected ")):
            found.lost.append(f"{where}: exit {ran.code} in {len(lines)} lines: {ran.err.strip()[-400:]}")
        results.check(where, found.lost)
    return found


@dataclass(frozen=True)
class Results:
    """What must be true of the sandbox after something happened to a command.

    Args:
        sandbox: where.
        case: that was tried.
        start: the tree before the command.
        after: the tree after it, when nothing happens.
        listed: runs in the catalogue after it.
        checked: states that need not be looked at again.
    """

    sandbox: Sandbox
    case: Case
    start: dict[str, str]
    after: dict[str, str]
    listed: list[str]
    checked: set[str] = field(default_factory=set[str])

    def check(self, where: str, lost: list[str]) -> None:
        """First what is there, then what the same command makes of it; of states that are alike, the first."""
        state = alike(self.sandbox.tree())
        if state in self.checked:
            return
        self.checked.add(state)
        said = list(self._whole())
        ran = self.sandbox.run(self.case.words(self.sandbox.inputs))
        now = self.sandbox.tree()
        if ran.code not in (0, *self.case.again):
            said.append(f"the same command: exit {ran.code}: {ran.err.strip()[-400:]}")
        else:
            said += [f"left behind: {name}" for name in hidden(now)]
        if ran.code == 0:
            said += [f"not as without it: {name}" for name in differences(now, self.after)]
            if self.sandbox.listed() != self.listed:
                said.append(f"listed are {self.sandbox.listed()} for {self.listed}")
        lost += [f"{where}: {text}" for text in said]

    def _whole(self) -> Iterator[str]:
        """What is neither as it was nor as it will be, asked of the command's own check."""
        place = self.sandbox.root / "work" / self.case.place
        for name in self.case.results:
            path = self.sandbox.root / "work" / name
            old, new = (states.get(f"work/{name}") for states in (self.start, self.after))
            now = hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else None
            if now not in (old, new):
                yield f"{name} is neither the old nor the new one"
            if old and new and not now:
                yield f"{name} is lost"
        if not self.case.place or not place.exists():
            if f"work/{self.case.place}" in self.start and f"work/{self.case.place}" in self.after and self.case.place:
                checked = self.sandbox.run(["runs", "check", self.case.place])  # a reader puts the older one back
                if checked.code:
                    yield f"{self.case.place} is lost: {checked.err.strip()}"
            return
        checked = self.sandbox.run(["runs", "check", self.case.place])
        if checked.code and not (self.case.unfinished and "unfinished" in checked.out):
            yield f"runs check: exit {checked.code}: {(checked.out + checked.err).strip()[-300:]}"


def alike(tree: dict[str, str]) -> str:
    """What two states share that differ only inside the work folders of claims."""
    kept = {name: value for name, value in tree.items() if not re.search(r"\.partial-wheatstone/(work|scratch)/", name)}
    kept = {name: value for name, value in kept.items() if not re.search(r"\.partial-wheatstone/lock$", name)}
    return re.sub(r"change-\d+-\w+|wheatstone-\w{8}", "N", json.dumps(sorted(kept.items())))


def hidden(tree: dict[str, str]) -> list[str]:
    """What a command should have cleared: hidden entries, and anything in the folder for temporary files."""
    return [
        name
        for name in tree
        if name.startswith("tmp/") or any(part.startswith(".") for part in name.split("/")) or name.endswith(".partial")
    ]


def differences(now: dict[str, str], then: dict[str, str]) -> list[str]:
    return sorted(name for name in now.keys() | then.keys() if now.get(name) != then.get(name))[:8]


def freeze() -> None:
    """Imports everything that the commands do, and stops the clocks that they write down.

    The memory budget, which they write down too, is not that of what happens to be free.
    """
    torch.set_num_threads(1)
    from wheatstone.cli._app import _GROUPS, _VERBS

    for module in {*_VERBS.values(), *_GROUPS.values()}:
        import_module(f"wheatstone.cli.{module}")
    import wheatstone

    folder = Path(str(wheatstone.__file__)).parent
    for path in sorted(folder.rglob("*.py")):
        name = ".".join(("wheatstone", *path.relative_to(folder).with_suffix("").parts)).removesuffix(".__init__")
        if "studio" not in name and "__main__" not in name:
            with suppress(ImportError):
                import_module(name)
    for name in ("pyarrow.parquet", "pyarrow.compute", "safetensors.torch", "transformers.models.llama.modeling_llama"):
        import_module(name)
    time.perf_counter = lambda: 0.0  # type: ignore[assignment]
    time.process_time = lambda: 0.0  # type: ignore[assignment]
    sys.modules["wheatstone.models._memory"].free_memory = lambda _device: 12 << 30  # type: ignore[attr-defined]
    for module in list(sys.modules.values()):
        if module.__name__.startswith("wheatstone") and getattr(module, "datetime", None) is dates.datetime:
            module.datetime = Frozen  # type: ignore[attr-defined]


def remember_drawings(folder: Path) -> None:
    """Draws each picture once: a forked process begins its renderer anew, which takes a second."""
    import vl_convert

    for name in ("vegalite_to_svg", "svg_to_png"):
        draw = getattr(vl_convert, name)

        def remembered(source: Any, *rest: Any, draw: Any = draw, name: str = name, **options: Any) -> Any:
            key = hashlib.sha256(repr((name, source, rest, sorted(options.items()))).encode()).hexdigest()
            kept = folder / key
            if not kept.is_file():
                made = draw(source, *rest, **options)
                kept.write_bytes(made if isinstance(made, bytes) else made.encode())
            return kept.read_bytes() if name == "svg_to_png" else kept.read_text()

        setattr(vl_convert, name, remembered)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", nargs="*")
    parser.add_argument("--kills", type=int)
    parser.add_argument("--full", type=int)
    return parser.parse_args()


if __name__ == "__main__":
    asked = arguments()
    freeze()
    from wheatstone.cli import main
    from wheatstone.models import load_model

    drawings, inputs = asked.folder / "drawings", asked.folder / "inputs"
    for made in (drawings, inputs):
        made.mkdir(parents=True, exist_ok=True)
    remember_drawings(drawings)
    make_inputs(inputs)
    load_model(inputs / "model")  # imports what every forked process needs
    for each in CASES:
        if not asked.only or each.name in asked.only:
            began = time.monotonic()
            result = try_case(each, Sandbox(asked.folder, inputs), asked.kills, asked.full)
            print(json.dumps(asdict(result) | {"seconds": round(time.monotonic() - began, 1)}), flush=True)
