"""`~` in the paths of a command: what a shell expands only at the beginning of a word (`--out=~/run` is not)."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, wraps
from pathlib import Path
from typing import Any

import typer

from wheatstone._errors import RequestError, reason
from wheatstone._path import expanded


def expanding(verb: Callable[..., Any]) -> Callable[..., Any]:
    """A verb with `~` expanded in every path it is given. Text, such as a prompt, is left as it is."""

    @wraps(verb)
    def run(*words: Any, **options: Any) -> Any:
        return verb(*map(_expanded, words), **{name: _expanded(value) for name, value in options.items()})

    return run


@cache
def expand_in(group: typer.Typer) -> typer.Typer:
    """The same for every verb of a group, and for the group itself where it is a verb too."""
    if group.registered_callback is not None and group.registered_callback.callback is not None:
        group.registered_callback.callback = expanding(group.registered_callback.callback)
    for command in group.registered_commands:
        if command.callback is not None:
            command.callback = expanding(command.callback)
    for inner in group.registered_groups:
        if inner.typer_instance is not None:
            expand_in(inner.typer_instance)
    return group


def _known(path: Path) -> Path:
    """A path that the system can look up, whether or not something is there.

    Raises:
        RequestError: a name in it is too long, its links lead in circles, or a folder on the way cannot be entered.
    """
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        pass
    except (OSError, ValueError) as error:
        raise RequestError(
            expected="a path that can be looked up",
            got=f"{str(path)[:200]}: {reason(error)}",
            do="choose another path",
        ) from error
    return path


def _expanded(value: Any) -> Any:
    if isinstance(value, Path):
        return _known(expanded(value))
    return [_expanded(each) for each in value] if isinstance(value, list) else value
