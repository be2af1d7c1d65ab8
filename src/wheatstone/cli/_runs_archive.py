"""`wheatstone runs export` and `runs import`: a run as one file, to keep or to send."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from wheatstone.cli._new_file import new_file
from wheatstone.cli._output import JsonOption, Output


def export(
    run: Annotated[Path, typer.Argument(help="Folder of the run.", metavar="RUN")],
    out: Annotated[Path, typer.Option("--out", help="Archive to write, ending in .tar.zst or .zip.")],
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it is there.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Pack a run into one archive. Its hashes are checked first; a damaged run is refused."""
    from wheatstone.runs import export_run

    output = Output("runs export", as_json)
    with new_file(out, force=force) as partial, output.progress() as report:
        export_run(run, partial, report=report)
    size = out.stat().st_size
    output.document({"run": str(run), "file": str(out), "bytes": size})
    output.print(f"wrote {out}, {size:,} bytes", markup=False)


def import_(
    archive: Annotated[Path, typer.Argument(help="Archive that `runs export` made.", metavar="FILE")],
    out: Annotated[Path, typer.Option("--out", help="Folder of the run.")],
    force: Annotated[bool, typer.Option("--force", help="Replace the run if one is there.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Unpack a run and list it. Every hash is checked before anything is put in place."""
    from wheatstone.runs import catalogue_add, import_run

    output = Output("runs import", as_json)
    with output.progress() as report:
        import_run(archive, out, force=force, report=report)
    entry = catalogue_add(out)
    output.document(vars(entry))
    output.print(f"listed {entry.path}", markup=False)
