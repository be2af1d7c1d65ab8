"""Commands as classes that typer accepts: `~` is expanded in paths, options that are not given cost nothing, and
brackets in the help are brackets."""

from __future__ import annotations

from copy import copy
from pathlib import Path
from typing import Any

from typer.core import TyperCommand, TyperGroup, TyperOption

from wheatstone._errors import RequestError, reason
from wheatstone._path import expanded


class Option(TyperOption):
    """An option that is not validated where it is not given.

    typer loads pydantic (0.1 s) to validate an option, even one without a value, such as `--help` in every command.
    """

    def process_value(self, ctx: Any, value: Any) -> Any:
        if value is not None or self.required or self.multiple:
            return super().process_value(ctx, value)
        return None if self.callback is None else self.callback(ctx, self, None)

    def shell_complete(self, ctx: Any, incomplete: str) -> list[Any]:
        from typer._click.shell_completion import CompletionItem

        from wheatstone.cli._completion import values_of

        values = [value for value in values_of(self.opts[0]) if value.startswith(incomplete)]
        return [CompletionItem(value) for value in values] or super().shell_complete(ctx, incomplete)


_Base: Any = object


class _Words(_Base):
    """What commands and groups share. A shell expands `~` only at the beginning of a word, so not in `--out=~/run`."""

    def get_params(self, ctx: Any) -> list[Any]:
        params = super().get_params(ctx)
        for param in params:
            if type(param) is TyperOption:  # typer has no setting for the class of options
                param.__class__ = Option
        return params

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        rest = super().parse_args(ctx, args)
        ctx.params = {name: expand(value) for name, value in ctx.params.items()}
        return rest

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """As typer prints it, but rich reads no style in a text such as [path]."""
        shown = _escaped(self)
        shown.params = [_escaped(param) for param in self.params]
        if commands := getattr(self, "commands", None):
            shown.commands = {name: _escaped(command) for name, command in commands.items()}
        super(_Words, shown).format_help(ctx, formatter)


class Command(_Words, TyperCommand):
    """A verb."""


class Group(_Words, TyperGroup):
    """A verb that has verbs of its own."""


def _escaped(part: Any) -> Any:
    """A command or parameter whose texts rich shows as they are."""
    from rich.markup import escape

    shown = copy(part)
    for name in ("help", "short_help", "epilog"):
        if isinstance(text := getattr(part, name, None), str):
            setattr(shown, name, escape(text))
    return shown


def expand(value: Any) -> Any:
    """A parameter with `~` expanded in each path. Text, such as a prompt, is left as it is.

    Raises:
        RequestError: a name in a path is too long, its links lead in circles, or a folder on the way cannot be entered.
    """
    if isinstance(value, list):
        return [expand(each) for each in value]
    if not isinstance(value, Path):
        return value
    path = expanded(value)
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        pass
    except (OSError, ValueError) as error:
        raise RequestError(
            expected="a path that can be looked up", got=f"{str(path)[:200]}: {reason(error)}", do="choose another path"
        ) from error
    return path
