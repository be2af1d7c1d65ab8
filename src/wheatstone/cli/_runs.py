"""`wheatstone runs`: the catalogue of runs."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated, no_type_check

import typer
from rich.table import Column, Table

from wheatstone._errors import RunError
from wheatstone.cli._output import JsonOption, Output

runs_app = typer.Typer(name="runs", invoke_without_command=True)
RunArgument = Annotated[Path, typer.Argument(help="Folder of the run.", metavar="RUN")]


@runs_app.callback()
@no_type_check  # typer passes a context that is no instance of the class it wants named
def runs(context: typer.Context, as_json: JsonOption = False) -> None:
    """List the runs there are: what they are about, their circuit's size and faithfulness."""
    if context.invoked_subcommand is None:
        list_(as_json)


@runs_app.command("list")
def list_(as_json: JsonOption = False) -> None:
    """List the runs, newest first."""
    from wheatstone.runs import catalogue_entries

    entries = catalogue_entries()
    output = Output(as_json)
    output.document([{**vars(entry), "exists": entry.exists} for entry in entries])
    if not entries:
        output.print("no runs yet; make one with `wheatstone discover`")
        return
    numbers = (Column(name, justify="right") for name in ("edges", "faithful"))
    table = Table("made", "about", "model", *numbers, "folder", box=None)
    for entry in entries:
        edges = "" if entry.edges is None else f"{entry.edges:,}"
        faithfulness = "" if entry.faithfulness is None else f"{entry.faithfulness:.3f}"
        folder = entry.path if entry.exists else f"{entry.path} (gone)"
        table.add_row(entry.created[:16].replace("T", " "), entry.task, entry.model, edges, faithfulness, folder)
    output.print(table)


@runs_app.command()
def show(run: RunArgument, as_json: JsonOption = False) -> None:
    """Show how a run was made and what it found."""
    from wheatstone.runs import read_json, read_manifest

    manifest = read_manifest(run)
    evaluation = read_json(run, "circuit.json").get("evaluation") if manifest["verb"] == "discover" else None
    output = Output(as_json)
    output.document({"manifest": manifest, "evaluation": evaluation})
    table = Table(show_header=False, box=None)
    facts = {
        "made": manifest["created"],
        "model": f"{manifest['model']['id']} ({manifest['model']['sha256'][:12]}…)",
        **{name: str(value) for name, value in manifest["settings"].items()},
        "seed": str(manifest["seed"]),
        "circuits run": str(manifest["evaluations"]),
        "seconds": ", ".join(f"{stage} {seconds:.1f}" for stage, seconds in manifest["timings"].items()),
        **{f"result: {name}": f"{value}" for name, value in (evaluation or {}).items()},
    }
    for name, value in facts.items():
        table.add_row(name, value)
    output.print(table)


@runs_app.command()
def add(run: RunArgument, as_json: JsonOption = False) -> None:
    """List a run that is not listed, such as one copied from another machine."""
    from wheatstone.runs import catalogue_add

    entry = catalogue_add(run)
    output = Output(as_json)
    output.document(vars(entry))
    output.print(f"listed {entry.path}")


@runs_app.command()
def delete(run: RunArgument, as_json: JsonOption = False) -> None:
    """Delete a run's folder and its line in the list. A folder that is not a run is left alone."""
    from wheatstone.runs import catalogue_entries, catalogue_remove, read_manifest

    if run.exists():
        read_manifest(run)
        shutil.rmtree(run)
    elif str(run.absolute()) not in {entry.path for entry in catalogue_entries()}:
        raise RunError(expected="a run", got=f"{run}, which is not there", do="list the runs with `wheatstone runs`")
    catalogue_remove(run)
    output = Output(as_json)
    output.document({"deleted": str(run)})
    output.print(f"deleted {run}")


@runs_app.command()
def check(run: RunArgument, as_json: JsonOption = False) -> None:
    """Check that every file of a run is as it was written. Exit code 1 if not."""
    from wheatstone.runs import damaged_files, read_manifest

    read_manifest(run)
    damaged = damaged_files(run)
    output = Output(as_json)
    output.document({"run": str(run), "damaged": damaged})
    output.print(f"damaged or missing: {', '.join(damaged)}" if damaged else "every file is as it was written")
    if damaged:
        raise typer.Exit(1)
