"""Phi 1, 1.5 and 2 (attention and MLP read one norm side by side); Phi-3 and Phi-4 (llama with fused projections)."""

from dataclasses import replace

from wheatstone.checkpoints.families._family import Family, register
from wheatstone.checkpoints.families.llama import LLAMA

PHI = register(
    Family(
        name="phi",
        layers="model.layers",
        attention="self_attn",
        mlp="mlp",
        qkv=("q_proj", "k_proj", "v_proj"),
        attention_output="dense",
        attention_norm="input_layernorm",
        mlp_norm="input_layernorm",
        mlp_output="fc2",
        norm_kind="layer",
        norm_eps="eps",
        parallel=True,
    )
)
PHI3 = register(replace(LLAMA, name="phi3", qkv=("qkv_proj",)))
