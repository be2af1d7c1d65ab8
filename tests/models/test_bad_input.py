"""Model files that cannot be used: refused as a wrong request, with the cause named, from the command line."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from wheatstone.cli import main


def cut(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def cut_header(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:50])


def mislabelled(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"GGUF\x03\0\0\0" + b"\0" * 64)


def empty(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"")


def wider_weights(folder: Path) -> None:
    path = folder / "model.safetensors"
    weights = load_file(path)
    name = "model.layers.0.mlp.up_proj.weight"
    weights[name] = weights[name].repeat(2, 1)
    save_file(weights, path, {"format": "pt"})


def config(**settings: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | settings))

    return change


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (cut, "that transformers loads"),
        (cut_header, "that transformers loads"),
        (mislabelled, "that transformers loads"),
        (empty, "that transformers loads"),
        (wider_weights, r"layers\.0\.mlp\.up_proj"),
        (config(intermediate_size=48), r"up_proj|down_proj|gate_proj"),
        (config(num_hidden_layers=3), r"layers\.2"),
        (config(num_hidden_layers=1), r"layers\.1"),
        (config(num_attention_heads=4, num_key_value_heads=4), "head|[kv]_proj"),
        (config(model_type="t5", architectures=["T5ForConditionalGeneration"]), "decoder-only"),
        (config(model_type="bert", architectures=["BertModel"]), "decoder-only"),
        (config(quantization_config={"quant_method": "gptq", "bits": 4}), "quantised by gptq"),
    ],
)
def test_what_cannot_be_used_is_a_wrong_request(
    spoil: Callable[[Path], None],
    says: str,
    tiny_folder: Path,
    own_home: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    spoil(tiny_folder)
    monkeypatch.setattr(sys, "argv", ["wheatstone", "models", "check", str(tiny_folder), "--prompt", "a b"])
    with pytest.raises(SystemExit) as stopped:
        main()
    (line,) = capsys.readouterr().err.strip().splitlines()[-1:]
    assert stopped.value.code == 2, line
    assert re.search(says, line), line


def test_a_truncated_gguf_is_a_wrong_request(
    tiny_gguf: Path, own_home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny_gguf.write_bytes(tiny_gguf.read_bytes()[:-200])
    monkeypatch.setattr(sys, "argv", ["wheatstone", "models", "check", str(tiny_gguf)])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2
    assert "GGUF file that transformers reads" in capsys.readouterr().err
