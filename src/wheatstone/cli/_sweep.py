"""`wheatstone sweep`: a circuit for every prompt pair of a task."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Column, Table

from wheatstone._bounds import PAIRS, SHARE
from wheatstone.cli._loading import load
from wheatstone.cli._options import (
    AllowWeakOption,
    DeviceOption,
    DtypeOption,
    ExecutorOptions,
    KnownOption,
    ModelOption,
    SeedOption,
    number,
)
from wheatstone.cli._output import JsonOption, Output, page_of
from wheatstone.cli._settings import options_of

_HEADS = 12


@options_of()
def sweep(
    *,
    out: Annotated[Path, typer.Option("--out", help="Folder of the sweep; an unfinished one goes on.")],
    tasks: Annotated[
        list[str] | None,
        typer.Option(
            "--task",
            help="Bundled task (see `wheatstone tasks`) or file, at least one; may be repeated, or several with commas "
            "between.",
            metavar="TASK",
        ),
    ] = None,
    model: ModelOption = "smollm2-135m",
    size: Annotated[int | None, number("--size", PAIRS, "Most pairs of each task; by default all.")] = None,
    known: KnownOption = 10,
    method: Annotated[
        str,
        typer.Option(
            "--method",
            help="A scoring method (`eap-ig`: its ranking is cut), `re-ranked` or `verified` (each edge is proven).",
        ),
    ] = "eap-ig",
    faithfulness: Annotated[
        float, number("--faithfulness", SHARE, "Share of the metric's change that a circuit keeps, 0 to 1.")
    ] = 0.8,
    allow_weak: AllowWeakOption = False,
    seed: SeedOption = 0,
    executor: ExecutorOptions,
    device: DeviceOption = "cpu",
    dtype: DtypeOption = "float32",
    figures: Annotated[bool, typer.Option(help="Draw the heads and the HTML report.")] = True,
    as_json: JsonOption = False,
) -> None:
    """Find a circuit for every fact or prompt pair alone, and rank heads by how often they recur beyond chance.

    Chance is what circuits of the same sizes give in which the heads of each layer have changed places.

    Stopped and started again with the same settings, it continues where it was. A pair that fails is listed at the end
    with the reason; the others are done.
    """
    output = Output("sweep", as_json)
    with output.starting() as report:
        from wheatstone.discovery import DiscoverySettings
        from wheatstone.executors import alone_in
        from wheatstone.figures import render_all
        from wheatstone.runs import Run, listed
        from wheatstone.studies import SweepSettings, run_sweep

        settings = SweepSettings(
            tasks=tuple(name for given in tasks or () for name in given.split(",") if name),
            known=known or None,
            size=size,
            discovery=DiscoverySettings(method=method, faithfulness=faithfulness, seed=seed, allow_weak=allow_weak),
        )
        settings.check()
        who = executor.named()
        with alone_in(out, "sweep"):
            loaded = load(model, device, dtype, report)
            pictures = (lambda folder: render_all(folder, report)) if figures else None
            document = run_sweep(loaded, settings, out, executor=who, pictures=pictures, report=report)
    missing = listed(out) | Run.open(out).missing
    output.document(document | {"run": str(out), "missing": missing})
    edges, reached = document["edges"], document["faithfulness"]
    output.print(
        f"{document['pairs']:,} circuits: {edges['median']:,.0f} edges ({edges['least']:,} to {edges['most']:,}), "
        f"faithfulness {reached['median']:.3f} ({reached['least']:.3f} to {reached['most']:.3f}); medians"
    )
    if weak := document["weak"]:
        output.print(
            f"warning: on {weak} of {document['pairs']} pairs the model itself does not give the answer: their "
            "circuits explain a preference between two tokens, not an answer (`weak` in pairs.parquet)",
            markup=False,
        )
    names = ("circuits", "share", "by chance", "excess", "p")
    table = Table("head", *(Column(name, justify="right") for name in names), box=None)
    heads = document["heads"]
    first = [row for place, row in enumerate(heads) if place < _HEADS or _ties(row, heads[_HEADS - 1])]
    for row in first:
        table.add_row(
            row["node"],
            f"{row['circuits']:,}",
            f"{row['share']:.0%}",
            f"{row['expected']:.0%}",
            f"{row['excess']:+.0%}",
            f"{row['p']:.1g}",
        )
    output.print(table)
    output.print(
        f"{document['heads_in_all']} of {document['heads_of_model']} heads are in every circuit; "
        f"{document['heads_beyond_chance']} recur more often than in random circuits of the same sizes and layers "
        f"(p below 0.05 for all heads together). Shown: the {len(first)} furthest beyond chance, ties included."
    )
    for name, why in document["failed"].items():
        output.print(f"not done: {name}: {why}", markup=False)
    output.missing(missing)
    if page := page_of(out):
        output.print(f"report   {page}")
    output.print(f"tables   {out / 'pairs.parquet'}, {out / 'nodes.parquet'}")


def _ties(row: dict[str, Any], last: dict[str, Any]) -> bool:
    return row["circuits"] == last["circuits"] and abs(row["excess"] - last["excess"]) < 1e-12
