"""A tiny checkpoint in a folder, as every tool can load it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tiny import make_tiny


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Grouped-query attention. TransformerLens guesses an architecture by the folder's name, so it says none."""
    folder = tmp_path_factory.mktemp("tiny")
    model = make_tiny("llama", torch.float32)
    tokenizer = model.tokenizer
    tokenizer.add_special_tokens({"bos_token": "w0", "eos_token": "w0", "pad_token": "w0"})
    model.module.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
