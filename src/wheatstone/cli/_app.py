"""The command's root: registers the verbs and turns errors into exit codes."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

import typer

from wheatstone._errors import WheatstoneError
from wheatstone.cli._compress import bits, compress, decompress
from wheatstone.cli._discover import discover
from wheatstone.cli._edit import edit
from wheatstone.cli._explain import explain
from wheatstone.cli._export import export
from wheatstone.cli._models import models_app
from wheatstone.cli._neuron import neuron_app
from wheatstone.cli._neuron_probe import probe
from wheatstone.cli._output import plain
from wheatstone.cli._path_patching import path_patching
from wheatstone.cli._pull import pull
from wheatstone.cli._runs import runs_app
from wheatstone.cli._runs_archive import export as export_archive
from wheatstone.cli._runs_archive import import_
from wheatstone.cli._runs_prune import prune
from wheatstone.cli._studio import studio
from wheatstone.cli._study import study
from wheatstone.cli._sweep import sweep
from wheatstone.cli._tasks import tasks_app
from wheatstone.cli._trace import trace
from wheatstone.cli._verify import verify

app = typer.Typer(
    name="wheatstone",
    help="Find the circuit inside a language model that recalls a fact or performs a task, and prove it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for verb in (
    discover,
    verify,
    explain,
    path_patching,
    study,
    sweep,
    trace,
    edit,
    studio,
    export,
    pull,
    compress,
    decompress,
    bits,
):
    app.command()(verb)
neuron_app.command()(probe)
runs_app.command("export")(export_archive)
runs_app.command("import")(import_)
runs_app.command()(prune)
for group in (runs_app, models_app, tasks_app, neuron_app):
    app.add_typer(group)


def main() -> None:
    """Runs the command. Exit codes: 0 done, 2 the request is wrong, 1 it failed midway, 130 interrupted, 143 ended."""
    # Threads that spin long while they wait make small matrix products ten times slower as soon as another
    # process wants a core; torch's OpenMP reads this when it is loaded.
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    signal.signal(signal.SIGTERM, _terminated)
    try:
        code = app(standalone_mode=False)
    except WheatstoneError as error:
        print(plain(f"wheatstone: {error}"), file=sys.stderr)
        sys.exit(error.exit_code)
    except OSError as error:  # a file of a run that is gone, a full disk
        print(plain(f"wheatstone: {error}"), file=sys.stderr)
        sys.exit(1)
    except typer.TyperException as error:
        if message := error.format_message():  # empty where the help was printed instead
            print(f"wheatstone: {message}", file=sys.stderr)
        sys.exit(2)
    if code == 130:  # what typer makes of Ctrl-C
        print("wheatstone: interrupted; nothing unfinished was left behind", file=sys.stderr)
    sys.exit(code if isinstance(code, int) else 0)


def _terminated(_signal: int, _frame: FrameType | None) -> None:
    """As Ctrl-C: whatever is unfinished is taken back on the way out."""
    print("wheatstone: ended; nothing unfinished was left behind", file=sys.stderr)
    sys.exit(128 + signal.SIGTERM)
