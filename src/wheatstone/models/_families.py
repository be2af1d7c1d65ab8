"""What distinguishes one decoder family from another: names and flags, never code.

A family says where a Hugging Face decoder layer keeps its parts. Everything computed inside those parts
(rotary embedding, attention kernel, gated or plain MLP, norm arithmetic) stays transformers' own code.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Family:
    """Names and flags of one decoder family.

    Args:
        name: `model_type` of the transformers config.
        layers: path of the decoder layers in the model.
        attention: name of the attention module in a layer.
        mlp: name of the MLP module in a layer.
        qkv: names of the query, key and value projections in the attention module; one name where they are
            one fused projection laid out [q | k | v].
        attention_output: name of the attention's output projection.
        attention_norm: norm before attention.
        mlp_norm: norm before the MLP.
        mlp_output: name of the MLP's last projection; its input is the neurons.
        norm_kind: `rms` divides by the root mean square, `layer` also subtracts the mean.
        norm_eps: name of the norm's epsilon.
    """

    name: str
    layers: str
    attention: str
    mlp: str
    qkv: tuple[str, ...]
    attention_output: str
    attention_norm: str
    mlp_norm: str
    mlp_output: str
    norm_kind: Literal["rms", "layer"]
    norm_eps: str


LLAMA = Family(
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

GPT2 = Family(
    name="gpt2",
    layers="transformer.h",
    attention="attn",
    mlp="mlp",
    qkv=("c_attn",),
    attention_output="c_proj",
    attention_norm="ln_1",
    mlp_norm="ln_2",
    mlp_output="c_proj",
    norm_kind="layer",
    norm_eps="eps",
)

FAMILIES: dict[str, Family] = {family.name: family for family in (LLAMA, GPT2)}
