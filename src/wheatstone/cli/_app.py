"""The command's root: finds the verb and turns errors into exit codes."""

from __future__ import annotations

import errno
import signal
import sys
from contextlib import suppress
from importlib import import_module
from types import FrameType, ModuleType
from typing import Annotated, Any, NoReturn

import typer

from wheatstone._bounds import Bounds
from wheatstone._errors import ComputationError, RequestError, WheatstoneError
from wheatstone._side import why
from wheatstone._text import shown
from wheatstone._version import __version__
from wheatstone.cli._command import Command, Group
from wheatstone.cli._completion import begun_verb
from wheatstone.cli._encoding import forgive_encodings, json_line
from wheatstone.cli._examples import epilog_of

_ABOUT = "Find the circuit inside a language model that recalls a fact or performs a task, and prove it."
_VERBS = {
    "discover": "_discover",
    "verify": "_verify",
    "card": "_card",
    "selectivity": "_selectivity",
    "explain": "_explain",
    "graph": "_graph",
    "lens": "_lens",
    "attribution": "_lens",
    "path-patching": "_path_patching",
    "study": "_study",
    "sweep": "_sweep",
    "trace": "_trace",
    "studio": "_studio",
    "export": "_export",
    "import": "_import",
    "pull": "_pull",
    "compress": "_compress",
    "decompress": "_compress",
    "bits": "_bits",
    "doctor": "_doctor",
    "completion": "_completion",
}
"""The module of each verb; its function has the verb's name."""
_FUNCTIONS = {"import": "import_"}
"""Functions of verbs whose names are words of Python."""
_GROUPS = {
    "edit": "_edit",
    "runs": "_runs",
    "models": "_models",
    "tasks": "_tasks",
    "neuron": "_neuron",
    "head": "_head",
    "init": "_init",
}
"""Likewise of verbs that have verbs of their own, as NAME_app."""
_PANELS = {
    "Circuits": "discover verify card selectivity explain graph path-patching study sweep",
    "Look inside a model": "lens attribution neuron head trace edit",
    "Text": "bits compress decompress",
    "Runs and tasks": "runs studio export import tasks init",
    "This machine": "models pull doctor completion",
}
"""The verbs by what they are for, as the help shows them."""


def app_of(asked: str | None = None) -> typer.Typer:
    """The command, with the one verb that is asked for, so that it does not wait for the others.

    Args:
        asked: the first word; all verbs are there where it is none of them, for the help and for hints.
    """
    app = typer.Typer(
        name="wheatstone", cls=Group, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False
    )
    app.callback(help=_ABOUT)(_root)
    wanted = {asked} if asked in _VERBS.keys() | _GROUPS.keys() else {*_VERBS, *_GROUPS}
    for verb in _VERBS:
        if verb in wanted:
            function = getattr(_module(_VERBS[verb]), _FUNCTIONS.get(verb, verb.replace("-", "_")))
            app.command(verb, cls=Command, epilog=epilog_of(verb), rich_help_panel=_panel(verb))(function)
    for group in _GROUPS:
        if group in wanted:
            verbs: typer.Typer = getattr(_module(_GROUPS[group]), f"{group}_app")
            for command in verbs.registered_commands:
                command.cls = Command
                name = command.name or getattr(command.callback, "__name__", "")
                command.epilog = epilog_of(f"{group} {name.replace('_', '-')}")
            app.add_typer(verbs, cls=Group, epilog=epilog_of(group), rich_help_panel=_panel(group))
    return app


def _panel(verb: str) -> str:
    return next(panel for panel, verbs in _PANELS.items() if verb in verbs.split())


def _module(name: str) -> ModuleType:
    return import_module(f"wheatstone.cli.{name}")


def _version(wanted: bool) -> bool:
    if wanted:
        print(f"wheatstone {__version__}")
        raise typer.Exit
    return wanted


def _root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=_version)
    ] = False,
) -> None:
    """What comes before the verb."""


def main() -> None:
    """Runs the command. Exit codes: 0 done, 2 the request is wrong, 1 it failed midway or its output was not read, 130
    interrupted, 143 ended."""
    signal.signal(signal.SIGTERM, _terminated)
    forgive_encodings()
    try:
        _check_words()
        verb = begun_verb() or next(iter(sys.argv[1:]), None)
        code = app_of(verb)(prog_name="wheatstone", standalone_mode=False)
    except WheatstoneError as error:
        _fail(error)
    except OSError as error:  # a file of a run that is gone, a full disk
        if error.errno in (errno.ENAMETOOLONG, errno.ELOOP):
            _fail(RequestError(expected="a path that can be looked up", got=why(error), do="choose another path"))
        _fail(
            ComputationError(
                expected="files that can be read and written", got=why(error), do="check the path and the disk"
            )
        )
    except typer.TyperException as error:
        message = error.format_message().removeprefix("Got ")
        if not message:  # the help was printed instead
            sys.exit(2)
        option: Any = getattr(error, "param", None)
        if (given := getattr(option, "type_descriptor", None)) and given.parameter_info.max is not None:
            range_ = Bounds(given.parameter_info.min, given.parameter_info.max)
            _fail(
                RequestError(
                    expected=f"{option.opts[0]} from {range_}", got=message, do="choose a number in that range"
                )
            )
        verb = next((word for word in sys.argv[1:] if word in _VERBS.keys() | _GROUPS.keys()), None)
        command = f"wheatstone {verb}" if verb else "wheatstone"
        _fail(
            RequestError(expected=f"words that `{command}` knows", got=message, do=f"see `{command} --help`"),
        )
    if code == 130:  # what typer makes of Ctrl-C
        _say("wheatstone: interrupted; nothing unfinished was left behind")
    sys.exit(code if isinstance(code, int) else 0)


def _check_words() -> None:
    """Refuses words that are not UTF-8, which no file of ours could hold.

    Raises:
        RequestError: there is one.
    """
    for word in sys.argv[1:]:
        if (seen := word.encode(errors="replace").decode()) != word:
            raise RequestError(
                expected="words in UTF-8", got=repr(seen)[:200], do="rename the file, or correct the text"
            )


def _fail(error: WheatstoneError) -> NoReturn:
    """Ends with an error's exit code, after the error in one line: for people, or with `--json` as an object."""
    if "--json" in sys.argv[1:]:
        parts = {"expected": error.expected, "got": error.got, "do": error.do}
        line = json_line({"format": "wheatstone.error/1", "kind": type(error).__name__, **parts}, sys.stderr)
    else:
        line = shown(f"wheatstone: {error}")
    _say(line)
    sys.exit(error.exit_code)


def _say(line: str) -> None:
    """A line on stderr; where that is closed or full, the exit code alone says it."""
    if sys.stderr is not None:  # as with 2>&-, where print would take stdout instead
        with suppress(OSError):
            print(line, file=sys.stderr, flush=True)


def _terminated(_signal: int, _frame: FrameType | None) -> None:
    """As Ctrl-C: everything unfinished is taken back on the way out."""
    _say("wheatstone: ended; nothing unfinished was left behind")
    sys.exit(128 + signal.SIGTERM)
