"""The scripts and notebooks of `examples/` run, each within its limit of processor time."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2] / "examples"
SCRIPTS, NOTEBOOKS = sorted(ROOT.glob("*.py")), sorted((ROOT / "notebooks").glob("*.ipynb"))
LINES = 40
SECONDS = 180
"""Of processor time."""


def cells(notebook: Path) -> list[str]:
    """The code of a notebook, cell by cell."""
    document = json.loads(notebook.read_text(encoding="utf-8"))
    assert (document["nbformat"], document["nbformat_minor"]) == (4, 5)
    assert len({cell["id"] for cell in document["cells"]}) == len(document["cells"])
    assert document["cells"][0]["cell_type"] == "markdown"
    code = [cell for cell in document["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
    return ["".join(cell["source"]) for cell in code]


def test_there_are_six_of_each() -> None:
    assert (len(SCRIPTS), len(NOTEBOOKS)) == (6, 6)
    assert all(len(script.read_text(encoding="utf-8").splitlines()) <= LINES for script in SCRIPTS)


@pytest.mark.real_weights
@pytest.mark.usefixtures("smollm2_files")
@pytest.mark.filterwarnings("default")  # as a user's own Python has it
@pytest.mark.parametrize("path", [*SCRIPTS, *NOTEBOOKS], ids=lambda path: path.name)
def test_it_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a folder of its own; the last line of a notebook's cell is shown, as a notebook would."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "__main__"}
    began = time.process_time()
    for number, code in enumerate(cells(path) if path.suffix == ".ipynb" else [path.read_text(encoding="utf-8")], 1):
        exec(compile(code, f"{path.name}, cell {number}", "exec"), names)
        last = code.splitlines()[-1]
        if path.suffix == ".ipynb" and last.isidentifier():
            assert 0 < len(repr(names[last])) < 24 * 80
    assert time.process_time() - began < SECONDS
