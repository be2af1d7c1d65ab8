"""`wheatstone init`: files to begin with."""

from __future__ import annotations

import json
from pathlib import Path
from shlex import quote
from typing import Annotated

import typer

from wheatstone.cli._new_file import new_file
from wheatstone.cli._output import JsonOption, Output

init_app = typer.Typer(name="init", no_args_is_help=True, help="Write an example file to begin with.")

_COMMENTS = """\
# A task for `wheatstone discover --task FILE`: one prompt pair a line, as JSON. Lines that begin with # are comments.
#
# prompt          What the model reads. The token after it is the answer.
# counterfactual  The prompt with one thing changed, so that the answer is another. It has the same number of tokens.
# answers         Right continuations, each with its leading space. The first token of each is scored.
# distractors     Wrong continuations, usually the answers of the counterfactual. May be left out.
# subject         What the prompt is about. Prompts of one subject are in the same split. May be left out.
# split           train, validation or test. Left out here: subjects are divided 40 : 20 : 40.
#
# Pairs that the model itself does not answer are left out (--known). Replace the pairs below by yours; 20 or more are
# enough to begin with. `wheatstone tasks show FILE --model MODEL` says how many the model answers.
"""
_LANGUAGES = {
    "France": "French",
    "Japan": "Japanese",
    "Italy": "Italian",
    "Spain": "Spanish",
    "Germany": "German",
    "Russia": "Russian",
    "Greece": "Greek",
    "Turkey": "Turkish",
    "Sweden": "Swedish",
    "Poland": "Polish",
    "Norway": "Norwegian",
    "Portugal": "Portuguese",
    "Denmark": "Danish",
    "Finland": "Finnish",
    "Hungary": "Hungarian",
    "Thailand": "Thai",
    "Vietnam": "Vietnamese",
    "China": "Chinese",
    "Ukraine": "Ukrainian",
    "Iceland": "Icelandic",
}


@init_app.callback()
def init() -> None:
    """Keeps `task` a verb of its own while it is the only one."""


@init_app.command()
def task(
    out: Annotated[Path, typer.Option("--out", help="File to write.")] = Path("task.jsonl"),
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it is there.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Write a task of 20 prompt pairs with comments, as an example to change: the official languages of countries."""
    text = _COMMENTS + "".join(f"{json.dumps(pair)}\n" for pair in _pairs())
    with new_file(out, force=force) as partial:
        partial.write_text(text, encoding="utf-8")
    output = Output("init task", as_json)
    output.document({"task": str(out)})
    output.line(f"task     {out}")
    output.line(f"next     wheatstone discover --task {quote(str(out))} --out runs/mine")


def _pairs() -> list[dict[str, object]]:
    """Every country, with the next one as its counterfactual."""
    names = list(_LANGUAGES)
    return [
        {
            "prompt": f"The official language of {name} is",
            "counterfactual": f"The official language of {other} is",
            "answers": [f" {_LANGUAGES[name]}"],
            "distractors": [f" {_LANGUAGES[other]}"],
            "subject": name,
        }
        for name, other in zip(names, [*names[1:], names[0]], strict=True)
    ]
