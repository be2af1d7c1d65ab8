"""A discovery on disk: the circuit and its proof as soon as there are any, each side result when it is made."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from wheatstone._path import StrPath
from wheatstone._progress import Reporter, silent
from wheatstone._side import NOT_YET, attempt
from wheatstone.discovery import DiscoverySettings
from wheatstone.models import ResidualModel
from wheatstone.runs import Run, listed, new_run, note_missing, write_json
from wheatstone.studies._discovery import DiscoveryRun, run_discovery
from wheatstone.tasks import PromptPair


def write_discovery(
    out: StrPath,
    model: ResidualModel,
    pairs: Sequence[PromptPair],
    settings: DiscoverySettings,
    *,
    validation: Sequence[PromptPair] = (),
    wordings: Sequence[PromptPair] = (),
    test: Sequence[PromptPair] = (),
    files: Mapping[str, Any] | None = None,
    last: Mapping[str, Callable[[Path], object]] | None = None,
    force: bool = False,
    proven: Callable[[DiscoveryRun], object] = lambda _: None,
    report: Reporter = silent,
) -> tuple[DiscoveryRun, dict[str, str]]:
    """Discovers a circuit and writes it as a run, which is listed in the catalogue.

    The run is in place as soon as its circuit is verified, and is replaced by a more complete one after each side
    result. If the work ends early from then on, the circuit is kept; `missing` in the manifest names the rest.

    Args:
        out: folder of the run.
        model: the model.
        pairs: the prompts.
        settings: what to look for.
        validation: prompts that the method `learned` chooses the size by.
        wordings: the prompts in other words, for `learned` to learn from too.
        test: prompts of the task's test split.
        files: more JSON files of the run, by name.
        last: by name, what is made from the finished run in its folder: its pictures, an explanation.
        force: whether a run that is there may be replaced.
        proven: called once, when the circuit and its verification are on disk.
        report: progress callback.

    Returns:
        The run, and by name why a side result is missing, its line in the list of runs among them.

    Raises:
        RunError: `out` is taken.
        ComputationError: a file could not be written.
    """
    out = Path(out)
    last, written = last or {}, False
    unlisted: dict[str, str] = {}

    def keep(run: DiscoveryRun, *, finished: bool = False) -> None:
        nonlocal written, unlisted
        with new_run(out, force=force or written) as folder:
            run.save(folder)
            for name, value in (files or {}).items():
                write_json(folder / name, value)
            missing: dict[str, str] = {} if finished else dict.fromkeys(last, NOT_YET)
            for name, make in last.items() if finished else ():
                attempt(missing, name, partial(make, folder), None)
            note_missing(folder, missing)
        unlisted = listed(out)
        if not written:
            written = True
            proven(run)

    run = run_discovery(
        model, pairs, settings, validation=validation, wordings=wordings, test=test, kept=keep, report=report
    )
    if last:
        keep(run, finished=True)
    return run, Run.open(out).missing | unlisted
