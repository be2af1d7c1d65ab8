"""What only looks at the catalogue, or says how it is used, does not wait for what computes or draws."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from wheatstone.cli._examples import EXAMPLES

HEAVY = {
    "accelerate",
    "altair",
    "fastapi",
    "jinja2",
    "numpy",
    "pandas",
    "pyarrow",
    "pydantic",
    "ray",
    "scipy",
    "sklearn",
    "torch",
    "transformers",
}
CODE = """
import contextlib, io, json, sys
from wheatstone.cli import main
loaded = {}
for words in json.loads(sys.argv[1]):
    sys.argv = ["wheatstone", *words.split()]
    with contextlib.redirect_stdout(io.StringIO()) as shown, contextlib.suppress(SystemExit):
        main()
    assert shown.getvalue(), words
    loaded[words] = sorted(sys.modules)
print(json.dumps(loaded))
"""


@pytest.mark.usefixtures("own_home")
def test_what_is_loaded(tmp_path: Path) -> None:
    """One after the other in one process, so that each has what those before it loaded."""
    asked = ["runs --json", "--version", "runs", "models", "models --json", "runs --help"]
    asked += ["tasks", "tasks --json", "--help", "edit --list", "neuron probe --list"]
    done = subprocess.run(
        [sys.executable, "-c", CODE, json.dumps(asked)], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    loaded = {words: set(modules) for words, modules in json.loads(done.stdout).items()}
    assert list(loaded) == asked
    for words, modules in loaded.items():
        # typer checks the numbers among the options of these two with pydantic.
        assert not modules & (HEAVY - {"pydantic"} if words.endswith("--list") else HEAVY), words
    listed = loaded["runs --json"]
    assert "rich" not in listed
    assert {"wheatstone.cli._runs", "wheatstone.runs._catalogue"} <= listed
    assert not listed & {"wheatstone.cli._discover", "wheatstone.cli._neuron", "wheatstone.cli._models"}
    assert "wheatstone.cli._discover" in loaded["--help"]


FIRST_LINE = """
import contextlib, io, json, sys
from wheatstone.cli import main
from wheatstone.cli._output import Output
@contextlib.contextmanager
def first(self):
    def report(*_):
        begun.append(" ".join(sys.argv[1:]))
        raise SystemExit
    yield report
Output.progress = first
begun = []
for words in json.loads(sys.argv[1]):
    sys.argv = ["wheatstone", *words]
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        with contextlib.suppress(SystemExit):
            main()
    assert "torch" not in sys.modules, words
print(json.dumps(begun))
"""


@pytest.mark.usefixtures("own_home")
def test_nothing_that_computes_is_loaded_before_the_first_line(tmp_path: Path) -> None:
    """Every example as far as its first line of progress, or its refusal where it names a run that is not there."""
    lines = [line.partition(" >")[0] for verb, lines in EXAMPLES.items() for line in lines if verb != "studio"]
    (tmp_path / "notes.txt").write_text("Some text.")
    done = subprocess.run(
        [sys.executable, "-c", FIRST_LINE, json.dumps([shlex.split(line) for line in lines])],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    begun = {words.split()[0] for words in json.loads(done.stdout)}
    assert begun >= {"attribution", "bits", "discover", "doctor", "edit", "graph", "lens", "neuron", "study", "tasks"}
