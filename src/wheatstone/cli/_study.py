"""`wheatstone study`: a circuit for every relation, proven on facts it was not found on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Column, Table

from wheatstone._bounds import COUNT, DRAWS, FACTS, SHARE
from wheatstone.cli._loading import load
from wheatstone.cli._options import (
    AddressOption,
    AllowWeakOption,
    DeviceOption,
    DtypeOption,
    ExecutorOption,
    ModelOption,
    SeedOption,
    ThreadsOption,
    WorkersOption,
    number,
)
from wheatstone.cli._output import JsonOption, Output, page_of

_CONDITIONS = ("model", "circuit", "complement", "random", "empty")


def study(
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
    train: Annotated[int, number("--train", FACTS, "Most facts to discover on.")] = 40,
    validation: Annotated[int, number("--validation", FACTS, "Most facts to choose the size on.")] = 20,
    test: Annotated[int, number("--test", FACTS, "Most facts to test on.")] = 40,
    method: Annotated[
        str,
        typer.Option(
            "--method",
            help="learned (a ranking learned on many counterfactuals, for all circuit sizes, from EAP-IG's); "
            "re-ranked (search by exact runs, ended before single edges); verified (with the proof that no edge can "
            "go; many times slower); or a scoring method's ranking as it is.",
        ),
    ] = "learned",
    steps: Annotated[int, number("--steps", COUNT, "Steps of learning, by --method learned.")] = 120,
    batch: Annotated[int, number("--batch", COUNT, "Facts of each of these steps.")] = 10,
    counterfactuals: Annotated[
        int, number("--counterfactuals", COUNT, "Most counterfactuals of a fact, to learn with and to be judged by.")
    ] = 4,
    faithfulness: Annotated[
        float,
        number("--faithfulness", SHARE, "Share of the metric's change to keep on training facts; not by learned."),
    ] = 0.9,
    share: Annotated[float, number("--share", SHARE, "Most edges of a circuit, as a share of all.")] = 0.01,
    kept: Annotated[
        float,
        number(
            "--kept",
            SHARE,
            "A circuit is made smaller than --share only where at least this share of Hit@10 on validation is kept, at "
            "the lower end of the 95% interval.",
        ),
    ] = 0.95,
    draws: Annotated[int, number("--draws", DRAWS, "Size-matched random circuits.")] = 5,
    allow_weak: AllowWeakOption = False,
    seed: SeedOption = 0,
    device: DeviceOption = "cpu",
    dtype: DtypeOption = "float32",
    executor: ExecutorOption = "local",
    workers: WorkersOption = None,
    threads: ThreadsOption = None,
    address: AddressOption = None,
    figures: Annotated[bool, typer.Option(help="Draw the figures and the HTML report.")] = True,
    as_json: JsonOption = False,
) -> None:
    """Find one circuit a relation on training facts, choose its size on validation, report on test facts.

    Stopped and started again with the same settings, it goes on where it was. A relation that fails is listed at the
    end with the reason; the others go on.
    """
    output = Output("study", as_json)
    with output.starting() as report:
        from wheatstone.executors import alone_in, executor_named
        from wheatstone.figures import render_all
        from wheatstone.runs import Run, listed
        from wheatstone.studies import StudySettings, open_study, run_study
        from wheatstone.tasks import bundled_relations

        asked = [name for given in relations or ["all"] for name in given.split(",") if name]
        settings = StudySettings(
            relations=tuple(bundled_relations()) if asked == ["all"] else tuple(asked),
            train=train,
            validation=validation,
            test=test,
            method=method,
            steps=steps,
            batch=batch,
            counterfactuals=counterfactuals,
            faithfulness=faithfulness,
            share=share,
            kept=kept,
            draws=draws,
            seed=seed,
            allow_weak=allow_weak,
        )
        settings.check()
        who = executor_named(executor, workers=workers, threads=threads, address=address)
        open_study(out)
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
