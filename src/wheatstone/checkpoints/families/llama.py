"""Llama and those wired like it: SmolLM2, SmolLM3, TinyLlama, Mistral, Qwen2, Qwen2.5, Qwen3.

Biases, q/k norms within a head, sliding windows and head size are read off the checkpoint's modules or stay inside
attention, so these differ by name only.
"""

from dataclasses import replace

from wheatstone.checkpoints.families._family import Family, register

LLAMA = register(
    Family(
        name="llama",
        layers="model.layers",
        attention="self_attn",
        mlp="mlp",
        qkv=("q_proj", "k_proj", "v_proj"),
        attention_output="o_proj",
        attention_norm="input_layernorm",
        mlp_norm="post_attention_layernorm",
        mlp_output="down_proj",
        norm_kind="rms",
        norm_eps="variance_epsilon",
    )
)
SMOLLM3 = register(replace(LLAMA, name="smollm3"))
MISTRAL = register(replace(LLAMA, name="mistral"))
QWEN2 = register(replace(LLAMA, name="qwen2"))
QWEN3 = register(replace(LLAMA, name="qwen3"))
