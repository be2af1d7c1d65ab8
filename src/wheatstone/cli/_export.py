"""`wheatstone export RUN --format FMT`: a run's circuit or picture in another form."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

import typer

from wheatstone._errors import RequestError
from wheatstone.cli._new_file import new_file
from wheatstone.cli._output import JsonOption, Output

_PICTURES = ("svg", "png")
_COPIES = {"json": "circuit.json", "parquet": "edges.parquet"}
_FORMATS = (*_COPIES, *_PICTURES, "html", "graphml", "eap-json")


def export(
    run: Annotated[Path, typer.Argument(help="Folder of the run.", metavar="RUN")],
    format: Annotated[
        str,
        typer.Option(
            "--format",
            help="json (circuit), parquet (all scores), svg or png (a figure), html (report), graphml, eap-json.",
        ),
    ],
    out: Annotated[Path | None, typer.Option("--out", help="File to write; by default beside the run.")] = None,
    figure: Annotated[
        str, typer.Option("--figure", help="Which figure as svg or png: circuit, curve, answer or attention.")
    ] = "circuit",
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it is there.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Write a run's circuit, scores, figure or report in another format. No model is needed."""
    from wheatstone.runs import read_manifest

    if format not in _FORMATS:
        raise RequestError(
            expected=f"a format out of {', '.join(_FORMATS)}", got=repr(format), do="choose one of these"
        )
    read_manifest(run)
    stem = figure if format in _PICTURES else "circuit"
    ending = "eap.json" if format == "eap-json" else format
    path = out or run.absolute().parent / f"{run.absolute().name}.{stem}.{ending}"
    with new_file(path, force=force) as partial:
        named = partial.with_name(f"{partial.name}.{ending}")  # what draws goes by the ending
        _write(run, format, figure, named)
        named.replace(partial)
    output = Output("export", as_json)
    output.document({"run": str(run), "exported": format, "file": str(path)})
    output.print(f"wrote {path}")


def _write(run: Path, format: str, figure: str, path: Path) -> None:
    if format in _COPIES:
        shutil.copyfile(run / _COPIES[format], path)
    elif format in _PICTURES:
        from wheatstone.figures import render_figure

        render_figure(run, figure, path)
    elif format == "html":
        from wheatstone.figures import report_html

        path.write_text(report_html(run), encoding="utf-8")
    else:
        from wheatstone.circuits import Circuit, to_eap_json, to_graphml
        from wheatstone.runs import read_manifest, sound

        circuit = Circuit.load(run / "circuit.json")
        with sound(run):
            d_model = read_manifest(run)["model"]["d_model"]
            text = to_graphml(circuit) if format == "graphml" else to_eap_json(circuit, d_model=d_model)
        path.write_text(text, encoding="utf-8")
