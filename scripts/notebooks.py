"""Runs the notebooks of examples/ and writes them, with what they print and show, as pages of docs/notebooks/.

    .venv/bin/python scripts/notebooks.py [--check] [NAME …]

Names, such as 3-ioi, choose some of them. `--check` runs nothing: it exits with 1 where a page lacks a notebook's text
or code. That outputs are still what the code gives, printed ones and the labels of pictures, `make examples` checks.
"""

from __future__ import annotations

import ast
import json
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import chdir, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "examples/notebooks").glob("*.ipynb"))
PAGES = ROOT / "docs/notebooks"
_OUTPUT = re.compile(r"^(```text\n.*?^```|!\[[^\n]*)\n\n", re.DOTALL | re.MULTILINE)


class Cell(NamedTuple):
    """A cell as it is on the page.

    Args:
        code: whether it is code, or text.
        source: what is in it.
        output: what it printed, and the value of its last line.
        picture: of that value, as SVG, where it has one.
    """

    code: bool
    source: str
    output: str = ""
    picture: str = ""


def cells(notebook: Path) -> Iterator[Cell]:
    """The cells of a notebook, not run."""
    for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
        yield Cell(cell["cell_type"] == "code", "".join(cell["source"]))


def run(notebook: Path) -> Iterator[Cell]:
    """The cells of a notebook, each run in the current folder when it is reached."""
    names: dict[str, Any] = {"__name__": "__main__"}
    for number, cell in enumerate(cells(notebook)):
        if not cell.code:
            yield cell
            continue
        *lines, last = ast.parse(cell.source).body
        shown = isinstance(last, ast.Expr)
        printed, name = StringIO(), f"{notebook.name}, cell {number}"
        with redirect_stdout(printed):
            exec(compile(ast.Module(lines if shown else [*lines, last], []), name, "exec"), names)
            value = (
                eval(compile(ast.Expression(last.value), name, "eval"), names) if isinstance(last, ast.Expr) else None
            )
        text = printed.getvalue() + ("" if value is None else repr(value))
        yield cell._replace(output=text.rstrip(), picture=_picture(value))


def _picture(value: object) -> str:
    """What a notebook draws of a value."""
    draw = getattr(value, "_repr_svg_", None)
    return draw() if draw else ""


def page(notebook: Path, made: list[Cell]) -> tuple[str, dict[Path, str]]:
    """The page of a notebook, and its pictures."""
    parts, pictures = list[str](), dict[Path, str]()
    for number, cell in enumerate(made):
        parts.append(f"```python\n{cell.source}\n```" if cell.code else cell.source)
        if cell.output:
            parts.append(f"```text\n{cell.output}\n```")
        if cell.picture:
            path = PAGES / f"{notebook.stem}-{number}.svg"
            pictures[path] = cell.picture
            parts.append(f"![What the cell above shows in a notebook]({path.name})")
        if number == 0:
            parts.append(f"*The notebook `{notebook.relative_to(ROOT)}` with its outputs.*")
    return "\n\n".join(parts) + "\n", pictures


def without_outputs(text: str) -> str:
    """A page's text and code."""
    return _OUTPUT.sub("", text + "\n").rstrip() + "\n"


if __name__ == "__main__":
    names = {word for word in sys.argv[1:] if word != "--check"}
    for notebook in [each for each in NOTEBOOKS if not names or each.stem in names]:
        path = PAGES / f"{notebook.stem}.md"
        if "--check" in sys.argv[1:]:
            if not path.is_file() or without_outputs(path.read_text()) != page(notebook, list(cells(notebook)))[0]:
                sys.exit(f"{path.name} is not of {notebook.name}; run scripts/notebooks.py")
            continue
        with tempfile.TemporaryDirectory() as folder, chdir(folder):
            text, pictures = page(notebook, list(run(notebook)))
        PAGES.mkdir(exist_ok=True)
        for each, content in {path: text, **pictures}.items():
            each.write_text(content, encoding="utf-8")
        print(path.relative_to(ROOT), *(each.name for each in pictures), flush=True)
