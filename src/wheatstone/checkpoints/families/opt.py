"""OPT: its MLP has no module of its own. OPT-350m norms the residual stream itself and is refused."""

from wheatstone.checkpoints.families._family import Family, register

OPT = register(
    Family(
        name="opt",
        layers="model.decoder.layers",
        attention="self_attn",
        mlp=("fc1", "activation_fn", "fc2"),
        qkv=("q_proj", "k_proj", "v_proj"),
        attention_output="out_proj",
        attention_norm="self_attn_layer_norm",
        mlp_norm="final_layer_norm",
        mlp_output="fc2",
        norm_kind="layer",
        norm_eps="eps",
        requires=(("do_layer_norm_before", True),),
    )
)
