from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tolerance import rounding

from wheatstone import ModelError, RequestError, load_model
from wheatstone.checkpoints.families import FAMILIES
from wheatstone.models import Tokens


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_folder_is_loaded_and_is_the_model_in_it(tiny_folder: Path, dtype: str) -> None:
    model = load_model(tiny_folder, dtype=dtype)
    assert str(model.dtype) == f"torch.{dtype}"
    assert (model.graph.layers, model.graph.heads, model.graph.kv_groups) == (2, 2, 1)
    assert (model.d_model, model.context) == (16, 64)
    assert not model.module.training
    assert not any(parameter.requires_grad for parameter in model.module.parameters())
    ids = model.encode("a b c")
    assert model.decode(ids) == ["a", "b", "c"]
    expected = model.module(torch.tensor([ids])).logits[0, -1]
    rounding(model).check(model.forward(Tokens.of([ids])).logits[0], expected)


def test_a_model_wired_otherwise_than_its_family_says_is_refused(
    tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(FAMILIES, "llama", replace(FAMILIES["llama"], parallel=True))
    with pytest.raises(ModelError, match="equal to transformers"):
        load_model(tiny_folder)


def test_a_dtype_or_device_that_is_not_there_is_refused(tiny_folder: Path) -> None:
    with pytest.raises(RequestError, match=r"float32, .*; got 'int8'"):
        load_model(tiny_folder, dtype="int8")
    with pytest.raises(RequestError, match=r"this machine has .*; got 'abacus'"):
        load_model(tiny_folder, device="abacus")


def test_weights_that_do_not_fit_are_refused_before_they_are_read(
    tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wheatstone.models._load.free_memory", lambda device: 1000)
    with pytest.raises(
        ModelError, match=r"GB of memory for the weights of .*; got 0\.0 GB free on cpu; .*--device auto"
    ):
        load_model(tiny_folder)


def test_weights_larger_than_any_memory_are_neither_mapped_nor_hashed(tmp_path: Path) -> None:
    """A file of 4 TB with nothing in it but a header; the rest of it is a hole."""
    numbers = 10**12
    header = json.dumps({"w": {"dtype": "F32", "shape": [1000, numbers // 1000], "data_offsets": [0, 4 * numbers]}})
    with (tmp_path / "model.safetensors").open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header.encode())
        file.truncate(8 + len(header) + 4 * numbers)
    with pytest.raises(ModelError, match=r"4,000\.0 GB of memory for the weights of .*--device auto"):
        load_model(tmp_path)
    with pytest.raises(ModelError, match=r"2,000\.0 GB of memory"):
        load_model(tmp_path, dtype="bfloat16")
