from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest
from tolerance import rounding

from wheatstone.cli import main
from wheatstone.models import _parity, load_model


def check(*words: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """Runs `wheatstone models check` in this process and returns its exit code."""
    monkeypatch.setattr(sys, "argv", ["wheatstone", "models", "check", *words])
    with pytest.raises(SystemExit) as stopped:
        main()
    return int(stopped.value.code or 0)


def test_a_sound_model_passes(
    own_home: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check(str(tiny_folder), "--prompt", "a b c", "--prompt", "b", "--json", monkeypatch=monkeypatch) == 0
    shown = capsys.readouterr()
    document = json.loads(shown.out)
    assert (document["family"], document["dtype"], document["passed"]) == ("llama", "float32", True)
    assert [(row["prompt"], row["tokens"]) for row in document["prompts"]] == [("a b c", 3), ("b", 1)]
    for row in document["prompts"]:
        assert row["passed"]
        assert row["top1_agreement"] == 1
        bound = rounding(load_model(tiny_folder)).bound()
        assert max(row["max_difference"], row["full_circuit"], row["empty_circuit"]) < bound
    assert "passed" in shown.err


def test_a_model_beyond_rounding_fails_with_code_1(
    own_home: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(_parity, "TOLERANCE", dict.fromkeys(_parity.TOLERANCE, -1.0))
    assert check(str(tiny_folder), monkeypatch=monkeypatch) == 1
    assert "FAILED" in capsys.readouterr().out


def test_an_unknown_family_is_a_wrong_request(
    own_home: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = shutil.copytree(tiny_folder, tiny_folder.parent / "other")
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "bloom", "architectures": ["BloomForCausalLM"]}
    (folder / "config.json").write_text(json.dumps(config))
    assert check(str(folder), monkeypatch=monkeypatch) == 2
    assert "of family 'bloom'" in capsys.readouterr().err


def test_a_quantised_checkpoint_is_refused_by_name(
    own_home: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = json.loads((tiny_folder / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "bitsandbytes", "load_in_4bit": True}
    (tiny_folder / "config.json").write_text(json.dumps(config))
    assert check(str(tiny_folder), monkeypatch=monkeypatch) == 2
    assert "quantised by bitsandbytes" in capsys.readouterr().err
