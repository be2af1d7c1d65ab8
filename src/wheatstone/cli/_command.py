"""Commands as classes that typer accepts: `~` is expanded in paths, and options that are not given cost nothing."""

from __future__ import annotations

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


class Command(_Words, TyperCommand):
    """A verb."""


class Group(_Words, TyperGroup):
    """A verb that has verbs of its own."""


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
