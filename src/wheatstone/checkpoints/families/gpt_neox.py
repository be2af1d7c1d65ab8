"""GPT-NeoX and Pythia: projections fused head by head; attention and MLP side by side unless the config says not."""

from dataclasses import replace

from wheatstone.checkpoints.families._family import Family, register

_SEQUENTIAL = Family(
    name="gpt_neox",
    layers="gpt_neox.layers",
    attention="attention",
    mlp="mlp",
    qkv=("query_key_value",),
    interleaved=True,
    attention_output="dense",
    attention_norm="input_layernorm",
    mlp_norm="post_attention_layernorm",
    mlp_output="dense_4h_to_h",
    norm_kind="layer",
    norm_eps="eps",
)
GPT_NEOX = register(replace(_SEQUENTIAL, variants=(("use_parallel_residual", replace(_SEQUENTIAL, parallel=True)),)))
