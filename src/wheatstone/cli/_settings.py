"""Options made from the fields of a settings class, where types, bounds, defaults and meanings are written once."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Collection
from dataclasses import fields
from functools import wraps
from inspect import Parameter
from typing import Annotated, Any, get_type_hints

import typer

from wheatstone._bounds import Bounds, bounds_of
from wheatstone.cli._options import number


def options_of(settings: type[Any], *, apart: Collection[str] = ()) -> Callable[[Callable[..., None]], Any]:
    """A decorator that replaces a verb's parameter `settings` by one option for each field of a settings class.

    Args:
        settings: a frozen dataclass. A number's type is `Annotated[int, Bounds(…)]`, and the entries of the class's
            docstring under "Args:" are the help. It must not load torch, for `--help` does not wait for it.
        apart: fields that are no options here, or that the verb declares as options of its own.
    """
    hints, bounds, meanings = get_type_hints(settings), bounds_of(settings), arguments_of(settings)
    options = [
        Parameter(
            field.name,
            Parameter.KEYWORD_ONLY,
            default=field.default,
            annotation=Annotated[hints[field.name], _option(field.name, bounds.get(field.name), meanings[field.name])],
        )
        for field in fields(settings)
        if field.name not in apart
    ]

    def decorate(verb: Callable[..., None]) -> Callable[..., None]:
        @wraps(verb)
        def run(**given: Any) -> None:
            values = {option.name: given.pop(option.name) for option in options}
            verb(settings=settings(**values), **given)

        signature = inspect.signature(verb, eval_str=True)
        own = [each.replace(kind=Parameter.KEYWORD_ONLY) for each in signature.parameters.values()]
        place = list(signature.parameters).index("settings")
        both = [*own[:place], *options, *own[place + 1 :]]
        run.__dict__["__signature__"] = signature.replace(parameters=both)
        run.__annotations__ = {each.name: each.annotation for each in both}
        return run

    return decorate


def arguments_of(settings: type[Any]) -> dict[str, str]:
    """The entries of a docstring under "Args:", as sentences."""
    _, _, text = inspect.cleandoc(settings.__doc__ or "").partition("Args:\n")
    entries = re.findall(r"^    (\w+): (.*(?:\n {5,}.*)*)", text, re.MULTILINE)
    meanings = {name: " ".join(meaning.split()) for name, meaning in entries}
    return {name: f"{_begun(meaning).rstrip('.')}." for name, meaning in meanings.items()}


def _begun(meaning: str) -> str:
    """With a capital letter, unless it begins with a value that can be chosen (`zero: …`, `zero (…)`)."""
    return meaning if re.match(r"\S+(:| \()", meaning) else meaning[0].upper() + meaning[1:]


def _option(name: str, bounds: Bounds | None, meaning: str) -> Any:
    flag = f"--{name.replace('_', '-')}"
    return typer.Option(flag, help=meaning) if bounds is None else number(flag, bounds, meaning)
