"""`wheatstone studio`: the web app on this machine."""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from wheatstone._bounds import PORT
from wheatstone._errors import RunError
from wheatstone.cli._options import number
from wheatstone.cli._output import JsonOption, Output

MOST_RUNS = 10_000
"""In one folder, which is read each time the list of runs is shown."""


def studio(
    port: Annotated[int, number("--port", PORT, "Port to listen at; 0 for a free one.")] = 8765,
    host: Annotated[
        str, typer.Option("--host", help="Address to listen at. Any but this machine's own asks for a token.")
    ] = "127.0.0.1",
    browser: Annotated[bool, typer.Option(help="Open the browser.")] = True,
    runs: Annotated[
        list[Path] | None,
        typer.Option("--runs", help="A folder of runs to list beside the catalogue's; may be repeated."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """See, test and compare circuits in the browser; nothing leaves this machine. Ctrl-C ends it."""
    from wheatstone.studio import Library, serve

    for folder in runs or ():
        _check_runs(folder)
    output = Output("studio", as_json)

    def say(address: str) -> None:
        output.document({"address": address})
        output.print(f"studio   {address}", markup=False)

    serve(Library(tuple(runs or ())), host=host, port=port, browser=browser, say=say)


def _check_runs(folder: Path) -> None:
    """Refuses a folder that cannot be listed at every request.

    Raises:
        RunError: it is no folder, or holds too much.
    """
    if not folder.is_dir():
        raise RunError(expected="a folder of runs", got=str(folder), do="give one with --runs, or leave it out")
    with os.scandir(folder) as entries:
        if next(islice(entries, MOST_RUNS, None), None) is not None:
            raise RunError(
                expected=f"a folder of at most {MOST_RUNS:,} runs",
                got=f"{folder}, which holds more",
                do="split it, or list its runs with `wheatstone runs add`",
            )
