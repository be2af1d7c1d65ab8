"""What distinguishes one decoder family from another: names and flags, never code.

A family says where a Hugging Face decoder layer keeps its parts. Everything computed inside those parts
(rotary embedding, q/k norms, attention kernel, gated, plain or routed MLP, norm arithmetic) stays
transformers' own code.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from wheatstone._errors import ModelError


@dataclass(frozen=True, kw_only=True)
class Family:
    """Names and flags of one decoder family. Names are those of submodules in a decoder layer unless said otherwise.

    Args:
        name: `model_type` of the transformers config.
        layers: path of the decoder layers in the model.
        attention: the attention module.
        mlp: the MLP module, or the modules of the layer that together are its MLP, in order.
        qkv: the query, key and value projections in the attention module; one name where they are fused.
        interleaved: whether a fused projection is laid out head by head, [head, (q, k, v), d_head]; else [q | k | v].
        attention_output: the attention's output projection, in the attention module.
        attention_core: method of the attention module that is given (queries, keys, values, mask), where it has one of
            its own; its scores are then products over √d_head. By default transformers' AttentionInterface.
        attention_norm: norm before attention; None where attention reads the residual stream as it is.
        mlp_norm: norm before the MLP; None likewise. In a parallel layer with one norm, that norm again.
        attention_output_norm: norm on what attention writes, where there is one.
        mlp_output_norm: norm on what the MLP writes, where there is one.
        mlp_output: a dense MLP's last projection, in the MLP; its input is the neurons.
        experts: the module of experts in a routed MLP; a layer without it is dense.
        norm_kind: `rms` divides by the root mean square, `layer` also subtracts the mean.
        norm_eps: attribute of the norm that holds its epsilon, or the epsilon itself.
        norm_weight_plus: what is added to a norm's weight before it multiplies: 1 in Gemma.
        parallel: whether attention and MLP of a layer read the same residual stream.
        normed_across_heads: whether queries or keys are normed over all heads together.
        clamps_in_place: whether attention clips its projections in place.
        residual_multiplier: config setting that multiplies what attention and MLP write.
        returns_tuple: whether a decoder layer returns its output in a tuple.
        variants: (config setting, family to use instead where the setting is true).
        requires: (config setting, the only value it may have).
    """

    name: str
    layers: str
    attention: str
    mlp: str | tuple[str, ...]
    qkv: tuple[str, ...]
    interleaved: bool = False
    attention_output: str
    attention_core: str | None = None
    attention_norm: str | None
    mlp_norm: str | None
    attention_output_norm: str | None = None
    mlp_output_norm: str | None = None
    mlp_output: str
    experts: str | None = None
    norm_kind: Literal["rms", "layer"]
    norm_eps: str | float
    norm_weight_plus: float = 0.0
    parallel: bool = False
    normed_across_heads: bool = False
    clamps_in_place: bool = False
    residual_multiplier: str | None = None
    returns_tuple: bool = False
    variants: tuple[tuple[str, Family], ...] = ()
    requires: tuple[tuple[str, object], ...] = ()

    @property
    def coupled_heads(self) -> bool:
        """Whether what one head writes depends on the queries, keys and values of the layer's other heads."""
        return self.normed_across_heads or self.attention_output_norm is not None

    def variant(self, config: Any) -> Family:
        """The family as one checkpoint's config has it.

        Raises:
            ModelError: the config asks for wiring that the family does not describe.
        """
        for setting, value in self.requires:
            if getattr(config, setting) != value:
                raise ModelError(
                    expected=f"{setting} = {value} in the config of a model of family {self.name}",
                    got=str(getattr(config, setting)),
                    do="choose a checkpoint with the usual wiring",
                )
        return next((family for setting, family in self.variants if getattr(config, setting)), self)


FAMILIES: dict[str, Family] = {}
"""Every known family by the `model_type` of its config."""


def register(family: Family) -> Family:
    """Makes a family known, and returns it. A later registration replaces an earlier one."""
    FAMILIES[family.name] = family
    return family


_NO_ATTENTION = {"mamba", "mamba2", "falcon_mamba", "rwkv", "xlstm"}
_SOME_ATTENTION = {
    *("bamba", "falcon_h1", "granitemoehybrid", "jamba", "kimi_linear", "lfm2", "lfm2_moe", "lfm3", "minimax"),
    *("nemotron_h", "olmo_hybrid", "qwen3_next", "recurrent_gemma", "zamba", "zamba2"),
}
"""Families of transformers with layers that are neither attention nor an MLP, which no `Family` describes."""


def known_family(model_type: str, model: str) -> Family:
    """The family of a config's `model_type`.

    Args:
        model_type: from the config.
        model: what to call the checkpoint in an error.

    Raises:
        ModelError: the family is not known.
    """
    if model_type in FAMILIES:
        return FAMILIES[model_type]
    supported = ", ".join(sorted(FAMILIES))
    if model_type in _NO_ATTENTION | _SOME_ATTENTION:
        layers = "no attention" if model_type in _NO_ATTENTION else "attention in some of its layers only"
        raise ModelError(
            expected=f"a transformer, every layer of which is attention and an MLP ({supported})",
            got=f"{model} of family {model_type!r}, a recurrent or state-space model with {layers}",
            do="choose a transformer; such layers have no heads whose inputs and outputs could be edges",
        )
    raise ModelError(
        expected=f"a model of a supported family ({supported})",
        got=f"{model} of family {model_type!r}",
        do="choose a model of a supported family, or add this one as docs/guides/add-a-family.md shows, if every layer "
        "is attention and an MLP that add to the residual stream",
    )
