"""Writes docs/commands.md: every command with its arguments, options and defaults, from the commands themselves.

And the lists that `wheatstone tasks`, `edit --list` and `neuron probe --list` print.

    .venv/bin/python scripts/commands.py [--check]

`--check` writes nothing, and exits with 1 where a file is not what would be written.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from generated import write_or_check

from wheatstone._bounds import Bounds
from wheatstone._lists import LISTS
from wheatstone.cli._app import app_of
from wheatstone.cli._lists import lists

PAGE = Path(__file__).parents[1] / "docs/commands.md"
HEAD = """# Commands

Every command and option, as `wheatstone COMMAND --help` shows them. Written by `scripts/commands.py` and checked by a
test. Exit codes: 0 done, 1 failed midway, 2 the request is wrong, 130 interrupted, 143 ended by SIGTERM.
With `--json` a command prints one JSON object. Its first key is `format`, which names the command and the version of
the format: `wheatstone.discover/1`, `wheatstone.neuron-screen/1`; [JSON documents](json.md) says what each holds.
"""
EVERYWHERE = {"help"}


def commands(of: Any, before: str) -> Iterator[tuple[str, Any]]:
    """Every command below a group, with the words that call it."""
    for name, command in sorted(of.commands.items()):
        words = f"{before} {name}"
        yield words, command
        if hasattr(command, "commands"):
            yield from commands(command, words)


def section(words: str, command: Any) -> str:
    """One command's part of the page."""
    usage = [words, *(_metavar(each) for each in command.params if each.param_type_name == "argument"), "[OPTIONS]"]
    rows = [_row(each) for each in command.params if each.name not in EVERYWHERE and not each.hidden]
    text = inspect.cleandoc(command.help or "").replace("\f", "")
    table = ["| | meaning | default |", "|---|---|---|", *rows] if rows else []
    examples = [f"    {line.strip()}" for line in (command.epilog or "").splitlines()[1:]]
    shown = ["Examples:", "", *examples, ""] if examples else []
    return "\n".join([f"## {words}", "", f"    {' '.join(usage)}", "", text, "", *table, "", *shown])


def _metavar(parameter: Any) -> str:
    return parameter.metavar or str(parameter.name).upper()


def _row(parameter: Any) -> str:
    argument = parameter.param_type_name == "argument"
    names = [_metavar(parameter)] if argument else [*parameter.opts, *parameter.secondary_opts]
    default = "" if parameter.default in (None, False, ()) else f"`{parameter.default}`"
    cells = [
        ", ".join(f"`{name}`" for name in names),
        " ".join(str(parameter.help or "").split()) + _range(parameter),
        "required" if parameter.required else default,
    ]
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _range(parameter: Any) -> str:
    """The numbers that an option takes."""
    info = parameter.type_descriptor.parameter_info
    return "" if info.max is None else f" ({Bounds(info.min, info.max)})"


def page() -> str:
    """The page as it should be."""
    root = typer.main.get_command(app_of())
    return "\n".join([HEAD, *(section(words, command) for words, command in commands(root, "wheatstone"))])


if __name__ == "__main__":
    write_or_check({PAGE: page(), LISTS: lists()})
