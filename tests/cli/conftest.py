"""The command as people run it, and one real run that several tests read."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from commands import FRANCE_WORDS, MAIN, Cli, RealRun, Refused, Shown
from filelock import FileLock
from printed import wrong

from wheatstone.checkpoints._cache import ModelFiles
from wheatstone.cli import main
from wheatstone.cli._app import _GROUPS


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Runs the command in this process, through its own entry point. Checks a JSON document against its schema."""

    def run(*words: object) -> Shown:
        monkeypatch.setattr(sys, "argv", ["wheatstone", *map(str, words)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as stopped:
            main()
        out, err = capsys.readouterr()
        shown = Shown(int(stopped.value.code or 0), out, err)
        if "--json" in words and shown.code == 0:
            check_format(list(map(str, words)), shown.document)
        return shown

    return run


def check_format(words: list[str], document: object) -> None:
    """Every verb's document is an object that begins with its format: `wheatstone.neuron-screen/1`."""
    verb = words[0]
    if verb in _GROUPS and words[1:] and not words[1].startswith("-") and words[:2] != ["runs", "list"]:
        verb += f"-{words[1]}"
    assert isinstance(document, dict)
    assert next(iter(document.items())) == ("format", f"wheatstone.{verb}/1")
    assert not wrong(document)


@pytest.fixture
def refused(cli: Cli) -> Refused:
    """Runs a command that is wrong: exit code 2, one line on stderr, nothing on stdout. Gives the line."""

    def run(*words: object) -> str:
        shown = cli(*words)
        assert (shown.code, shown.out) == (2, ""), shown
        (line,) = shown.err.splitlines()
        if "--json" in words:
            error = json.loads(line)
            assert error["format"] == "wheatstone.error/1"
            assert not wrong(error)
            line = f"wheatstone: expected {error['expected']}; got {error['got']}; {error['do']}"
        assert line.startswith("wheatstone: expected ")
        assert "; got " in line
        assert line.count("; ") >= 2
        return line

    return run


@pytest.fixture(scope="session")
def france_run(smollm2_files: ModelFiles, tmp_path_factory: pytest.TempPathFactory) -> RealRun:
    """The official language of France, discovered by a process of its own. To be read only.

    It is listed in a catalogue that is not the user's; the model is.
    """
    own = tmp_path_factory.getbasetemp()
    root = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "real"
    root.mkdir(exist_ok=True)
    folder, home = root / "france", root / "home"
    with FileLock(root / "lock"):  # one process of this run makes it
        if not folder.is_dir():
            home.mkdir()
            (home / "models").symlink_to(smollm2_files.folder.parent)
            done = subprocess.run(
                [*MAIN, "discover", *FRANCE_WORDS, "--out", str(folder), "--json"],
                capture_output=True,
                text=True,
                check=False,
                timeout=300,
                env={**os.environ, "WHEATSTONE_HOME": str(home)},
            )
            assert done.returncode == 0, done.stderr
            (root / "said.json").write_text(json.dumps([done.stdout, done.stderr]))
        said, progress = json.loads((root / "said.json").read_text())
    return RealRun(folder, json.loads(said), progress)


@pytest.fixture
def own_run(france_run: RealRun, tmp_path: Path) -> Path:
    """A copy of the real run that a test may change."""
    return shutil.copytree(france_run.folder, tmp_path / "france")
