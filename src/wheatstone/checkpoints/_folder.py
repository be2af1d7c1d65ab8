"""What a folder holds that should be a checkpoint: said by its files and its config, before anything is loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from wheatstone._errors import ModelError, reason
from wheatstone._json import load_json
from wheatstone.checkpoints.families._family import known_family

_TOKENIZERS = ("tokenizer.json", "*.model", "vocab.json", "vocab.txt", "*.tiktoken", "tekken.json")
"""Files one of which every tokenizer has."""
_OTHER_WEIGHTS = {
    "*.gguf": ("a GGUF file and no safetensors", "give the .gguf file itself"),
    "*.bin": ("pickled weights, which are never read", "save the model as safetensors, with save_pretrained"),
    "*.pt": ("pickled weights, which are never read", "save the model as safetensors, with save_pretrained"),
    "*.pth": ("pickled weights, which are never read", "save the model as safetensors, with save_pretrained"),
    "*.h5": ("weights of TensorFlow", "save the model as safetensors with transformers"),
    "*.msgpack": ("weights of Flax", "save the model as safetensors with transformers"),
}


def require_causal(folder: Path) -> None:
    """Refuses a folder that holds no decoder-only language model of a family that is known.

    Raises:
        ModelError: what it holds instead, and what to do.
    """
    if (folder / "adapter_config.json").is_file():
        base = json_object(folder / "adapter_config.json").get("base_model_name_or_path") or "its base model"
        raise ModelError(
            expected=f"a whole checkpoint in {folder}",
            got=f"an adapter (LoRA or another of PEFT's) for {base}",
            do="merge it into that model (PEFT's merge_and_unload), save the result with its tokenizer, and give that",
        )
    if not (folder / "config.json").is_file():
        raise _without_config(folder)
    config = json_object(folder / "config.json")
    kind = config.get("model_type")
    if not isinstance(kind, str) or not kind:
        raise ModelError(
            expected=f"a config.json with a model_type in {folder}",
            got="none" if kind is None else repr(kind)[:40],
            do="replace config.json by that of transformers",
        )
    _check_architecture(folder, kind, config)
    known_family(kind, f"a checkpoint in {folder}")
    _check_precision(folder, config)


def weight_files(folder: Path) -> list[Path]:
    """The safetensors of a folder, all of them.

    Raises:
        ModelError: there are none, or one of several is missing.
    """
    single, index = folder / "model.safetensors", folder / "model.safetensors.index.json"
    if single.is_file():
        return [single]
    if not index.is_file():
        raise _without_weights(folder, index.name)
    shards = json_object(index).get("weight_map")
    if not isinstance(shards, dict) or not shards or not all(_is_name(name) for name in shards.values()):
        raise ModelError(
            expected=f"a weight_map in {index}, from names of weights to files",
            got="none" if shards is None else "something else",
            do="copy the file again",
        )
    names = sorted(set(shards.values()))
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise ModelError(
            expected=f"the {len(names)} shards that {index} names",
            got=f"no {missing[0]}" + (f" and {len(missing) - 1} more missing" if len(missing) > 1 else ""),
            do=f"copy {'it' if len(missing) == 1 else 'them'} into the folder",
        )
    return [folder / name for name in names]


def require_tokenizer(folder: Path) -> None:
    """Refuses a checkpoint without a tokenizer, for which transformers would make an empty one.

    Raises:
        ModelError: there is none.
    """
    if not any(next(folder.glob(pattern), None) for pattern in _TOKENIZERS):
        raise ModelError(
            expected=f"a tokenizer in {folder} (tokenizer.json or tokenizer.model)",
            got="config and weights without one",
            do="copy the tokenizer's files from the model that it was made from, with AutoTokenizer's save_pretrained",
        )


def json_object(path: Path) -> dict[str, Any]:
    """A JSON object in a file.

    Raises:
        ModelError: there is none.
    """
    try:
        value: Any = load_json(path)
    except (OSError, ValueError) as error:
        raise ModelError(expected=f"JSON in {path}", got=reason(error), do="correct or replace the file") from error
    if not isinstance(value, dict):
        raise ModelError(expected=f"a JSON object in {path}", got=type(value).__name__, do="replace the file")
    return value


def _check_architecture(folder: Path, kind: str, config: dict[str, Any]) -> None:
    from transformers import CONFIG_MAPPING
    from transformers.models.auto import modeling_auto as auto

    architectures = config.get("architectures") or []
    wanted = auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.get(kind)
    if wanted is not None and wanted in architectures:
        return
    named = ", ".join(map(str, architectures)) if isinstance(architectures, list) else str(architectures)
    got, do = f"{named or 'no architecture'} in {folder}", "choose a causal language model"
    if wanted is not None and not architectures:
        do = f'add "architectures": ["{wanted}"] to config.json, if that is what the weights are'
    elif wanted is not None and not config.get("is_encoder_decoder"):
        got += f", a {kind} model with another head or none"
        do = "choose the language model that it was made from"
    elif "vision_config" in config or kind in auto.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES:
        got += ", a model of images and text"
        do = "choose a model of text alone"
    elif config.get("is_encoder_decoder") or kind in auto.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES:
        got += ", an encoder-decoder, whose decoder also reads an encoder"
    elif kind in auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES or kind in auto.MODEL_FOR_TEXT_ENCODING_MAPPING_NAMES:
        got += ", an encoder, which does not predict a next token"
    elif config.get("auto_map"):
        got += ", which needs code of its own; such code is never run"
        do = "choose a model whose family transformers has itself"
    elif kind not in CONFIG_MAPPING:
        got += f", of the family {kind!r}, which this release of transformers does not have"
        do = "choose a model whose family it has, or install a newer transformers"
    else:
        got += ", which is no model of text"
    raise ModelError(
        expected="a decoder-only language model (a …ForCausalLM architecture in config.json)", got=got, do=do
    )


def _check_precision(folder: Path, config: dict[str, Any]) -> None:
    quantised = config.get("quantization_config")
    method = quantised.get("quant_method") if isinstance(quantised, dict) else None
    # Older releases of AutoGPTQ and AutoAWQ write these files and leave the config as it was.
    old = {"quantize_config.json": "gptq", "quant_config.json": "awq"}
    method = method or next((name for file, name in old.items() if (folder / file).is_file()), None)
    if quantised or method:
        raise ModelError(
            expected=f"a checkpoint in {folder} with full or half precision weights",
            got=f"weights quantised by {method or 'an unnamed method'}, whose projections cannot be split by head",
            do="choose the checkpoint it was made from, or a .gguf file, which is de-quantised",
        )


def _without_config(folder: Path) -> ModelError:
    """Says of a folder without `config.json` what it holds instead."""
    inside = sorted(path.parent for path in folder.glob("*/config.json"))
    ggufs, weights = sorted(folder.glob("*.gguf")), sorted(folder.glob("*.safetensors"))
    got, do = "no config.json there", "give the folder that holds it"
    if ggufs:
        got, do = f"{ggufs[0].name} and no config.json", f"give the file itself: {ggufs[0]}"
    elif (folder / "model_index.json").is_file():
        got, do = "a diffusion pipeline (model_index.json)", "choose a language model"
    elif weights:
        got = f"weights ({weights[0].name}) without a config.json"
        do = "copy config.json and the tokenizer's files from where the weights are from"
    elif inside:
        got, do = f"no config.json there but one in {inside[-1].name}", f"give {inside[-1]}"
    return ModelError(expected=f"a checkpoint in {folder}", got=got, do=do)


def _without_weights(folder: Path, index: str) -> ModelError:
    """Says of a folder without `model.safetensors` what it holds instead."""
    others = sorted(path.name for path in folder.glob("*.safetensors"))
    got = "neither: a config.json without weights"
    do = "copy the weights there as safetensors; pickled weights are never read"
    if any("-of-" in name for name in others):
        got, do = f"{len(others)} shards without their index", f"copy {index} into the folder"
    elif others:
        got, do = f"{others[0]}", "rename it model.safetensors, if it holds all weights under transformers' names"
    else:
        for pattern, (words, then) in _OTHER_WEIGHTS.items():
            if next(folder.glob(pattern), None):
                got, do = f"neither, but {words}", then
                break
    return ModelError(expected=f"model.safetensors or {index} in {folder}", got=got, do=do)


def _is_name(name: Any) -> bool:
    """Whether a shard's name is that of a file in the folder, not a path out of it."""
    return isinstance(name, str) and Path(name).name == name
