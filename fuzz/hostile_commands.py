"""Tries hostile commands, each in a forked child with bounds on time and memory, and counts what goes wrong.

    python fuzz/hostile_commands.py [--cases 1000] [--seed 0] [--kind options …] [--only WORD …] [--list]

Kinds: `options` (every option and argument of every verb at hostile values) and `files` (each file that a verb reads,
with one field of its structure replaced). Prints a table and what was found; exit code 1 if anything was.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from random import Random

import forked
from forked import Outcome, run_forked

CHANGES = 200
"""Of each file, for each command that reads it."""
_NOBODY = 65534


@dataclass(frozen=True)
class Case:
    """One command in a workspace.

    Args:
        kind: `options` or `files`.
        words: of the command.
        spoil: which file to spoil and how, a number that names the change; None for none.
    """

    kind: str
    words: tuple[str, ...]
    spoil: tuple[str, int] | None = None

    def __str__(self) -> str:
        words = [word if len(word) < 60 else f"{word[:20]}…({len(word)})" for word in self.words]
        line = shlex.join(words).encode("utf-8", "backslashreplace").decode()
        return line if self.spoil is None else f"{line}   # {self.spoil[0]} change {self.spoil[1]}"


class Tried:
    """A workspace on a tiny model, made once, in whose copies cases are tried."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.template = folder, folder / "sound"
        self.owner = _NOBODY if os.geteuid() == 0 else None
        (self.template / "home").mkdir(parents=True)
        folder.chmod(0o755)
        _in_child(self._make)
        from workspace import commands

        for words in commands(self.template).values():
            done = run_forked(words, folder=self.template, home=self.template / "home", unprivileged=False)
            if done.code != 0:
                raise RuntimeError(f"{shlex.join(words)}: {done.err}")
        for path in self.template.rglob("*"):  # runs name the model by this place
            path.chmod(0o755 if path.is_dir() else 0o644)
        self.answers = tuple(json.loads((self.template / "answers.json").read_text()))

    def _make(self) -> None:
        from hostile_words import make_places
        from workspace import make_workspace

        make_workspace(self.template)
        place = self.folder / "places"
        place.mkdir()
        make_places(place)

    def cases(self) -> list[Case]:
        """All there are."""
        from hostile_shapes import READ
        from hostile_words import hostile_lines

        options = [Case("options", words) for words in dict.fromkeys(hostile_lines(self.answers))]
        files = [
            Case("files", words, (name, number))
            for name, readers in READ.items()
            for words in readers
            for number in range(CHANGES)
        ]
        return options + files

    def outcome(self, case: Case) -> Outcome:
        """Tries a case in a copy of the workspace."""
        from hostile_shapes import spoiled
        from workspace import copy_workspace

        with tempfile.TemporaryDirectory(dir=self.folder, ignore_cleanup_errors=True) as place:
            work = Path(place)
            copy_workspace(self.template, work, self.folder / "places", self.owner)
            if case.spoil is not None:
                spoiled(work, *case.spoil)
            words = [word.replace("@model", str(self.template / "model")) for word in case.words]
            return run_forked(words, folder=work, home=work / "home", server=case.words[0] == "studio")


def _in_child(work: object) -> None:
    """Runs a function in a forked child, so that the threads it starts end with it."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()  # pyright: ignore[reportCallIssue]
            code = 0
        finally:
            sys.stdout.flush()
            os._exit(code)
    if os.waitpid(child, 0)[1]:
        raise RuntimeError("the workspace could not be made")


def chosen(cases: Sequence[Case], count: int, seed: int) -> list[Case]:
    """A sample in which every verb of every kind has its share."""
    rooms: dict[tuple[str, str], list[Case]] = {}
    for case in cases:
        rooms.setdefault((case.kind, case.spoil[0] if case.spoil else case.words[0]), []).append(case)
    for name, room in sorted(rooms.items()):
        Random(f"{seed} {name}").shuffle(room)
    taken: list[Case] = []
    while len(taken) < min(count, len(cases)):
        for room in rooms.values():
            if room and len(taken) < count:
                taken.append(room.pop())
    return taken


def main() -> None:
    """Tries and counts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", default=[], help="words that a case's line must have")
    parser.add_argument("--kind", nargs="*", default=[])
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--verbose", action="store_true", help="print every case")
    asked = parser.parse_args()
    forked.prepare()
    forked.import_everything()
    with tempfile.TemporaryDirectory(prefix="hostile-", ignore_cleanup_errors=True) as place:
        tried = Tried(Path(place))
        every = [
            case
            for case in tried.cases()
            if all(word in str(case) for word in asked.only) and (not asked.kind or case.kind in asked.kind)
        ]
        cases, started = chosen(every, asked.cases, asked.seed), time.monotonic()
        counts: dict[str, Counter[str]] = {}
        found = 0
        with ThreadPoolExecutor(asked.jobs) as pool:
            for case, outcome in zip(cases, pool.map(tried.outcome, cases), strict=True):
                fault = outcome.fault
                counts.setdefault(f"{case.kind} {case.spoil[0] if case.spoil else case.words[0]}", Counter())[
                    fault or f"exit {outcome.code}"
                ] += 1
                if fault:
                    found += 1
                    print(
                        f"[{fault}] {case}\n    {outcome.busy:.1f} s, {outcome.grown} MB, {_last(outcome)}",
                        flush=True,
                    )
                elif asked.verbose:
                    print(
                        f"[{outcome.code}] {outcome.busy:.1f} s {outcome.grown} MB {case}: {_last(outcome)}",
                        flush=True,
                    )
        table(counts)
        print(f"{len(cases):,} of {len(every):,} cases in {time.monotonic() - started:.0f} s, {found} found")
    sys.exit(bool(found))


def _last(outcome: Outcome) -> str:
    lines = [line.strip() for line in outcome.err.splitlines() if line.strip()]
    where = next((line for line in reversed(lines[:-1]) if line.startswith("File ")), "")
    return f"{where} {lines[-1][:300]}".strip() if lines else ""


def table(counts: dict[str, Counter[str]]) -> None:
    """Prints how cases of each kind ended."""
    columns = sorted({name for each in counts.values() for name in each})
    print("| | " + " | ".join(columns) + " |\n|---" * (1) + "|---" * len(columns) + "|")
    for kind, each in sorted(counts.items()):
        print(f"| {kind} | " + " | ".join(str(each[name] or "") for name in columns) + " |")


if __name__ == "__main__":
    main()
