"""Every example of every page runs, page after page in one folder, as a reader would type them.

    make examples

Long commands are shortened by options that come last (`SHORTER`). What cannot run here is listed with the reason
(`NOT_RUN`); any other line of a block that is not a command of ours is an error, so that nothing is left out unnoticed.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from wheatstone.checkpoints._cache import ModelFiles
from wheatstone.cli import main

ROOT = Path(__file__).parents[2]
FIRST = ["README.md", "docs/guides/first-circuit.md", "docs/tasks.md"]
"""Read first: other pages use the runs that these make."""
SHORTER = {
    "card": ["--samples", "10", "--draws", "1", "--shuffles", "1", "--effects", "2"],
    "discover --task": ["--size", "10", "--method", "eap-ig"],
    "edit add": ["--method", "ft-m"],
    "edit --prompt": ["--method", "ft-m"],
    "explain runs/capitals": ["--most", "4"],
    "neuron probe --concept": ["--most", "25", "--layers", "7"],
    "graph --verify": ["--steps", "10"],
    "graph --task": ["--steps", "5", "--nodes", "50", "--size", "20"],
    "head scan": ["--tokens", "2048"],
    "neuron scan": ["--tokens", "4096"],
    "selectivity": ["--facts", "4"],
    "study": [
        "--relations",
        "country_capital",
        "--train",
        "4",
        "--validation",
        "4",
        "--test",
        "4",
        "--method",
        "eap-ig",
    ],
    "sweep": ["--size", "4", "--workers", "2", "--executor", "processes"],
    "trace": ["--size", "4", "--draws", "2"],
}
NOT_RUN = {
    "make ": "what calls this test",
    "pip install": "changes the environment",
    "wheatstone models check path/to": "no such checkpoint here; tests/models/test_add_a_family.py runs the page",
    "wheatstone studio": "serves until it is stopped; tests/studio drives it in a browser",
    "wheatstone sweep --task facts/country_capital --out runs/capitals-sweep --model meta-llama": "no GPU here",
    "ray ": "no cluster here; tests/executors starts one",
    "wheatstone sweep --task facts/country_capital --out runs/capitals-sweep --executor ray": "no cluster here",
    "wheatstone sweep --task facts/country_capital --device cuda": "no GPU here",
    "wheatstone discover --model meta-llama": "no GPU here, and a model that needs an account",
    "#!/bin/bash": "a job for Slurm",
    "helm ": "no cluster here",
    "kubectl ": "no cluster here",
}

ELSEWHERE = ("docs/guides/add-a-family.md", "docs/notebooks/")
"""Pages whose Python is run by tests/models/test_add_a_family.py and by test_scripts.py."""


def _pages() -> list[str]:
    found = {page.relative_to(ROOT).as_posix() for page in (ROOT / "docs").rglob("*.md")} | {"README.md"}
    with_blocks = [page for page in found if "```" in (ROOT / page).read_text(encoding="utf-8")]
    return sorted(with_blocks, key=lambda page: (FIRST.index(page) if page in FIRST else len(FIRST), page))


def _blocks(page: str) -> Iterator[tuple[str, str]]:
    """A page's blocks with their languages."""
    yield from re.findall(r"^```(\w*)\n(.*?)^```$", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def _commands(block: str) -> Iterator[str]:
    """The commands of a block, continued lines joined."""
    if not re.match(r"(\.venv/bin/)?\w+ |make|#!", block) or block.startswith(("14 of", "cli ")):
        return
    if block.startswith("#!"):
        yield block.splitlines()[0]
        return
    yield from filter(None, (line.strip() for line in re.sub(r"\\\n *", "", block).splitlines()))


@pytest.fixture(scope="module")
def place(smollm2_files: ModelFiles, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder as a fresh clone looks to the pages, with a catalogue of its own."""
    folder, home = tmp_path_factory.mktemp("clone"), tmp_path_factory.mktemp("home")
    (home / "models").symlink_to(smollm2_files.folder.parent)
    (folder / "src").symlink_to(ROOT / "src")
    own = {"supernodes": [{"name": "my own", "members": ["group 0"]}]}
    (folder / "supernodes.json").write_text(json.dumps(own))
    (folder / "notes.txt").write_text("The official language of France is French, and its capital is Paris.\n" * 3)
    before = Path.cwd()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WHEATSTONE_HOME", str(home))
        os.chdir(folder)
        yield folder
        os.chdir(before)


@pytest.mark.real_weights
@pytest.mark.filterwarnings("default")  # as a user's own Python has it
@pytest.mark.parametrize("page", _pages())
def test_every_example_runs(page: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if page == "README.md":
        _run(monkeypatch, _demo())
    names: dict[str, Any] = {}
    for language, block in _blocks(page):
        if language == "python" and not page.startswith(ELSEWHERE):
            exec(compile(block, page, "exec"), names)
        elif language in ("", "sh"):
            for line in _commands(block):
                if not any(line.startswith(beginning) for beginning in NOT_RUN):
                    words = shlex.split(line, comments=True)
                    assert words[0].removeprefix(".venv/bin/") == "wheatstone", f"{page}: {line}"
                    _run(monkeypatch, _shortened(words[1:]))


def _demo() -> list[str]:
    """The command of `make demo`."""
    recipe = (ROOT / "Makefile").read_text(encoding="utf-8").partition("\ndemo:")[2].partition("\n\n")[0]
    return shlex.split(recipe.replace("\\\n", " ").partition("wheatstone ")[2])


def _shortened(words: list[str]) -> list[str]:
    line = " ".join(words)
    return [*words, *next((more for beginning, more in SHORTER.items() if line.startswith(beginning)), [])]


def _run(monkeypatch: pytest.MonkeyPatch, words: list[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["wheatstone", *words])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert not stopped.value.code, " ".join(words)
