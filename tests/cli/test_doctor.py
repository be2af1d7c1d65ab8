"""`wheatstone doctor`: what is here, and what killed commands left."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from pathlib import Path

import pytest
from commands import Cli, Refused

from wheatstone._disk import claimed, scratch_folder
from wheatstone.studio._library import EXAMPLES


@pytest.mark.needs("pipes")
def test_what_killed_commands_left_is_listed_and_cleared(
    cli: Cli, own_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch, runs = tmp_path / "scratch", tmp_path / "runs" / "deep"
    for folder in (scratch, runs, own_home / "models"):
        folder.mkdir(parents=True)
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    with claimed(tmp_path / "runs" / "living") as living:
        process = os.fork()
        if process == 0:
            with (
                claimed(runs / "run") as run,
                claimed(own_home / "models" / "tiny") as model,
                scratch_folder() as shard,
            ):
                run.work.mkdir()
                (run.work / "half").write_bytes(bytes(2_000_000))
                (run.folder / "old").mkdir()
                (run.folder / "old" / "text").write_text("an older result, moved aside")
                model.work.write_text("half")
                (shard / "half").write_text("half")
                os.kill(os.getpid(), signal.SIGKILL)
        os.waitpid(process, 0)
        living.work.write_text("at work")
        shown = cli("doctor", tmp_path / "runs", "--json")
        assert shown.code == 0, shown.err
        left = shown.document["left_over"]
        assert [(Path(one["path"]).name.split("-")[0], one["alive"], one["cleared"]) for one in left] == [
            (".tiny.partial", False, False),
            (".living.partial", True, False),
            (".run.partial", False, False),
            ("wheatstone", False, False),
        ]
        assert {one["process"] for one in left} == {process, os.getpid()}
        assert shown.document["browser"] is None or Path(shown.document["browser"]).exists()
        text = cli("doctor", tmp_path / "runs").out
        assert "left behind:" in text
        assert f"(process {process}, since 20" in text.replace("\n", " ")
        assert "3 left of killed commands; remove them with `wheatstone doctor --clear`" in text.replace("\n", " ")
        cleared = cli("doctor", tmp_path / "runs", "--clear", "--json").document["left_over"]
        assert [one["cleared"] for one in cleared] == [True, False, True, True]
        assert living.work.read_text() == "at work"
    assert (runs / "run" / "text").read_text() == "an older result, moved aside"
    assert sorted(os.listdir(runs)) == ["run"]
    assert os.listdir(scratch) == os.listdir(own_home / "models") == []
    assert "nothing is left of killed commands" in cli("doctor", tmp_path / "runs").out


def test_a_run_that_was_saved_and_not_listed_is_named(cli: Cli, own_home: Path, tmp_path: Path) -> None:
    runs = tmp_path / "my runs"
    for name in ("a-fact", "a-or-an"):
        shutil.copytree(EXAMPLES / name, runs / "deep" / name)
    (runs / "other").mkdir()
    (runs / "other" / "manifest.json").write_text("{}")
    listed, lost = runs / "deep" / "a-fact", runs / "deep" / "a-or-an"
    cli("runs", "add", listed)
    assert cli("doctor", runs, "--json").document["unlisted"] == [str(lost)]
    assert f"wheatstone runs add '{lost}'" in " ".join(cli("doctor", runs).out.split())
    cli("runs", "add", lost)
    assert cli("doctor", runs, "--json").document["unlisted"] == []


def test_a_damaged_catalogue_does_not_keep_doctor_from_the_rest(cli: Cli, own_home: Path, tmp_path: Path) -> None:
    own_home.mkdir(parents=True, exist_ok=True)
    (own_home / "catalogue.sqlite").write_text("no database" * 100)
    document = cli("doctor", tmp_path, "--json").document
    assert document["unlisted"] == []
    assert "catalogue.sqlite" in document["trouble"]


def test_it_says_what_would_be_slow_and_why(
    cli: Cli, own_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wheatstone.models.free_memory", lambda _: 8_000_000_000)
    monkeypatch.setattr(os, "getloadavg", lambda: (1000.0, 0.0, 0.0))
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    document = cli("doctor", tmp_path, "--json").document
    assert document["free memory (GB)"] == 8.0
    gpu, busy, size, first = document["slow"]
    assert "no GPU" in gpu
    assert "load 1000.0" in busy
    assert "more than 2.0 billion parameters" in size
    assert "smollm2-135m, which it fetches and converts (800 MB of disk)" in first
    text = " ".join(cli("doctor", tmp_path).out.split())
    assert all(f"slow: {sentence}" in text for sentence in document["slow"])


def test_a_folder_that_is_not_there(refused: Refused, own_home: Path, tmp_path: Path) -> None:
    assert "a folder to look through" in refused("doctor", tmp_path / "nowhere")
