"""`wheatstone study`: a circuit for every relation, proven on facts it was not found on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Column, Table

from wheatstone.cli._loading import load
from wheatstone.cli._new_run import FiguresOption
from wheatstone.cli._options import (
    AllowWeakOption,
    DeviceOption,
    DtypeOption,
    ExecutorOptions,
    ModelOption,
    SeedOption,
)
from wheatstone.cli._output import JsonOption, Output, page_of
from wheatstone.cli._settings import options_of
from wheatstone.studies import StudySettings

_CONDITIONS = ("model", "circuit", "complement", "random", "empty")


@options_of(StudySettings)
def study(
    *,
    out: Annotated[Path, typer.Option("--out", help="Folder of the study; an unfinished one goes on.")],
    relations: Annotated[
        list[str] | None,
        typer.Option(
            "--relations",
            help="Bundled relation or JSON file; may be repeated, or several with commas between; or all.",
            metavar="NAME",
        ),
    ] = None,
    model: ModelOption = "smollm2-135m",
    settings: StudySettings,
    allow_weak: AllowWeakOption = False,
    seed: SeedOption = 0,
    device: DeviceOption = "cpu",
    dtype: DtypeOption = "float32",
    executor: ExecutorOptions,
    figures: FiguresOption = True,
    as_json: JsonOption = False,
) -> None:
    """Find one circuit a relation on training facts, choose its size on validation, report on test facts.

    Stopped and started again with the same settings, it goes on where it was. A relation that fails is listed at the
    end with the reason; the others go on.
    """
    output = Output("study", as_json)
    with output.starting() as report:
        from wheatstone.executors import alone_in
        from wheatstone.figures import render_all
        from wheatstone.runs import Run, listed
        from wheatstone.studies import run_study
        from wheatstone.tasks import bundled_relations

        asked = [name for given in relations or ["all"] for name in given.split(",") if name]
        names = tuple(bundled_relations()) if asked == ["all"] else tuple(asked)
        settings = replace(settings, relations=names, seed=seed, allow_weak=allow_weak)
        settings.check()
        who = executor.named()
        with alone_in(out, "study"):
            loaded = load(model, device, dtype, report)
            pictures = (lambda folder: render_all(folder, report)) if figures else None
            document = run_study(loaded, settings, out, executor=who, pictures=pictures, report=report)
    missing = listed(out) | Run.open(out).missing
    output.document(document | {"run": str(out), "missing": missing})
    output.print(_table(document))
    for part in _problems(document):
        output.print(part)
    output.missing(missing)
    if page := page_of(out):
        output.print(f"report   {page}\npictures {out / 'figures'}")


def _table(document: dict[str, Any]) -> Table:
    """One line a relation, and the averages."""
    titles = ("n", "edges", "model", "circuit", "without", "random", "empty", "gain")
    columns = (Column(title, justify="right") for title in titles)
    table = Table(Column("relation", no_wrap=True), *columns, box=None, collapse_padding=True, pad_edge=False)
    table.title = "Hit@10 on test facts; gain: kept of the model's over the empty circuit"
    for row in document["relations"]:
        name = f"{row['relation']} (few)" if row["few"] else row["relation"]
        hits = (f"{row['test']['hit_at_10'][condition]:.2f}" for condition in _CONDITIONS)
        table.add_row(name, str(row["test"]["n"]), f"{row['edges']:,}", *hits, _share(row["gain_kept"]))
    if average := document["average"]:
        hits = (f"{average['hit_at_10'][condition]:.2f}" for condition in _CONDITIONS)
        title = f"mean of {average['relations']}"
        table.add_row(title, "", f"{average['edges']:,.0f}", *hits, _share(average["gain_kept"]))
    return table


def _share(value: float | None) -> str:
    return "none" if value is None else f"{value:.0%}"


def _problems(document: dict[str, Any]) -> list[str]:
    """What could not be used, and why."""
    lines = [f"not studied: {name}: {why}" for name, why in document["failed"].items()]
    lines += [
        f"warning: {row['relation']}: {text}" for row in document["relations"] for text in row.get("warnings", ())
    ]
    for name, problems in document["skipped_records"].items():
        lines += [f"left out of {name}: {problem}" for problem in problems]
    return lines
