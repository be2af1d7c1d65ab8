"""A folder of shards: each a folder of its own, put in place whole, and known again by what it was made of.

A shard's key is the hash of the model, the data, the settings and this version's code format. A second start does only
what is missing, damaged, or was made of something else. On one kind of processor, with the same number of threads and
the same memory budget, a shard's files are the same bytes however often it is made, except `shard.json`, which has the
key and what the shard cost, and `files.json`.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from wheatstone._disk import room_for
from wheatstone._errors import PromptError, RunError
from wheatstone._path import StrPath
from wheatstone._progress import Reporter, silent
from wheatstone._version import __version__
from wheatstone.executors._executor import Done, Executor, Shard
from wheatstone.models import ResidualModel
from wheatstone.runs import damaged_files, read_json, sound, write_hashes, write_json

SHARD_LIST, _ABOUT = "shards.json", "shard.json"
_REASONS = 3


def run_shards(
    model: ResidualModel,
    shards: Sequence[Shard],
    out: StrPath,
    folder: str,
    executor: Executor,
    report: Reporter = silent,
) -> dict[str, str]:
    """Does what is not done yet.

    Args:
        model: the model.
        shards: all of the work, no two of one name.
        out: of the run; exists.
        folder: of the shards in it.
        executor: who does them.
        report: progress callback.

    Returns:
        Those that were refused, with the reason. They are tried again by the next start.

    Raises:
        RunError: a name that is no folder's name, such as of a list that was tampered with.
        ComputationError: a file could not be written; what is finished stays.
    """
    out = Path(out)
    for shard in shards:
        if re.search(r"^\.|^$|[/\\\0]", shard.name):
            raise RunError(
                expected="a folder's name for each piece of work",
                got=repr(shard.name),
                do="if you did not write this folder yourself, do not trust it; choose another --out",
            )
    keys = {shard.name: shard_key(model, shard) for shard in shards}
    write_json(out / SHARD_LIST, {"folder": folder, "shards": keys})
    missing = [shard for shard in shards if not _is_done(out / folder / shard.name, keys[shard.name])]
    before = len(shards) - len(missing)
    refused: dict[str, str] = {}
    report(folder, before, len(shards))
    with closing(executor.run(model, missing, report)) as results:
        for count, done in enumerate(results, before + 1):
            report(folder, count, len(shards))
            if done.refused is None:
                _put(out / folder / done.shard, keys[done.shard], done)
            else:
                refused[done.shard] = done.refused
    return refused


def some_done(
    out: StrPath, shards: Sequence[Shard], refused: Mapping[str, str], *, expected: str, do: str
) -> list[str]:
    """Names of the shards that are done. Where there is none the folder goes, for it would never become a run.

    Args:
        out: of the run.
        shards: all of the work.
        refused: what `run_shards` gave.
        expected: what one shard would have been enough of, for the error.
        do: what to do about it.

    Raises:
        PromptError: not one is done.
    """
    out = Path(out)
    if done := [shard.name for shard in shards if shard.name not in refused]:
        return done
    shutil.rmtree(out)
    reasons: dict[str, str] = {}
    for name, why in refused.items():
        reasons.setdefault(why, f"{name}: {why}")
    shown = [*list(reasons.values())[:_REASONS], *([f"{len(reasons) - _REASONS} more"] * (len(reasons) > _REASONS))]
    raise PromptError(expected=expected, got=" | ".join(shown), do=do)


def _put(there: Path, key: str, done: Done) -> None:
    """Puts a shard in place, whole; there is one writer, so that one name will do for what is not whole yet."""
    work = there.with_name(".partial")
    shutil.rmtree(work, ignore_errors=True)  # a killed process could not clear it
    again = "free some space; what is finished is kept, and the same command goes on from there"
    try:
        with room_for("room and permission to write the run", there, again):
            work.mkdir(parents=True)
            for name, content in done.files.items():
                (work / name).parent.mkdir(parents=True, exist_ok=True)
                (work / name).write_bytes(content)
            cost = {"seconds": round(done.seconds, 3), "processor_seconds": round(done.processor_seconds, 3)}
            write_json(work / _ABOUT, {"key": key} | cost)
            write_hashes(work)
            shutil.rmtree(there, ignore_errors=True)  # damaged, or made of something else
            os.replace(work, there)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def shard_key(model: ResidualModel, shard: Shard) -> str:
    """SHA-256 of everything that a shard's files depend on."""
    made_of = {
        "wheatstone": __version__,
        "model": [model.sha256, str(model.dtype), model.device.type],
        "shard": shard.content,
    }
    return hashlib.sha256(json.dumps(made_of, sort_keys=True, allow_nan=False).encode()).hexdigest()


def shard_cost(folder: StrPath) -> dict[str, float]:
    """`seconds` and `processor_seconds` of a finished shard.

    Raises:
        RunError: its file is missing or damaged.
    """
    folder = Path(folder)
    with sound(folder):
        about = read_json(folder, _ABOUT)
        return {name: float(about[name]) for name in ("seconds", "processor_seconds")}


def shards_done(out: StrPath) -> tuple[int, int] | None:
    """How many shards of a folder are done, and how many there are; None where the work has no shards."""
    out = Path(out)
    if not (out / SHARD_LIST).is_file():
        return None
    with sound(out):
        listed: dict[str, Any] = read_json(out, SHARD_LIST)
        return sum((out / listed["folder"] / name).is_dir() for name in listed["shards"]), len(listed["shards"])


def damaged_shards(out: StrPath) -> list[str]:
    """Files of finished shards that are missing or not as they were written; the next start makes these shards again.

    Raises:
        RunError: the work has no shards.
    """
    out = Path(out)
    with sound(out):
        listed: dict[str, Any] = read_json(out, SHARD_LIST)
        folders = [Path(listed["folder"]) / name for name in listed["shards"]]
    return [
        (folder / name).as_posix()
        for folder in folders
        if (out / folder).is_dir()
        for name in damaged_files(out / folder)
    ]


def _is_done(folder: Path, key: str) -> bool:
    if not folder.is_dir():
        return False
    try:
        return read_json(folder, _ABOUT)["key"] == key and not damaged_files(folder)
    except (RunError, KeyError, TypeError):
        return False
