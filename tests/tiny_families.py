"""A tiny random model of every family, built from its transformers config; nothing is downloaded."""

from __future__ import annotations

from typing import Any

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

from wheatstone.models import ResidualModel

VOCABULARY = 48
_COMMON = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 24,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "pad_token_id": None,
    "bos_token_id": None,
    "eos_token_id": None,
}
_SLIDING = {"layer_types": ["sliding_attention", "full_attention", "sliding_attention"], "sliding_window": 5}
_LONGROPE = {
    "rope_type": "longrope",
    "original_max_position_embeddings": 6,
    "short_factor": [1.0, 1.1, 1.2, 1.3],
    "long_factor": [2.0, 3.0, 5.0, 9.0],
}
"""Frequencies of heads of 8 dimensions: one set for up to 6 tokens, another above."""
_GPT = {"n_embd": 32, "n_layer": 3, "n_head": 4, "n_positions": 64, "n_inner": 20}
_EXPERTS = {"num_experts": 4, "num_local_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16}

FAMILY_CONFIGS: dict[str, dict[str, Any]] = {
    "llama": {},
    "llama-biased": {"attention_bias": True, "mlp_bias": True},
    "llama-dynamic": {
        "max_position_embeddings": 6,
        "rope_parameters": {"rope_type": "dynamic", "factor": 4.0, "rope_theta": 10000.0},
    },
    "gpt2": {**_GPT, "num_key_value_heads": None},
    "gpt2-by-layer": {**_GPT, "num_key_value_heads": None, "scale_attn_by_inverse_layer_idx": True},
    "gptj": {**_GPT, "rotary_dim": 4, "num_key_value_heads": None},
    "opt": {"ffn_dim": 20, "word_embed_proj_dim": 16, "num_key_value_heads": None},
    "opt-weightless": {"ffn_dim": 20, "layer_norm_elementwise_affine": False, "num_key_value_heads": None},
    "gpt_neox": {"num_key_value_heads": None},
    "gpt_neox-sequential": {"use_parallel_residual": False, "num_key_value_heads": None},
    "mistral": {"sliding_window": 5},
    "qwen2": {"use_sliding_window": True, "max_window_layers": 1, "sliding_window": 5},
    "qwen3": {"head_dim": 8},
    "smollm3": {"no_rope_layers": [1, 0, 1]},
    "gemma": {"head_dim": 8},
    "gemma2": {"head_dim": 8, "query_pre_attn_scalar": 7, **_SLIDING},
    "gemma3_text": {"head_dim": 8, "query_pre_attn_scalar": 7, "final_logit_softcapping": 20.0, **_SLIDING},
    "gemma3_text-longrope": {
        "head_dim": 8,
        **_SLIDING,
        "rope_parameters": {
            "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0},
            "full_attention": {**_LONGROPE, "rope_theta": 1e6},
        },
    },
    "gemma3": {
        "vision_config": {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    },
    "phi": {},
    "phi-normed": {"qk_layernorm": True},
    "phi3": {"sliding_window": 5},
    "phi3-longrope": {
        "original_max_position_embeddings": 6,
        "rope_parameters": {**_LONGROPE, "rope_theta": 10000.0},
    },
    "olmo": {"clip_qkv": 0.8},
    "olmo2": {},
    "olmo3": _SLIDING,
    "stablelm": {"use_qkv_bias": True},
    "stablelm-parallel": {"use_parallel_residual": True, "qk_layernorm": True},
    "granite": {
        "residual_multiplier": 0.4,
        "attention_multiplier": 0.3,
        "embedding_multiplier": 3.0,
        "logits_scaling": 2.0,
        "attention_bias": True,
    },
    "cohere": {"use_qk_norm": True, "logit_scale": 0.5},
    "cohere2": {**_SLIDING, "head_dim": 8},
    "mixtral": _EXPERTS,
    "olmoe": {**_EXPERTS, "clip_qkv": 0.8},
    "qwen3_moe": {**_EXPERTS, "head_dim": 8, "mlp_only_layers": [1]},
}
"""What each tiny model sets besides the common settings; `family-variant` is a variant of a family."""


def tiny_family(case: str, dtype: torch.dtype = torch.float32) -> ResidualModel:
    """A random model of a family, every parameter drawn: no norm weight is 1 (or, in Gemma, 0), no bias is 0.

    Args:
        case: a key of `FAMILY_CONFIGS`.
        dtype: of the parameters.
    """
    settings = _COMMON | FAMILY_CONFIGS[case]
    if settings["num_key_value_heads"] is None:
        del settings["num_key_value_heads"]
    if case == "gemma3":
        settings = {"text_config": _COMMON | FAMILY_CONFIGS["gemma3_text"], **FAMILY_CONFIGS[case]}
    config = AutoConfig.for_model(case.partition("-")[0], **settings)
    module = AutoModelForCausalLM.from_config(config)
    draw = torch.Generator().manual_seed(0)
    for name, parameter in module.named_parameters():
        noise = torch.randn(parameter.shape, generator=draw)
        norm = parameter.ndim == 1 and name.endswith("weight") and not case.startswith("gemma")
        parameter.data = norm + 0.3 * noise
    words = Tokenizer(WordLevel({f"w{index}": index for index in range(VOCABULARY)}, unk_token="w0"))
    words.pre_tokenizer = Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, unk_token="w0")
    return ResidualModel(module.to(dtype), tokenizer, id=f"tiny-{case}")
