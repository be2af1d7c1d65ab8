"""GPT-J: attention and MLP read one norm side by side."""

from wheatstone.checkpoints.families._family import Family, register

GPTJ = register(
    Family(
        name="gptj",
        layers="transformer.h",
        attention="attn",
        mlp="mlp",
        qkv=("q_proj", "k_proj", "v_proj"),
        attention_output="out_proj",
        attention_core="_attn",
        attention_norm="ln_1",
        mlp_norm="ln_1",
        mlp_output="fc_out",
        norm_kind="layer",
        norm_eps="eps",
        parallel=True,
        returns_tuple=True,
    )
)
