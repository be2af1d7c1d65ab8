"""`wheatstone selectivity RUN…`: what every task loses without every circuit."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Column, Table

from wheatstone._bounds import FACTS, SEED, SHARE
from wheatstone.cli._loading import load
from wheatstone.cli._options import (
    DeviceOption,
    DtypeOption,
    ExecutorOptions,
    number,
)
from wheatstone.cli._output import JsonOption, Output, page_of
from wheatstone.cli._settings import options_of


@options_of()
def selectivity(
    *,
    runs: Annotated[
        list[Path],
        typer.Argument(
            help="Folders of runs of `discover` or `import`, or of a study, whose circuits all count.", metavar="RUN..."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder of the matrix; an unfinished one goes on.")],
    shared: Annotated[
        float,
        number(
            "--shared", SHARE, "Never ablate an edge that more than this share of the circuits keep; 1: ablate all."
        ),
    ] = 0.9,
    facts: Annotated[
        int, number("--facts", FACTS, "Most facts of each task, held-out ones where there are some.")
    ] = 16,
    model: Annotated[
        str | None, typer.Option("--model", help="Where the circuits' model is now; by default where it was.")
    ] = None,
    seed: Annotated[int, number("--seed", SEED, "Seed of a study's splits.")] = 0,
    executor: ExecutorOptions,
    device: DeviceOption = "cpu",
    dtype: DtypeOption = "float32",
    figures: Annotated[bool, typer.Option(help="Draw the matrix and the HTML report.")] = True,
    as_json: JsonOption = False,
) -> None:
    """Ablate each of several tasks' circuits in the whole model, and measure what every task loses.

    A circuit is selective if its own task loses more without it than the others do. Stopped and started again with the
    same settings, it continues where it was. A task that cannot be measured is listed at the end with the reason.
    """
    output = Output("selectivity", as_json)
    with output.starting() as report:
        from wheatstone.cards import SelectivitySettings, run_selectivity
        from wheatstone.executors import alone_in
        from wheatstone.figures import render_all
        from wheatstone.runs import Run, listed

        settings = SelectivitySettings(tuple(runs), shared, facts, seed)
        settings.check()
        first, *_ = settings.circuits()
        who = executor.named()
        with alone_in(out, "selectivity"):
            loaded = load(model or first.circuit.model.id, device, dtype, report)
            pictures = (lambda folder: render_all(folder, report)) if figures else None
            document = run_selectivity(loaded, settings, out, executor=who, pictures=pictures, report=report)
    missing = listed(out) | Run.open(out).missing
    output.document(document | {"run": str(out), "missing": missing})
    output.print(_table(document))
    for name, why in document["failed"].items():
        output.print(f"not measured: {name}: {why}", markup=False)
    output.missing(missing)
    if page := page_of(out):
        output.print(f"report   {page}")
    output.print(f"table    {out / 'matrix.parquet'}")


def _table(document: dict[str, Any]) -> Table:
    """One line for each circuit, and the means."""
    titles = ("ablated", "own task", "other tasks", "clearly less", "place")
    columns = (Column(title, justify="right") for title in titles)
    table = Table(Column("circuit", no_wrap=True), *columns, box=None, collapse_padding=True, pad_edge=False)
    table.title = "Share of a task's behaviour that is lost without the circuit"
    for row in document["circuits"]:
        less = "none" if row["own"] is None else f"{row['clearly_less']} of {row['compared']}"
        place = "none" if row["own"] is None else str(row["place"])
        table.add_row(
            row["circuit"],
            f"{row['ablated']:,} of {row['edges']:,}",
            _share(row["own"]),
            _share(row["others"]),
            less,
            place,
        )
    if document["difference"]:
        table.add_row("mean", "", _share(document["own"]), _share(document["others"]), "", "")
        table.add_row("difference", "", _share(document["difference"]), "", "", "")
    return table


def _share(found: dict[str, Any] | None) -> str:
    """`81% (70% to 92%)`."""
    from wheatstone.verification import Estimate, words_of

    return "none" if found is None else words_of(Estimate(**found))
