from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from commands import Cli, Refused

from wheatstone.cli import main


def run(*words: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """Runs the command in this process and returns its exit code."""
    monkeypatch.setattr(sys, "argv", ["wheatstone", *words])
    with pytest.raises(SystemExit) as stopped:
        main()
    return int(stopped.value.code or 0)


def test_models_lists_the_known_ones(
    own_home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("models", monkeypatch=monkeypatch) == 0
    shown = capsys.readouterr()
    assert "smollm2-135m" in shown.out
    assert "Apache-2.0" in shown.out
    assert "SmolLM2-135M-Instruct, quantised to 4 bits (Q4_1)" in " ".join(shown.out.split())
    assert run("models", "--json", monkeypatch=monkeypatch) == 0
    document = json.loads(capsys.readouterr().out)
    (model,) = document["models"]
    assert (model["name"], model["family"], model["here"]) == ("smollm2-135m", "llama", False)


def test_pull_of_a_folder_and_of_nothing(
    own_home: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("pull", str(tiny_folder), "--json", monkeypatch=monkeypatch) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["folder"] == str(tiny_folder.resolve())
    assert len(document["sha256"]) == 64

    assert run("pull", "nowhere", "--json", monkeypatch=monkeypatch) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    (line,) = shown.err.strip().splitlines()
    assert json.loads(line)["expected"].startswith("a bundled name (smollm2-135m)")


def test_pull_without_a_model(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("pull", monkeypatch=monkeypatch) == 2
    assert "MODEL" in capsys.readouterr().err


def test_help_does_not_wait_for_torch() -> None:
    code = "import sys, wheatstone.cli; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_everything_in_the_cache_is_listed_and_removed(
    own_home: Path, tiny_gguf: Path, cli: Cli, refused: Refused
) -> None:
    """A converted .gguf file with what edits measured of it, statistics of other weights, a damaged model."""
    assert cli("models", "list", "--json").document["models"] == []
    pulled = cli("pull", tiny_gguf, "--json").document
    for sha256, size in ((pulled["sha256"], 3_000_000), ("b" * 64, 10)):
        (own_home / "editing" / sha256).mkdir(parents=True)
        (own_home / "editing" / sha256 / "moments").write_bytes(bytes(size))
    (own_home / "models" / "half").mkdir()
    found = cli("models", "list", "--json").document["models"]
    assert [model["name"] for model in found] == [str(tiny_gguf), "bbbbbbbbbbbb", "half"]
    whole = sum(path.stat().st_size for path in Path(pulled["folder"]).iterdir())
    assert found[0]["bytes"] == whole + 3_000_000
    assert "GGUF" not in found[0]["title"]
    assert "expanded to float32" in found[0]["title"]
    assert f"{(whole + 3_000_010) / 1e6:,.0f} MB in {own_home}" in cli("models", "list").out.replace("\n", " ")

    assert "list them with `wheatstone models list`" in refused("models", "remove", "nothing")
    removed = cli("models", "remove", tiny_gguf, "--json").document["removed"]
    assert removed == found[0]
    assert [Path(folder).exists() for folder in removed["folders"]] == [False, False]
    for name in ("bbbbbbbbbbbb", "half"):
        assert cli("models", "remove", name).out.startswith(f"removed {name}, 0")
    assert cli("models", "list", "--json").document["models"] == []
    assert sorted(path.name for path in (own_home / "models").iterdir()) == []


def test_of_two_folders_of_one_name_the_one_that_is_named_goes(
    own_home: Path, tiny_gguf: Path, cli: Cli, refused: Refused
) -> None:
    folder = Path(cli("pull", tiny_gguf, "--json").document["folder"])
    shutil.copytree(folder, folder.parent / "a-copy")
    assert f"the folders a-copy, {folder.name}; name one of these" in refused("models", "remove", tiny_gguf)
    cli("models", "remove", folder.name)
    assert [path.name for path in (own_home / "models").iterdir() if path.is_dir()] == ["a-copy"]
