"""Folders that are no checkpoint of a decoder: said what they are, and what to do, from the command line."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import LlamaForCausalLM, MambaConfig, RwkvConfig

from wheatstone._errors import ModelError
from wheatstone.checkpoints._sources import resolve_model
from wheatstone.checkpoints.families import FAMILIES, known_family
from wheatstone.models import load_model


def config(folder: Path, **settings: Any) -> None:
    path = folder / "config.json"
    kept = {name: value for name, value in {**json.loads(path.read_text()), **settings}.items() if value is not None}
    path.write_text(json.dumps(kept))


def lora(folder: Path) -> None:
    (folder / "adapter_config.json").write_text(
        json.dumps({"peft_type": "LORA", "base_model_name_or_path": "org/base"})
    )
    (folder / "model.safetensors").rename(folder / "adapter_model.safetensors")
    (folder / "config.json").unlink()


def lora_beside_a_model(folder: Path) -> None:
    (folder / "adapter_config.json").write_text("{}")


def without(*names: str) -> Callable[[Path], None]:
    def remove(folder: Path) -> None:
        for name in names:
            for path in folder.glob(name):
                path.unlink()

    return remove


def renamed(old: str, new: str) -> Callable[[Path], None]:
    return lambda folder: (folder / old).rename(folder / new) and None


def with_config(**settings: Any) -> Callable[[Path], None]:
    return lambda folder: config(folder, **settings)


def in_a_subfolder(folder: Path) -> None:
    inside = folder / "checkpoint-500"
    inside.mkdir()
    for path in folder.glob("*.*"):
        shutil.move(path, inside / path.name)


def written(name: str, text: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        (folder / name).write_text(text)

    return write


def both(*changes: Callable[[Path], None]) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        for each in changes:
            each(folder)

    return change


CASES: dict[str, tuple[Callable[[Path], None], str, str]] = {
    "a LoRA folder": (lora, "an adapter (LoRA or another of PEFT's) for org/base", "merge_and_unload"),
    "a LoRA next to a model": (lora_beside_a_model, "an adapter", "merge it"),
    "no tokenizer": (without("tokenizer*"), "config and weights without one", "copy the tokenizer's files"),
    "a damaged tokenizer": (written("tokenizer.json", "{"), "got ", "copy the tokenizer's files again"),
    "no weights": (without("model.safetensors"), "a config.json without weights", "as safetensors"),
    "pickled weights": (renamed("model.safetensors", "pytorch_model.bin"), "pickled weights", "save_pretrained"),
    "weights of TensorFlow": (renamed("model.safetensors", "tf_model.h5"), "TensorFlow", "with transformers"),
    "weights under another name": (renamed("model.safetensors", "all.safetensors"), "all.safetensors", "rename it"),
    "a GGUF file inside": (renamed("model.safetensors", "m.gguf"), "a GGUF file", "give the .gguf file itself"),
    "GGUF alone": (
        both(renamed("model.safetensors", "m.gguf"), without("config.json")),
        "m.gguf",
        "give the file itself",
    ),
    "no config": (without("config.json"), "weights (model.safetensors) without a config.json", "copy config.json"),
    "one folder too high": (in_a_subfolder, "one in checkpoint-500", "checkpoint-500"),
    "a diffusion pipeline": (
        both(without("config.json"), written("model_index.json", "{}")),
        "a diffusion pipeline",
        "choose a language model",
    ),
    "shards without index": (
        renamed("model.safetensors", "model-00001-of-00002.safetensors"),
        "1 shards without their index",
        "copy model.safetensors.index.json",
    ),
    "a shard outside": (
        both(
            without("model.safetensors"),
            written("model.safetensors.index.json", json.dumps({"weight_map": {"a": "../model.safetensors"}})),
        ),
        "something else",
        "copy the file again",
    ),
    "an index of nothing": (
        both(without("model.safetensors"), written("model.safetensors.index.json", '{"weight_map": 5}')),
        "something else",
        "copy the file again",
    ),
    "missing shards": (
        both(
            without("model.safetensors"),
            written(
                "model.safetensors.index.json", json.dumps({"weight_map": {"a": "1.safetensors", "b": "2.safetensors"}})
            ),
        ),
        "no 1.safetensors and 1 more missing",
        "copy them into the folder",
    ),
    "no architecture": (with_config(architectures=None), "no architecture", '"architectures": ["LlamaForCausalLM"]'),
    "a classifier": (
        with_config(architectures=["LlamaForSequenceClassification"]),
        "with another head or none",
        "that it was made from",
    ),
    "no model_type": (with_config(model_type=None), "got none", "replace config.json"),
    "a model_type that is no text": (with_config(model_type=["llama"]), "['llama']", "replace config.json"),
    "an encoder": (with_config(model_type="bert", architectures=["BertModel"]), "another head or none", "choose"),
    "an encoder of another family": (
        with_config(model_type="distilbert", architectures=["DistilBertForMaskedLM"]),
        "an encoder, which does not predict",
        "choose a causal",
    ),
    "an encoder-decoder": (
        with_config(model_type="t5", architectures=["T5ForConditionalGeneration"], is_encoder_decoder=True),
        "an encoder-decoder",
        "choose a causal",
    ),
    "a model of images and text": (
        with_config(model_type="llava", architectures=["LlavaForConditionalGeneration"], vision_config={}),
        "a model of images and text",
        "of text alone",
    ),
    "a model of images": (
        with_config(model_type="vit", architectures=["ViTForImageClassification"]),
        "no model of text",
        "choose a causal",
    ),
    "a family of the future": (
        with_config(model_type="llama9", architectures=["Llama9ForCausalLM"]),
        "which this release of transformers does not have",
        "install a newer transformers",
    ),
    "code of its own": (
        with_config(model_type="own", architectures=["OwnForCausalLM"], auto_map={"AutoModelForCausalLM": "own.Own"}),
        "code is never run",
        "transformers has itself",
    ),
    "gptq": (with_config(quantization_config={"quant_method": "gptq"}), "quantised by gptq", ".gguf"),
    "awq": (with_config(quantization_config={"quant_method": "awq"}), "quantised by awq", ".gguf"),
    "bitsandbytes": (with_config(quantization_config={"load_in_4bit": True}), "an unnamed method", ".gguf"),
    "an odd quantization_config": (with_config(quantization_config=[4]), "an unnamed method", ".gguf"),
    "gptq of old": (written("quantize_config.json", '{"bits": 4}'), "quantised by gptq", ".gguf"),
    "awq of old": (written("quant_config.json", '{"w_bit": 4}'), "quantised by awq", ".gguf"),
    "mamba": (
        with_config(model_type="mamba", architectures=["MambaForCausalLM"]),
        "no attention",
        "choose a transformer",
    ),
    "rwkv": (with_config(model_type="rwkv", architectures=["RwkvForCausalLM"]), "no attention", "choose a transformer"),
    "a hybrid": (
        with_config(model_type="jamba", architectures=["JambaForCausalLM"]),
        "attention in some of its layers only",
        "choose a transformer",
    ),
    "a family to be added": (
        with_config(model_type="mpt", architectures=["MptForCausalLM"]),
        "of family 'mpt'",
        "add this one as docs/guides/add-a-family.md shows, if every layer",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_folder_that_is_no_checkpoint_is_said_to_be_what_it_is(name: str, tiny_folder: Path, own_home: Path) -> None:
    change, got, do = CASES[name]
    change(tiny_folder)
    with pytest.raises(ModelError) as error:
        load_model(tiny_folder)
    assert got in f"got {error.value.got}"
    assert do in error.value.do
    assert "\n" not in str(error.value)


def test_only_where_adding_is_possible_is_it_suggested(tiny_folder: Path, own_home: Path) -> None:
    for kind in (MambaConfig.model_type, RwkvConfig.model_type, "jamba"):
        with pytest.raises(ModelError) as error:
            known_family(kind, "a model")
        assert "add" not in error.value.do.replace("add to", "")
    assert all(known_family(name, "a model").name == name for name in FAMILIES)


def test_a_file_in_place_of_a_folder(tiny_folder: Path, own_home: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"the file .*; give the folder it is in"):
        resolve_model(tiny_folder / "model.safetensors")
    with pytest.raises(ModelError, match="which is not there; check the path"):
        resolve_model(tmp_path / "missing" / "model")


def test_one_missing_shard_of_many_is_named(tiny_folder: Path, tiny_llama: LlamaForCausalLM, own_home: Path) -> None:
    (tiny_folder / "model.safetensors").unlink()
    tiny_llama.save_pretrained(tiny_folder, max_shard_size="4KB")
    first, *others = sorted(tiny_folder.glob("model-*.safetensors"))
    first.unlink()
    with pytest.raises(ModelError) as error:
        load_model(tiny_folder)
    assert error.value.got == f"no {first.name}"
    assert f"the {len(others) + 1} shards" in error.value.expected
