"""`wheatstone runs regroup`: the supernodes of a graph, named, merged and split by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from wheatstone._text import shown
from wheatstone.cli._output import JsonOption, Output


def regroup(
    run: Annotated[Path, typer.Argument(help="Folder of a run of `wheatstone graph`.", metavar="RUN")],
    file: Annotated[
        Path,
        typer.Argument(
            help='JSON: {"supernodes": [{"name": "writes French", "members": ["group 0", "m29.n864@5"]}]}; a member is '
            "a node, or a group as the page first numbered it.",
            metavar="FILE",
        ),
    ],
    as_json: JsonOption = False,
) -> None:
    """Name, merge or split the supernodes of a graph. The run keeps them, and its pictures and page show them.

    Nodes that are named here leave the groups that were found for them. Another file replaces what this one said.
    """
    output = Output("runs regroup", as_json)
    with output.starting() as report:
        from wheatstone.figures import render_all
        from wheatstone.graphs import own_supernodes
        from wheatstone.runs import Run, add_file, add_pictures

        written, supernodes = own_supernodes(run, file)
        report("starting", 1, 1)
        add_file(run, "supernodes.json", written)
        add_pictures(run, lambda folder: render_all(folder, report))
    kept = [{"name": one["name"], "nodes": one["nodes"]} for one in supernodes if one["nodes"]]
    missing = Run.open(run).missing
    output.document({"run": str(run), "supernodes": kept, "missing": missing})
    for one in kept:
        output.print(f"{len(one['nodes']):4,}  {shown(one['name'])}", markup=False)
    output.missing(missing)
