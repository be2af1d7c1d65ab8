"""Help, examples, completion and refusals of every verb, found by walking the command."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import typer
from commands import MAIN, Cli, Refused
from printed import SCHEMAS
from rich.cells import cell_len
from rich.console import Console
from rich.markup import render
from typer import rich_utils

from wheatstone.cli._app import _GROUPS, _PANELS, _VERBS, app_of
from wheatstone.cli._command import Command, Group
from wheatstone.cli._completion import SHELLS, VARIABLE
from wheatstone.cli._examples import EXAMPLES
from wheatstone.studio._library import EXAMPLES as RUNS

ROOT: Any = typer.main.get_command(app_of())


def walk(command: Any, before: str = "") -> Iterator[tuple[str, Any]]:
    for name, inner in command.commands.items():
        yield f"{before}{name}", inner
        if hasattr(inner, "commands"):
            yield from walk(inner, f"{before}{name} ")


VERBS = dict(walk(ROOT))
NAMES = sorted(VERBS)


def test_every_verb_is_in_one_panel_of_the_help(cli: Cli) -> None:
    listed = [verb for verbs in _PANELS.values() for verb in verbs.split()]
    assert sorted(listed) == sorted({*_VERBS, *_GROUPS})
    assert all(title in cli("--help").out for title in _PANELS)


@pytest.mark.parametrize("verb", NAMES)
def test_every_verb_has_examples_that_it_reads(verb: str) -> None:
    """Every word of an example is an option, an argument or a verb; nothing that is required is missing."""
    assert VERBS[verb].epilog.startswith("Examples:\n")
    for example in EXAMPLES[verb]:
        words, command = shlex.split(example.partition(" >")[0]), ROOT
        parent = command.make_context("wheatstone", [], resilient_parsing=True)
        while hasattr(command, "commands") and words and not words[0].startswith("-"):
            command = command.commands[words.pop(0)]
        command.make_context("verb", words, parent=parent)
        assert example.startswith(verb)


def test_every_verb_s_document_has_a_schema() -> None:
    """But of those that print their help, and of the two that print the list of runs one."""
    verbs = VERBS.keys() - {"head", "init", "neuron", "runs list"}
    assert {path.stem for path in SCHEMAS.glob("*.json")} == {verb.replace(" ", "-") for verb in verbs} | {"error"}


def test_no_example_is_of_a_verb_that_is_gone() -> None:
    assert EXAMPLES.keys() == VERBS.keys()


@pytest.mark.parametrize("verb", NAMES)
def test_help_shows_every_text_as_it_is_written(verb: str, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """Brackets too, which rich would read as styles; all options; the examples last; no line is too wide."""
    command = VERBS[verb]
    for columns in (60, 400):
        monkeypatch.setenv("COLUMNS", str(columns))
        monkeypatch.setattr(rich_utils, "MAX_WIDTH", columns)  # which typer reads once, when it is imported
        shown = cli(*verb.split(), "--help").out
        assert max(map(cell_len, shown.splitlines())) <= columns
    text = " ".join(shown.replace("│", " ").split())
    for part in (command.help or "", *(param.help or "" for param in command.params)):
        for paragraph in part.split("\f")[0].split("\n\n"):
            assert " ".join(paragraph.split()) in text
    for param in command.params:
        assert all(name in text for name in param.opts if param.param_type_name == "option")
    assert text.endswith(" ".join(["Examples:", *(f"wheatstone {line}" for line in EXAMPLES[verb])]))
    assert f"Usage: wheatstone {verb}" in text


def test_brackets_are_brackets(capsys: pytest.CaptureFixture[str]) -> None:
    """With rich alone such a text is lost: the check of every verb above can fail."""
    assert str(render("a [path] of it")) == "a  of it"
    app = typer.Typer()

    @app.command("verb", cls=Command, help="Takes a [path] of it.", epilog="Examples:\n  verb [path]")
    def verb(value: str = typer.Option("", help="Or [link=x] that.")) -> None: ...

    @app.command("other", cls=Command, help="Has a [bold] name.")
    def other() -> None: ...

    app.callback(cls=Group)(lambda: None)
    for words in (["verb", "--help"], ["--help"]):
        typer.main.get_command(app)(words, standalone_mode=False)
    text = " ".join(capsys.readouterr().out.split())
    for shown in ("Takes a [path] of it.", "Or [link=x] that.", "verb [path]", "Has a [bold] name."):
        assert shown in text


def completed(line: str, shell: str = "bash") -> list[str]:
    """What a shell is given for a line that ends where the cursor is."""
    words = line.split(" ")
    environment = {VARIABLE: f"complete_{shell}", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    environment |= {"_TYPER_COMPLETE_ARGS": line, "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    done = subprocess.run(MAIN, env=os.environ | environment, capture_output=True, text=True, check=True, timeout=120)
    return done.stdout.split("\n")[:-1]


def test_a_shell_completes_verbs_options_and_names() -> None:
    assert completed("wheatstone dis") == ["discover"]
    assert completed("wheatstone runs pr") == ["prune"]
    assert completed("wheatstone discover --cou") == ["--counterfactual", "--counterfactuals"]
    assert completed("wheatstone discover --task facts/country_cap") == ["facts/country_capital"]
    assert completed("wheatstone lens text --dtype fl") == ["float16", "float32", "float64"]
    assert completed('wheatstone lens "an open quotation') == [""]
    assert any(line.startswith("_arguments") and '"discover"' in line for line in completed("wheatstone dis", "zsh"))
    assert [line.split("\t")[0] for line in completed("wheatstone dis", "fish")] == ["discover"]


@pytest.mark.parametrize("verb", NAMES)
def test_every_option_is_completed(verb: str) -> None:
    """By the class that the shell asks, without a process for each."""
    from typer._completion_classes import BashComplete

    found = BashComplete(ROOT, {}, "wheatstone", VARIABLE).get_completions(verb.split(), "--")
    options = {name for param in VERBS[verb].params for name in (*param.opts, *param.secondary_opts)}
    assert {item.value for item in found} == {name for name in options if name.startswith("--")} | {"--help"}


@pytest.mark.parametrize("shell", SHELLS)
def test_a_script_for_each_shell(shell: str, cli: Cli, tmp_path: Any) -> None:
    script = cli("completion", shell).out
    assert f"{VARIABLE}=complete_{shell}" in script
    if shell == "bash":  # which is here to read it
        subprocess.run(["bash", "-n"], input=script, text=True, check=True)


def test_another_shell_is_refused(refused: Refused) -> None:
    assert "bash, zsh or fish" in refused("completion", "tcsh")


@pytest.mark.parametrize("verb", NAMES)
def test_a_wrong_word_under_json_is_an_error_as_json(verb: str, cli: Cli) -> None:
    shown = cli(*verb.split(), "--no-such-option", "--json")
    assert (shown.code, shown.out) == (2, "")
    error = json.loads(shown.err)
    assert error["format"] == "wheatstone.error/1"
    assert "--no-such-option" in error["got"]


LIGHT = {
    "tasks": (),
    "models": (),
    "models list": (),
    "runs": (),
    "runs show": (str(RUNS / "a-fact"),),
    "runs check": (str(RUNS / "a-fact"),),
    "edit": ("--list",),
    "neuron probe": ("--list",),
    "doctor": (),
    "tasks show": ("ioi",),
}
"""Verbs that print tables without a model."""


@pytest.mark.parametrize("verb", LIGHT)
@pytest.mark.parametrize("columns", [40, 80, 200])
def test_what_is_printed_fits_the_terminal(
    verb: str, columns: int, cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Any, own_home: Any
) -> None:
    """Lines that end in a path to be copied are never broken; all others fit."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", str(columns))
    shown = cli(*verb.split(), *LIGHT[verb])
    assert shown.code == 0, shown.err
    lines = [line for line in shown.out.splitlines() if not re.search(r"/\S*$", line)]
    assert max(map(cell_len, lines)) <= columns


def test_runs_show_prints_the_prompt(cli: Cli) -> None:
    shown = " ".join(cli("runs", "show", RUNS / "a-fact").out.split())
    assert "prompt 'The official language of France is'" in shown
    assert "counterfactual 'The official language of Japan is'" in shown
    assert "answers ' French'" in shown


def test_no_color_is_heard(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """rich colours headings where a terminal is claimed; NO_COLOR takes the colours away."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    assert Console().color_system is not None
    coloured = re.compile(r"\x1b\[[0-9;]*3[0-7][0-9;]*m")
    assert coloured.search(cli("tasks", "show", "--help").out)
    monkeypatch.setenv("NO_COLOR", "1")
    for words in (("tasks", "show", "--help"), ("tasks",), ("models",), ("runs", "show", RUNS / "a-fact")):
        assert not coloured.search(cli(*words).out), words
