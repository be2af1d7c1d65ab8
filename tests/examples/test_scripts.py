"""The scripts and notebooks of `examples/` run, each in its limit of processor time, and print what the docs show."""

from __future__ import annotations

import json
import re
import runpy
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

CLONE = Path(__file__).parents[2]
ROOT = CLONE / "examples"
PAGES = runpy.run_path(str(CLONE / "scripts/notebooks.py"))
LABEL = re.compile(r">([^<>]+)</text>")
NUMBER = re.compile(r"-?\d+\.\d+(?:e-?\d+)?|\d+")
SCRIPTS, NOTEBOOKS = sorted(ROOT.glob("*.py")), sorted((ROOT / "notebooks").glob("*.ipynb"))
LINES = 40
SECONDS = 180
"""Of processor time."""


def test_there_are_six_of_each() -> None:
    assert (len(SCRIPTS), len(NOTEBOOKS)) == (6, 6)
    assert all(len(script.read_text(encoding="utf-8").splitlines()) <= LINES for script in SCRIPTS)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_it_is_kept_without_outputs(path: Path) -> None:
    document = json.loads(path.read_text(encoding="utf-8"))
    assert (document["nbformat"], document["nbformat_minor"]) == (4, 5)
    assert len({cell["id"] for cell in document["cells"]}) == len(document["cells"])
    assert document["cells"][0]["cell_type"] == "markdown"
    code = [cell for cell in document["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)


@pytest.mark.real_weights
@pytest.mark.usefixtures("smollm2_files")
@pytest.mark.filterwarnings("default")  # as a user's own Python has it
@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_a_script_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "__main__"}
    began = time.process_time()
    exec(compile(path.read_text(encoding="utf-8"), path.name, "exec"), names)
    assert time.process_time() - began < SECONDS


@pytest.mark.real_weights
@pytest.mark.usefixtures("smollm2_files")
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_runs_and_prints_what_its_page_shows(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    began = time.process_time()
    made = list(PAGES["run"](path))
    assert time.process_time() - began < SECONDS
    assert all(len(cell.output) < 24 * 80 for cell in made)  # it fits a screen
    page, pictures = PAGES["page"](path, made)
    kept = (CLONE / "docs/notebooks" / f"{path.stem}.md").read_text(encoding="utf-8")
    assert words(page) == words(kept)
    for got, shown in zip(NUMBER.findall(page), NUMBER.findall(kept), strict=True):
        assert float(got) == pytest.approx(float(shown), abs=last_decimal(shown), rel=0), (got, shown)
    for picture, drawn in pictures.items():
        assert labels(drawn) == labels(picture.read_text(encoding="utf-8")), picture.name


def words(page: str) -> list[str]:
    """A page without its numbers, whose widths move the columns of a table."""
    return NUMBER.sub("#", page).split()


def labels(picture: str) -> list[str]:
    """The texts in a picture, without their numbers: which nodes and edges it names, in the order it draws them."""
    return words(" ".join(LABEL.findall(picture)))


def last_decimal(number: str) -> float:
    """One unit of the last decimal that is shown: rounding may go either way. A whole number is exact."""
    return 10.0 ** int(Decimal(number).as_tuple().exponent) if "." in number else 0.0
