"""From files to a transformers model, ready to be read."""

from __future__ import annotations

from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from wheatstone._errors import ModelError
from wheatstone.models._cache import ModelFiles
from wheatstone.models._quiet import quiet


def load_checkpoint(
    files: ModelFiles, *, dtype: torch.dtype, device: torch.device
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Loads model and tokenizer from safetensors; no code of the checkpoint's is run.

    Args:
        files: from `resolve_model`.
        dtype: of the parameters. In the stored dtype on the CPU the weights stay memory-mapped.
        device: where the parameters go.

    Returns:
        The model in eval mode, without gradients, with SDPA attention where its family has it; and its tokenizer.

    Raises:
        ModelError: transformers cannot read the files, or weights are missing from them.
    """
    options: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    try:
        with quiet():
            loaded: Any = AutoModelForCausalLM.from_pretrained(
                files.folder,
                dtype=dtype,
                use_safetensors=True,
                # The fast path for experts multiplies no float64.
                experts_implementation="eager" if dtype == torch.float64 else None,
                output_loading_info=True,
                **options,
            )
            model, found = loaded
            tokenizer = AutoTokenizer.from_pretrained(files.folder, **options)
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # transformers, tokenizers and safetensors each have errors of their own.
        raise ModelError(
            expected=f"a checkpoint that transformers loads in {files.folder}",
            got=f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}",
            do="check the files, or fetch the model again",
        ) from error
    if missing := sorted(found["missing_keys"]):
        raise ModelError(
            expected=f"every weight of {files.id} in {files.folder}",
            got=f"{len(missing)} missing, first {missing[0]}",
            do="replace the files; they belong to another architecture or are incomplete",
        )
    return model.requires_grad_(False).eval().to(device), tokenizer
