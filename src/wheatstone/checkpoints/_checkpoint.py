"""From files to a transformers model, ready to be read."""

from __future__ import annotations

import atexit
import re
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from wheatstone._disk import scratch_folder
from wheatstone._errors import ModelError, reason
from wheatstone._home import home
from wheatstone.checkpoints._cache import ModelFiles
from wheatstone.checkpoints._claims import Stored
from wheatstone.checkpoints._folder import weight_files
from wheatstone.checkpoints._quiet import quiet
from wheatstone.checkpoints.families._family import known_family


def load_checkpoint(
    files: ModelFiles, *, dtype: torch.dtype, device: torch.device | dict[str, Any]
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Loads model and tokenizer from safetensors; no code of the checkpoint's is run.

    Args:
        files: from `resolve_model`.
        dtype: of the parameters. In the stored dtype on the CPU the weights stay memory-mapped.
        device: where the parameters go; or transformers' options for spreading them, `device_map` and `max_memory`.

    Returns:
        The model in eval mode, without gradients, with SDPA attention where its family has it; and its tokenizer.

    Raises:
        ModelError: transformers cannot read the files, weights are missing from them, or they disagree with the config.
    """
    options: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    _check_size(files, options)
    spread = {} if isinstance(device, torch.device) else device | {"offload_folder": _scratch()}
    try:
        with quiet():
            loaded: Any = AutoModelForCausalLM.from_pretrained(
                files.folder,
                dtype=dtype,
                use_safetensors=True,
                # The fast path for experts multiplies no float64.
                experts_implementation="eager" if dtype == torch.float64 else None,
                ignore_mismatched_sizes=True,  # reported below, by name
                output_loading_info=True,
                **options,
                **spread,
            )
            model, found = loaded
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # transformers, tokenizers and safetensors each have errors of their own.
        raise ModelError(
            expected=f"a checkpoint that transformers loads in {files.folder}",
            got=f"{type(error).__name__}: {reason(error)}",
            do="check the files, or fetch the model again",
        ) from error
    tokenizer = _tokenizer(files, options)
    if missing := sorted(found["missing_keys"]):
        raise ModelError(
            expected=f"every weight of {files.id} in {files.folder}",
            got=f"{len(missing)} missing, first {missing[0]}",
            do="replace the files; they belong to another architecture or are incomplete",
        )
    if mismatched := sorted(found["mismatched_keys"]):
        name, there, wanted = mismatched[0]
        raise ModelError(
            expected=f"weights of {files.id} of the shapes that its config.json gives: {name} {tuple(wanted)}",
            got=f"{tuple(there)} in the file",
            do="replace config.json or the weights; they belong to different models",
        )
    layer = rf"(.*\.)?{known_family(model.config.model_type, files.id).layers.rpartition('.')[2]}\.\d+\..*weight"
    if extra := sorted(name for name in found["unexpected_keys"] if re.fullmatch(layer, name)):
        raise ModelError(
            expected=f"decoder layers of {files.id} as its config.json describes them",
            got=f"{len(extra)} weights more in the file, first {extra[0]}",
            do="replace config.json or the weights; they belong to different models",
        )
    model.requires_grad_(False).eval()
    return model.to(device) if isinstance(device, torch.device) else model, tokenizer


def _check_size(files: ModelFiles, options: dict[str, Any]) -> None:
    """Refuses a config of a much larger model than the weights are of, before that model is allocated."""
    stored = Stored.of(weight_files(files.folder))
    try:
        with quiet():
            config = AutoConfig.from_pretrained(files.folder, **options)
    except Exception:  # said below, where it is loaded
        return
    if stored is not None:
        stored.check_model(files.folder, config)


def _tokenizer(files: ModelFiles, options: dict[str, Any]) -> PreTrainedTokenizerBase:
    try:
        with quiet():
            tokenizer = AutoTokenizer.from_pretrained(files.folder, **options)
            tokenizer("a")  # a setting of a wrong type is noticed when a text is read
            return tokenizer
    except Exception as error:  # likewise
        raise ModelError(
            expected=f"a tokenizer that transformers loads in {files.folder}",
            got=f"{type(error).__name__}: {reason(error)}",
            do="copy the tokenizer's files again from the model it was made from",
        ) from error


def _scratch() -> str:
    """A folder, until this process ends, for weights that are offloaded to disk otherwise than the checkpoint has them.

    Most are read from the checkpoint itself; experts are merged as they are loaded.
    """
    place = home() / "offload"
    place.mkdir(parents=True, exist_ok=True)
    scratch = scratch_folder(place)
    atexit.register(scratch.__exit__, None, None, None)
    return str(scratch.__enter__())
