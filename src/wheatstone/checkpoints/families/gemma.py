"""Gemma: norm weights are stored less 1; from Gemma 2 on, a norm before and a norm after each sublayer."""

from dataclasses import replace

from wheatstone.checkpoints.families._family import register
from wheatstone.checkpoints.families.llama import LLAMA

GEMMA = register(replace(LLAMA, name="gemma", norm_eps="eps", norm_weight_plus=1.0))
GEMMA2 = register(
    replace(
        GEMMA,
        name="gemma2",
        attention_output_norm="post_attention_layernorm",
        mlp_norm="pre_feedforward_layernorm",
        mlp_output_norm="post_feedforward_layernorm",
    )
)
GEMMA3_TEXT = register(replace(GEMMA2, name="gemma3_text", requires=(("use_bidirectional_attention", False),)))
GEMMA3 = register(replace(GEMMA3_TEXT, name="gemma3", layers="model.language_model.layers"))
"""The text half of a Gemma 3 that also sees."""
