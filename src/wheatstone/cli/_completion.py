"""`wheatstone completion`: words that a shell completes, in bash, zsh and fish."""

from __future__ import annotations

import os
import shlex
from contextlib import suppress
from typing import Annotated

import typer

from wheatstone._errors import RequestError
from wheatstone.cli._output import JsonOption, Output

SHELLS = ("bash", "zsh", "fish")
VARIABLE = "_WHEATSTONE_COMPLETE"
"""Set by the script in the shell: the command then prints completions and does nothing else."""


def completion(
    shell: Annotated[str, typer.Argument(metavar="SHELL", help="bash, zsh or fish.")], as_json: JsonOption = False
) -> None:
    """Print a script that completes commands, options and names in a shell. Load it from the shell's start-up file."""
    from typer._completion_shared import get_completion_script

    if shell not in SHELLS:
        raise RequestError(expected="bash, zsh or fish", got=repr(shell)[:200], do="choose one of these")
    script = get_completion_script(prog_name="wheatstone", complete_var=VARIABLE, shell=shell)
    output = Output("completion", as_json)
    output.document({"shell": shell, "script": script})
    for line in script.splitlines():
        output.line(line)


def begun_verb() -> str | None:
    """Prepares for completion where a shell asks for it.

    Returns:
        The verb on the line that is completed; None where it is the verb itself, or the shell did not ask.
    """
    if VARIABLE not in os.environ:
        return None
    from typer._completion_classes import completion_init

    completion_init()
    os.environ.setdefault("COMP_WORDS", "")  # typer reads both, and a person may have set the variable alone
    if not os.environ.get("COMP_CWORD", "").isdigit():
        os.environ["COMP_CWORD"] = "0"
    line = os.environ.get("COMP_WORDS") or os.environ.get("_TYPER_COMPLETE_ARGS") or ""
    words = line.split()
    with suppress(ValueError):  # of an open quotation mark
        words = shlex.split(line)
    return words[1] if len(words) > 2 or (len(words) == 2 and line[-1:].isspace()) else None


def values_of(option: str) -> tuple[str, ...]:
    """The names that an option takes, of those that are known without loading what computes.

    Args:
        option: such as `--task`.
    """
    if option == "--task":
        from wheatstone._lists import listed

        return tuple(about["name"] for about in listed("tasks"))
    if option == "--model":
        from wheatstone.checkpoints import KNOWN_MODELS, cached_models

        there = [model.name for model in cached_models() if model.usable]
        return tuple(dict.fromkeys([*KNOWN_MODELS, *there]))
    return _VALUES.get(option, ())


_VALUES = {
    "--device": ("auto", "cpu", "cuda", "mps"),
    "--direction": ("denoising", "noising"),
    "--dtype": ("bfloat16", "float16", "float32", "float64"),
    "--executor": ("local", "processes", "ray"),
    "--metric": ("kl", "logit_diff", "prob_diff"),
    "--split": ("test", "train", "validation"),
}
