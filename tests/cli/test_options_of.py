"""Options made from a settings class: every field, its range and its meaning."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Annotated, Any

import pytest
import typer
from typer.testing import CliRunner

from wheatstone._bounds import COUNT, SHARE, bounds_of, check_fields
from wheatstone._errors import RequestError
from wheatstone.cards import CardSettings
from wheatstone.cli._app import app_of
from wheatstone.cli._settings import _made_from, arguments_of, options_of
from wheatstone.discovery import DiscoverySettings
from wheatstone.graphs import GraphSettings
from wheatstone.studies import StudySettings

VERBS = {"discover": DiscoverySettings, "card": CardSettings, "graph": GraphSettings, "study": StudySettings}
RENAMED = {("card", "prompts"): "most", ("discover", "task"): "task", ("study", "relations"): "relations"}


@dataclass(frozen=True)
class Settings:
    """What to do.

    Args:
        steps: number of steps, the first
            ones in order.
        share: zero: nothing. one: all.
        loud: whether to say so.
    """

    steps: Annotated[int, COUNT] | None = None
    share: Annotated[float, SHARE] = 0.5
    loud: bool = False


def test_a_verb_is_called_with_the_settings_of_its_options() -> None:
    called: list[tuple[Settings, str]] = []
    app = typer.Typer()

    @app.command()
    @options_of(Settings, apart=("loud",))
    def verb(*, settings: Settings, name: Annotated[str, typer.Option("--name")] = "it") -> None:
        """A verb."""
        called.append((settings, name))

    run = CliRunner().invoke
    assert run(app, ["--steps", "3", "--name", "x"]).exit_code == 0
    assert run(app, []).exit_code == 0
    assert called == [(Settings(steps=3), "x"), (Settings(), "it")]
    for words in (["--steps", "0"], ["--share", "1.5"], ["--share", "nan"], ["--loud"]):
        assert run(app, words).exit_code == 2, words
    assert len(called) == 2


@dataclass(frozen=True)
class Where:
    """Where to do it."""

    place: Annotated[str, typer.Option("--place")] = "here"
    loud: Annotated[bool, typer.Option("--loud")] = False


def test_a_group_of_options_is_one_parameter_and_no_option_is_made_twice() -> None:
    called: list[tuple[Where, Settings, float]] = []
    app = typer.Typer()

    @app.command()
    @options_of(Settings)
    def verb(*, where: Where, settings: Settings, share: Annotated[float, typer.Option("--share")] = 0.25) -> None:
        """A verb."""
        called.append((where, settings, share))

    assert CliRunner().invoke(app, ["--place", "there", "--loud", "--steps", "2"]).exit_code == 0
    assert called == [(Where("there", loud=True), Settings(steps=2), 0.25)]


def test_the_help_is_the_docstring_s() -> None:
    assert arguments_of(Settings) == {
        "steps": "number of steps, the first ones in order.",
        "share": "zero: nothing. one: all.",
        "loud": "whether to say so.",
    }
    made = [option.annotation.__metadata__[0].help for option in _made_from(Settings, ())]
    assert made == ["Number of steps, the first ones in order.", "zero: nothing. one: all.", "Whether to say so."]
    assert bounds_of(Settings) == {"steps": COUNT, "share": SHARE}
    check_fields(Settings(steps=None))
    with pytest.raises(RequestError, match="--steps from 1 to"):
        check_fields(Settings(steps=0))


@pytest.mark.parametrize("verb", VERBS)
def test_every_field_is_an_option_of_its_verb(verb: str) -> None:
    command: Any = typer.main.get_command(app_of(verb))
    options = {param.name: param for param in command.commands[verb].params}
    for field in fields(VERBS[verb]):
        option = options[RENAMED.get((verb, field.name), field.name)]
        assert str(option.help).endswith("."), field.name
        bounds = bounds_of(VERBS[verb]).get(field.name)
        info = option.type_descriptor.parameter_info
        if bounds is not None:
            assert (info.min, info.max) == bounds, field.name
