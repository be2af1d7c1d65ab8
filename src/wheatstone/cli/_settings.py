"""Options made from the fields of a class, where types, bounds, defaults and meanings are written once."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Collection
from dataclasses import fields, is_dataclass
from functools import wraps
from inspect import Parameter
from typing import Annotated, Any, get_type_hints

import typer

from wheatstone._bounds import Bounds, bounds_of
from wheatstone.cli._options import number

_Verb = Callable[..., None]


def options_of(settings: type[Any] | None = None, *, apart: Collection[str] = ()) -> Callable[[_Verb], _Verb]:
    """A decorator that replaces parameters of a verb by options.

    A parameter whose type is a dataclass becomes the options that the fields of this class declare, see
    `PromptOptions`. The parameter `settings` becomes one option for each field of a settings class, except those that
    the verb declares otherwise.

    Args:
        settings: a frozen dataclass. A number's type is `Annotated[int, Bounds(…)]`, and the entries of the class's
            docstring under "Args:" are the help. It must not load torch, for `--help` does not wait for it.
        apart: fields that are no options here.
    """

    def decorate(verb: _Verb) -> _Verb:
        signature = inspect.signature(verb, eval_str=True)
        own = signature.parameters
        groups: dict[str, Any] = {name: each.annotation for name, each in own.items() if is_dataclass(each.annotation)}
        made = {name: _declared_in(group, apart) for name, group in groups.items() if name != "settings"}
        if settings is not None:
            declared = {*own, *apart, *(each.name for options in made.values() for each in options)}
            groups["settings"], made["settings"] = settings, _made_from(settings, declared)

        @wraps(verb)
        def run(**given: Any) -> None:
            values = {name: {each.name: given.pop(each.name) for each in options} for name, options in made.items()}
            verb(**{name: groups[name](**each) for name, each in values.items()}, **given)

        both = [each for name in own for each in made.get(name, [own[name].replace(kind=Parameter.KEYWORD_ONLY)])]
        run.__dict__["__signature__"] = signature.replace(parameters=both)
        run.__annotations__ = {each.name: each.annotation for each in both}
        return run

    return decorate


def _made_from(settings: type[Any], apart: Collection[str]) -> list[Parameter]:
    hints, bounds, meanings = get_type_hints(settings), bounds_of(settings), arguments_of(settings)
    sentences = {name: f"{_begun(meaning).rstrip('.')}." for name, meaning in meanings.items()}
    return [
        Parameter(
            field.name,
            Parameter.KEYWORD_ONLY,
            default=field.default,
            annotation=Annotated[hints[field.name], _option(field.name, bounds.get(field.name), sentences[field.name])],
        )
        for field in fields(settings)
        if field.name not in apart
    ]


def _declared_in(group: type[Any], apart: Collection[str]) -> list[Parameter]:
    hints = get_type_hints(group, include_extras=True)
    return [
        Parameter(field.name, Parameter.KEYWORD_ONLY, default=field.default, annotation=hints[field.name])
        for field in fields(group)
        if field.name not in apart
    ]


def arguments_of(kind: type[Any]) -> dict[str, str]:
    """The entries of a class's docstring under "Args:", each on one line; `scripts/schemas.py` reads them too."""
    listed = re.search(r"^Args:\n((?: {4}.*\n?)+)", inspect.getdoc(kind) or "", re.MULTILINE)
    entries = re.findall(r"^ {4}(\w+): (.*(?:\n {5,}.*)*)", listed[1] if listed else "", re.MULTILINE)
    return {name: " ".join(meaning.split()) for name, meaning in entries}


def _begun(meaning: str) -> str:
    """With a capital letter, unless it begins with a value that can be chosen (`zero: …`, `zero (…)`)."""
    return meaning if re.match(r"\S+(:| \()", meaning) else meaning[0].upper() + meaning[1:]


def _option(name: str, bounds: Bounds | None, meaning: str) -> Any:
    flag = f"--{name.replace('_', '-')}"
    return typer.Option(flag, help=meaning) if bounds is None else number(flag, bounds, meaning)
