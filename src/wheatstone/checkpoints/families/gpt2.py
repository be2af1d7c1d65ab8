"""GPT-2: fused projections, kept as [in, out]."""

from wheatstone.checkpoints.families._family import Family, register

GPT2 = register(
    Family(
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
)
