"""An explanation as part of a run: sections read the run's model and prompts, and leave rows and numbers behind.

A run's folder `explain` holds, for each section, NAME.json (numbers, method, n, seed, the files of its tables) and a
Parquet file for each table. A section that the run does not support leaves `missing` in its JSON instead.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from wheatstone._disk import copied
from wheatstone._errors import ComputationError, RequestError, RunError
from wheatstone._json import load_json
from wheatstone._path import StrPath
from wheatstone._progress import Reporter, silent
from wheatstone._side import why
from wheatstone._version import __version__
from wheatstone._view import Brief
from wheatstone.circuits import Circuit, Experiment, same_weights
from wheatstone.lenses import Explanation, Material, Section
from wheatstone.mechanisms import about_relation, check_subjects, relations_of_run, task_of_run
from wheatstone.models import ResidualModel, load_model
from wheatstone.records import SPLITS
from wheatstone.runs import CIRCUITS, Run, sound, summary_json, write_json, write_table
from wheatstone.studies._sections import sections_named
from wheatstone.tasks import PromptPair, load_facts

FORMAT = "wheatstone.explain/1"
ALL = "all"


@dataclass(frozen=True)
class ExplainSettings(Brief):
    """What to explain, and on which prompts.

    Args:
        only: names of sections; by default every section that this run supports, except those that take minutes.
        split: of a task's run: `train`, `validation`, `test` or `all`. Reading a model proves nothing about a circuit,
            so all of them is no leak, and the default.
        most: prompts at most, the first ones; None for all.
        tuned_lens: a safetensors file of tuned-lens weights.
        seed: of random draws.
        subjects: of the run's relation, by name: sections that ask its facts ask these first.
    """

    only: tuple[str, ...] = ()
    split: str | None = None
    most: int | None = None
    tuned_lens: StrPath | None = None
    seed: int = 0
    subjects: tuple[str, ...] = ()


def explain_run(
    run: StrPath,
    folder: StrPath,
    settings: ExplainSettings,
    *,
    model: str | ResidualModel | None = None,
    device: str = "cpu",
    dtype: str = "float32",
    report: Reporter = silent,
) -> dict[str, dict[str, Any]]:
    """Explains a discovery's run.

    Args:
        run: the folder of the run.
        folder: an empty one for what is found, such as `new_part` gives; sections that an earlier explanation of
            the run has, and that are not made again, are taken over. A section that was neither made nor taken over,
            for it takes minutes and was not named, has `unasked` in its JSON.
        settings: what to explain.
        model: the run's model, or where it is now; by default where it was.
        device: where to run.
        dtype: precision.
        report: progress callback.

    Returns:
        By section, what its JSON holds, those taken over included.

    Raises:
        RunError: there is no run of a discovery.
        ModelError: the model is not the one the circuit was found in.
        RequestError: no such section, split or subject, or the run lacks what a section that was asked for by name
            needs.
    """
    folder = Path(folder)
    run = Path(run)
    sections = sections_named(settings.only)
    material = material_of(run, settings, model=model, device=device, dtype=dtype, report=report)
    for section in sections if settings.only else ():
        if missing := section.missing(material):
            raise _lacking(run, section, missing)
    if settings.subjects:
        _check_subjects(run, material)
    earlier = run / "explain"
    if earlier.is_dir():
        again = {section.name for section in sections if settings.only or not section.slow}
        for name in sorted({path.stem for path in earlier.glob("*.json")} - again):
            _check_kept(run, name)
        copied(earlier, folder)
    for done, section in enumerate(sections):
        report("sections", done, len(sections))
        if section.slow and not settings.only and _made(folder, section.name):
            continue
        _drop(folder, section.name)
        _explain(section, material, folder, named=bool(settings.only), report=report)
    report("sections", len(sections), len(sections))
    return sections_in(folder)


def sections_in(folder: Path) -> dict[str, dict[str, Any]]:
    """By section of an explanation, what its JSON holds."""
    return {path.stem: _stored(folder, path.stem) for path in sorted(folder.glob("*.json"))}


def material_of(
    run: StrPath,
    settings: ExplainSettings,
    *,
    model: str | ResidualModel | None = None,
    device: str = "cpu",
    dtype: str = "float32",
    report: Reporter = silent,
) -> Material:
    """The model, prompts and circuit of a run, as sections read them; arguments and errors as `explain_run`'s."""
    opened = Run.open(run, *CIRCUITS)
    run, manifest = opened.path, opened.manifest
    circuit = Circuit.load(run)
    with sound(run):
        task: dict[str, Any] = opened.document("task") if opened.has("task") else {}
        name = str(task.get("name", ""))
        pairs, split = _pairs(run, circuit, task, settings.split)
    loaded = model
    if not isinstance(loaded, ResidualModel):
        loaded = load_model(loaded or manifest["model"]["id"], device=device, dtype=dtype, report=report)
    same_weights(loaded, circuit)
    pairs = pairs[: settings.most]
    return Material(
        experiment=_experiment(
            loaded.like(circuit.model.graph), circuit, pairs, meant=bool(manifest["settings"].get("allow_weak"))
        ),
        circuit=circuit,
        task=name,
        about={name: value for name, value in task.items() if name != "pairs"},
        split=split,
        tuned_lens=settings.tuned_lens,
        subjects=settings.subjects,
        seed=settings.seed,
    )


def _pairs(run: Path, circuit: Circuit, task: dict[str, Any], split: str | None) -> tuple[tuple[PromptPair, ...], str]:
    """The prompts, and which they are in words."""
    if not task:
        if split is not None:
            raise RequestError(
                expected="a run of a task, which has splits",
                got=f"{run}, a run of given prompts",
                do="leave --split out",
            )
        if not circuit.examples:
            raise RequestError(
                expected="a run with prompts, which the sections read",
                got=f"{run}, a circuit that was imported without any",
                do="import it again with --prompts or --task",
            )
        return circuit.examples, "the prompts it was found on"
    wanted = SPLITS if split in (None, ALL) else (split,)
    if not set(wanted) <= set(SPLITS):
        raise RequestError(
            expected=f"a split out of {', '.join((*SPLITS, ALL))}", got=repr(split), do="choose one of these"
        )
    pairs = tuple(PromptPair.model_validate(pair) for name in wanted for pair in task["pairs"][name])
    if not pairs:
        raise RequestError(expected=f"{split} pairs", got=f"{run}, whose task has none", do="choose another --split")
    return pairs, " and ".join(wanted) if len(wanted) < 3 else "train, validation and test"


def _experiment(model: ResidualModel, circuit: Circuit, pairs: Sequence[PromptPair], *, meant: bool) -> Experiment:
    # Sections read whole nodes, also where the circuit tells apart where they write. The run's prompts were accepted
    # when it was made, so weak answers are only recorded.
    return Experiment(
        model,
        pairs,
        ablation=circuit.ablation,
        metric=circuit.metric,
        reference=circuit.examples or None,
        allow_weak=True if meant else None,
    )


def _explain(section: Section, material: Material, folder: Path, *, named: bool, report: Reporter) -> None:
    started = time.perf_counter()
    about: dict[str, Any] = {
        "format": FORMAT,
        "section": section.name,
        "asks": section.asks,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "wheatstone": __version__,
        "n": material.n,
        "prompts": material.split,
        "seed": material.seed,
    }
    missing = section.missing(material)
    if missing is None and section.slow and not named:
        write_json(folder / f"{section.name}.json", about | {"unasked": True})
        return
    if missing is None:
        try:
            found = section.read(material, report)
            _check_finite(found, material.experiment.model)
            for name, table in found.tables.items():
                write_table(table, folder / f"{name}.parquet")
        except Exception as error:  # one section must not cost the others
            if named and isinstance(error, RequestError):
                raise
            missing = f"{error.expected}; got {error.got}" if isinstance(error, RequestError) else why(error)
        else:
            rows = {name: len(table.rows) for name, table in found.tables.items()}
            about |= {"summary": summary_json(found.summary), "method": found.method, "tables": rows}
    if missing is not None:
        about["missing"] = missing
    write_json(folder / f"{section.name}.json", about | {"seconds": round(time.perf_counter() - started, 2)})


def _check_finite(found: Explanation, model: ResidualModel) -> None:
    """Refuses numbers that are not finite, which no file of a run may hold."""
    try:
        json.dumps(summary_json(found.summary), allow_nan=False)
    except ValueError as error:
        raise ComputationError(
            expected="finite numbers", got=f"NaN or infinity in {model.precision}", do="load the model in float32"
        ) from error


def _stored(folder: Path, name: str) -> dict[str, Any]:
    """What an explanation's file says of a section; empty where it is missing or damaged."""
    try:
        found = load_json(folder / f"{name}.json")
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _check_kept(run: Path, name: str) -> None:
    """Refuses to take over a section that cannot be read, before the others are made."""
    if not _stored(run / "explain", name):
        raise RunError(
            expected="an explanation whose sections can be read",
            got=f"{run}, whose explain/{name}.json cannot",
            do=f"make it again with `wheatstone explain {run} --only {name}`",
        )


def _made(folder: Path, name: str) -> bool:
    return "summary" in _stored(folder, name)


def _drop(folder: Path, name: str) -> None:
    """Forgets what an earlier explanation said of a section."""
    tables = _stored(folder, name).get("tables")
    for table in tables if isinstance(tables, dict) else ():
        if table.isidentifier():  # no path out of the folder
            (folder / f"{table}.parquet").unlink(missing_ok=True)
    (folder / f"{name}.json").unlink(missing_ok=True)


def _check_subjects(run: Path, material: Material) -> None:
    """Refuses names that the run's relation does not have, before anything is made."""
    missing = about_relation("facts", "icl", "two-hop", "reversed")(material)
    if missing:
        raise RequestError(expected=f"for --subject {missing}", got=f"{run}, which lacks it", do="leave --subject out")
    given = relations_of_run(material)
    assert given is not None
    own = given.room in ("two-hop", "reversed")  # whose facts are not all the relation's, or have other subjects
    task = task_of_run(material) if own else f"facts/{given.relations[0]}"
    check_subjects(material.subjects, load_facts(task, material.experiment.model).facts)


def _lacking(run: Path, section: Section, missing: str) -> RequestError:
    return RequestError(
        expected=f"for the section {section.name} {missing}",
        got=f"{run}, which lacks it",
        do=f"leave {section.name} out, or discover the circuit on prompts that have it",
    )
