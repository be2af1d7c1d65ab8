"""OLMo: a layer norm without parameters. OLMo 2 and 3: norms on what the sublayers write, q/k norms over all heads."""

from dataclasses import replace

from wheatstone.checkpoints.families._family import register
from wheatstone.checkpoints.families.llama import LLAMA

OLMO = register(replace(LLAMA, name="olmo", norm_kind="layer", norm_eps=1e-5, clamps_in_place=True))
OLMO2 = register(
    replace(
        LLAMA,
        name="olmo2",
        attention_norm=None,
        mlp_norm=None,
        attention_output_norm="post_attention_layernorm",
        mlp_output_norm="post_feedforward_layernorm",
        normed_across_heads=True,
    )
)
OLMO3 = register(replace(OLMO2, name="olmo3"))
