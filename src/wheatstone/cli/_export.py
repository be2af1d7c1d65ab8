"""`wheatstone export RUN --format FMT`: the result, a table, a picture or the page of a run of any verb."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wheatstone._errors import RequestError, check_choice
from wheatstone.cli._new_file import new_file
from wheatstone.cli._output import JsonOption, Output

if TYPE_CHECKING:
    from wheatstone.runs import Run

_CIRCUIT, _PICTURES = ("graphml", "eap-json"), ("svg", "png")
_FORMATS = ("json", "parquet", *_PICTURES, "html", *_CIRCUIT)


def export(
    run: Annotated[Path, typer.Argument(help="Folder of the run.", metavar="RUN")],
    format: Annotated[
        str,
        typer.Option(
            "--format",
            help="json (its result), parquet (a table), svg or png (a figure), html (report); of a circuit or a graph "
            "graphml; of a circuit eap-json.",
        ),
    ],
    out: Annotated[Path | None, typer.Option("--out", help="File to write; by default beside the run.")] = None,
    figure: Annotated[
        str | None,
        typer.Option("--figure", help="Which figure as svg or png, such as circuit or curve; by default the main one."),
    ] = None,
    table: Annotated[
        str | None,
        typer.Option("--table", help="Which table as parquet, such as edges; by default the main one."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it is there.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Write the result, a table, a figure or the report of any run in another format. No model is needed."""
    from wheatstone.runs import Run

    check_choice("a format", format, _FORMATS)
    opened = Run.open(run)
    stem = _name(opened, format, figure, table)
    ending = "eap.json" if format == "eap-json" else format
    path = out or run.absolute().parent / f"{run.absolute().name}.{stem}.{ending}"
    output = Output("export", as_json)
    with output.starting(), new_file(path, force=force) as partial:
        named = partial.with_name(f"{partial.name}.{ending}")  # what draws goes by the ending
        _write(opened, format, stem, named)
        named.replace(partial)
    output.document({"run": str(run), "exported": format, "file": str(path)})
    output.print(f"wrote {path}")


def _name(run: Run, format: str, figure: str | None, table: str | None) -> str:
    """What is exported, by its name: a figure, a table, the page, or else the document with the result.

    Raises:
        RequestError: the runs of this verb never have it.
        RunError: the run has no such table.
    """
    contents = run.contents
    if format in _PICTURES:
        return figure or _main(run, contents.figures, "figures", "its page as html or its result as json")
    if format == "parquet":
        name = table or _main(run, tuple(contents.columns), "tables", "its result as json")
        run.path_of(name)  # refused before a file is named after it
        return name
    if format in _CIRCUIT and contents.document not in ("circuit", *(["graph"] if format == "graphml" else [])):
        raise RequestError(
            expected=f"a run with a circuit{' or a graph' if format == 'graphml' else ''}, for {format}",
            got=f"{run.path}, a run of `wheatstone {contents.command}`",
            do="export its result as json, or give a run of `wheatstone discover`"
            + (" or `wheatstone graph`" if format == "graphml" else ""),
        )
    return "report" if format == "html" and contents.document != "circuit" else contents.document


def _main(run: Run, names: tuple[str, ...], what: str, instead: str) -> str:
    if not names:
        raise RequestError(
            expected=f"a run with {what}",
            got=f"{run.path}, a run of `wheatstone {run.contents.command}`, which has none",
            do=f"export {instead}",
        )
    return names[0]


def _write(run: Run, format: str, name: str, path: Path) -> None:
    if format == "json":
        shutil.copyfile(run.file(f"{name}.json"), path)
    elif format == "parquet":
        shutil.copyfile(run.path_of(name), path)
    elif format in _PICTURES:
        from wheatstone.figures import render_figure

        render_figure(run.path, name, path)
    elif format == "html":
        from wheatstone.figures import report_html

        path.write_text(report_html(run.path), encoding="utf-8")
    elif run.contents.document == "graph":
        from wheatstone.graphs import graph_graphml
        from wheatstone.runs import sound

        with sound(run.path):
            text = graph_graphml(run)
        path.write_text(text, encoding="utf-8")
    else:
        from wheatstone.circuits import Circuit, to_eap_json, to_graphml
        from wheatstone.runs import sound

        circuit = Circuit.load(run.path)
        with sound(run.path):
            d_model = run.manifest["model"]["d_model"]
            text = to_graphml(circuit) if format == "graphml" else to_eap_json(circuit, d_model=d_model)
        path.write_text(text, encoding="utf-8")
