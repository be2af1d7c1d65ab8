"""`wheatstone doctor`: what is installed here, and what killed commands left."""

from __future__ import annotations

import os
import platform
import shlex
import shutil
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wheatstone._errors import RequestError, WheatstoneError
from wheatstone._version import __version__
from wheatstone.cli._output import JsonOption, Output

if TYPE_CHECKING:
    from wheatstone._disk import LeftOver

_PACKAGES = ("torch", "transformers", "safetensors", "pyarrow")
_BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def doctor(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[FOLDER]...",
            help="Folders with runs to look through; the current one by default.",
            show_default=False,
        ),
    ] = None,
    clear: Annotated[
        bool, typer.Option("--clear", help="Remove what killed commands left; a result they moved aside is put back.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show versions, cache, device, memory, disk, browser and Node, what would be slow here and why, and what killed
    commands left behind: unfinished work, and runs that were saved and not listed.

    Looks in the cache folder, in the given folders and up to three levels below them, and in the folder for temporary
    files. What belongs to a running command is listed and never removed.
    """
    from wheatstone._disk import clear_left_over, left_over
    from wheatstone._home import home
    from wheatstone.runs import unlisted_runs

    given = folders or [Path()]
    for folder in given:
        if not folder.is_dir():
            raise RequestError(expected="a folder to look through", got=str(folder), do="name folders that are there")
    places = [home(), *given]
    output = Output("doctor", as_json)
    with output.starting():
        found = left_over(*places)
        cleared = [str(path) for path in clear_left_over(*places)] if clear else []
        try:
            unlisted = unlisted_runs(*given)
        except WheatstoneError as error:  # the rest is shown all the same
            unlisted, trouble = list[Path](), str(error)
        else:
            trouble = ""
        facts, slow = _facts(home()), _slow()
    left = [{**vars(one), "path": str(one.path), "cleared": str(one.path) in cleared} for one in found]
    output.document(
        {**facts, "slow": slow, "left_over": left, "unlisted": list(map(str, unlisted)), "trouble": trouble}
    )
    output.table({name: "none" if value is None else str(value) for name, value in facts.items()})
    for sentence in slow:
        output.print(f"slow: {sentence}")
    for one in found:
        output.print(_line(one, str(one.path) in cleared), markup=False)
    for run in unlisted:
        output.print(f"not listed: {run}; list it with `wheatstone runs add {shlex.quote(str(run))}`", markup=False)
    if trouble:
        output.print(f"runs could not be compared with the list: {trouble}", markup=False)
    dead = [one for one in found if not one.alive]
    if not found:
        output.print("nothing is left of killed commands")
    elif dead and not clear:
        output.print(f"{len(dead)} left of killed commands; remove them with `wheatstone doctor --clear`", markup=False)


def _line(one: LeftOver, cleared: bool) -> str:
    process = f"process {one.process}, since {one.since}" if one.process else "its process is unknown"
    state = "running" if one.alive else "removed" if cleared else "left behind"
    return f"{state}: {one.path} ({process}; {one.bytes / 1e6:,.1f} MB)"


def _facts(cache: Path) -> dict[str, Any]:
    """What is installed, and what there is to compute on."""
    import torch

    from wheatstone.checkpoints import cached_models
    from wheatstone.models import free_memory

    devices = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    there = next((path for path in (cache, *cache.parents) if path.exists()), Path("/"))
    return {
        "wheatstone": __version__,
        "python": platform.python_version(),
        **{name: version(name) for name in _PACKAGES},
        "device": ", ".join(name for name, available in devices.items() if available) or "cpu",
        "cores": os.cpu_count(),
        "free memory (GB)": round(free_memory(torch.device("cpu")) / 1e9, 1),
        "cache": str(cache),
        "cached models (GB)": round(sum(model.bytes for model in cached_models()) / 1e9, 1),
        "free disk (GB)": round(shutil.disk_usage(there).free / 1e9, 1),
        "cache can be written": os.access(there, os.W_OK),
        "browser": next(filter(None, map(shutil.which, _BROWSERS)), None),
        "node": shutil.which("node"),
    }


def _slow() -> list[str]:
    """What would take long on this machine, and why."""
    import torch

    from wheatstone.checkpoints import KNOWN_MODELS
    from wheatstone.models import free_memory

    sentences: list[str] = []
    cores = os.cpu_count() or 1
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else cores
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    memory = free_memory(torch.device("cpu"))
    if not (torch.cuda.is_available() or torch.backends.mps.is_available()):
        sentences.append(f"every model, for torch finds no GPU and computes on {usable} of {cores} cores")
    if load > usable:
        sentences.append(f"every command, for other programs are busy (load {load:.1f} on {usable} cores)")
    sentences.append(
        f"models of more than {memory / 4e9:.1f} billion parameters in float32, which do not fit in {memory / 1e9:.1f} "
        "GB of free memory; with --device auto the rest is read from disk, layer by layer"
    )
    for model in KNOWN_MODELS.values():
        if not model.entry.present():
            needed = f"{model.bytes_needed / 1e6:,.0f} MB of disk"
            sentences.append(f"the first command with {model.name}, which it fetches and converts ({needed})")
    return sentences
