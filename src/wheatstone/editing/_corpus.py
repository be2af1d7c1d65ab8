"""Text to take key statistics from without a download: the bundled texts, and what the model itself says.

Passages are cut, shuffled and divided once and for all: nine of ten for statistics, the tenth held out, so that
perplexity is measured on text that no editor has seen.
"""

from __future__ import annotations

import random
from contextlib import suppress
from functools import cache
from typing import Any
from weakref import WeakKeyDictionary

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn
from transformers import GenerationConfig

from wheatstone._disk import replaced, write_tensors
from wheatstone._home import home
from wheatstone.models import ResidualModel, start_token
from wheatstone.texts import bundled_texts

_CHARACTERS = 500
"""Of a passage: about a hundred tokens of English."""
_HELD_OUT = 10
"""One passage in this many."""
SAMPLES, SAMPLED = 48, 64
"""How many texts the model is asked for, and tokens of each."""


@cache
def passages(*, held_out: bool) -> tuple[str, ...]:
    """Passages of the bundled texts other than code, in one shuffled order.

    Args:
        held_out: those kept for perplexity, or the others.
    """
    texts = [document.text for document in bundled_texts() if document.kind != "code"]
    cut = [text[start : start + _CHARACTERS] for text in texts for start in range(0, len(text), _CHARACTERS)]
    whole = [passage for passage in cut if len(passage) == _CHARACTERS]
    random.Random(0).shuffle(whole)
    return tuple(passage for place, passage in enumerate(whole) if (place % _HELD_OUT == 0) == held_out)


def model_samples(model: ResidualModel) -> torch.Tensor:
    """What the model says unasked, [text, pos]: drawn at temperature 1 from nothing but its start token.

    Kept in memory, and in the cache by the model's hash. The draws are seeded.
    """
    if model.module not in _REMEMBERED:
        _REMEMBERED[model.module] = _samples(model)
    return _REMEMBERED[model.module]


_REMEMBERED: WeakKeyDictionary[nn.Module, torch.Tensor] = WeakKeyDictionary()


def _samples(model: ResidualModel) -> torch.Tensor:
    start = start_token(model)
    path = home() / "editing" / model.sha256 / f"samples-{SAMPLES}-{SAMPLED}-after-{start}.safetensors"
    try:
        if model.sha256:
            return load_file(path)["ids"]
    except (OSError, SafetensorError, KeyError):
        pass
    config = GenerationConfig(
        do_sample=True, max_new_tokens=min(SAMPLED, model.context - 1), pad_token_id=start, eos_token_id=None, top_k=0
    )
    first = torch.full((SAMPLES, 1), start, device=model.device)
    devices = [model.device] if model.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices), model.rotary.alone():
        torch.manual_seed(0)
        generate: Any = model.module.generate
        drawn = generate(first, generation_config=config, attention_mask=torch.ones_like(first))
    ids: torch.Tensor = drawn[:, 1:].cpu()
    if model.sha256:
        with suppress(OSError), replaced(path) as partial:  # without a cache the model is asked again each time
            write_tensors({"ids": ids.contiguous()}, partial)
    return ids
