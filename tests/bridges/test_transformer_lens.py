"""TransformerLens' own bridge, with ours beside it: the same model, and the same tensors by the same names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tolerance import rounding
from transformer_lens.model_bridge import TransformerBridge

import wheatstone as ws

PROMPT = "w3 w1 w4 w1 w5"
HOOKS = [
    *("hook_resid_pre", "hook_resid_mid", "hook_resid_post", "hook_attn_out", "hook_mlp_out"),
    *("attn.hook_q", "attn.hook_k", "attn.hook_v", "attn.hook_z", "attn.hook_pattern"),
]


@pytest.fixture(scope="module")
def bridge(tiny_folder: Path) -> Any:
    found = TransformerBridge.boot_transformers(str(tiny_folder), device="cpu", dtype=torch.float32)
    found.cfg.default_prepend_bos = False
    return found.eval()


@pytest.fixture(scope="module")
def plain(tiny_folder: Path) -> ws.ResidualModel:
    return ws.load_model(str(tiny_folder))


def test_a_bridge_is_taken_apart(bridge: Any, plain: ws.ResidualModel) -> None:
    wrapped = ws.wrap_model(bridge, plain.tokenizer, id="mine")
    bound = rounding(plain)
    bound.check(wrapped(PROMPT).logits, plain(PROMPT).logits)
    bound.check(bridge(PROMPT), plain(PROMPT).logits)


def test_a_bridge_s_own_tokenizer_begins_every_text(bridge: Any, plain: ws.ResidualModel) -> None:
    """TransformerLens makes it so, also where the checkpoint's does not; the docstring of `wrap_model` says it."""
    own = ws.wrap_model(bridge, id="own")
    rounding(plain).check(own(PROMPT).logits, plain(f"w0 {PROMPT}").logits)


@pytest.mark.parametrize("hook", HOOKS)
def test_a_hook_s_name_is_the_same_tensor(hook: str, bridge: Any, plain: ws.ResidualModel) -> None:
    run = plain(PROMPT, attention=True)
    _, cache = bridge.run_with_cache(PROMPT)
    for layer in range(plain.graph.layers):
        name = f"blocks.{layer}.{hook}"
        rounding(plain).check(cache[name], run[name])
