"""The forward pass with its neurons: their activations and, where a metric is given, its gradient at each of them.

A neuron is an input of the MLP's last projection, so that one forward pass (and one backward pass) has them all.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Container, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from wheatstone._errors import ModelError
from wheatstone._view import Brief
from wheatstone.models._block import replaced_forward
from wheatstone.models._decoder import Decoder
from wheatstone.models._gradients import Values
from wheatstone.models._tokens import Tokens


@dataclass(frozen=True, eq=False, repr=False)
class NeuronRecording(Brief):
    """What the neurons of a run did.

    Args:
        logits: [batch, vocab] at each prompt's last position, or [batch, pos, vocab].
        activations: of each recorded layer's neurons.
        gradients: of the metric at them; empty where none was asked for.
    """

    logits: Tensor
    activations: Mapping[int, Float[Tensor, "batch pos neuron"]]
    gradients: Mapping[int, Float[Tensor, "batch pos neuron"]]


def record_neurons(
    model: Decoder, tokens: Tokens, layers: Container[int], *, all_positions: bool, values: Values | None = None
) -> NeuronRecording:
    """Runs the model and notes the neurons of some layers.

    Args:
        model: the model.
        tokens: the prompts.
        layers: which layers.
        all_positions: logits at every position; by default only at each prompt's last.
        values: a metric: logits [batch, vocab] -> values [batch]; their sum is differentiated.

    Raises:
        ModelError: an MLP of these layers has no neurons.
    """
    given: dict[int, Tensor] = {}

    def layer(index: int, x: Tensor, call: dict[str, Any]) -> Tensor:
        block = model.blocks[index]
        if index == 0 and values is not None:
            x = x.detach().requires_grad_()  # no weight is, and the neurons of layer 0 must have a gradient
        middle = x + block.attention_output(block.attend(block.qkv(block.attention_norm(x)), call))
        normed = block.mlp_norm(x if model.graph.parallel else middle)
        if index not in layers:
            return middle + block.mlp_output(normed)
        mlp, given[index] = block.mlp_opened(normed)
        return middle + mlp

    with torch.set_grad_enabled(values is not None):
        logits = model.run(tokens, layer, all_positions=all_positions)
        slopes = () if values is None else torch.autograd.grad(values(logits).sum(), list(given.values()))

    def shaped(neurons: Tensor) -> Tensor:
        """Some MLPs run on tokens without their prompts."""
        return neurons.detach().reshape(tokens.batch, tokens.width, -1)

    return NeuronRecording(
        logits.detach(),
        {layer: shaped(neurons) for layer, neurons in given.items()},
        {layer: shaped(slope) for layer, slope in zip(given, slopes, strict=False)},
    )


@torch.inference_mode()
def stream_neurons(
    model: Decoder,
    tokens: Tokens,
    use: Callable[[int, Float[Tensor, "batch pos neuron"]], None],
    layers: Collection[int],
) -> None:
    """Runs transformers' own forward pass and hands over each layer's neurons as they are computed.

    Nothing is kept: memory is that of the plain pass, however many layers are looked at.

    Args:
        model: the model.
        tokens: the prompts; what neurons do after a prompt's end means nothing.
        use: called with a layer and its activations, which are not to be changed.
        layers: which layers.

    Raises:
        ModelError: an MLP of these layers has no neurons, or the logits are not finite.
    """

    def reading(layer: int, instead: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        def forward(neurons: Tensor) -> Tensor:
            use(layer, neurons.view(tokens.batch, tokens.width, -1))  # some MLPs run on tokens without their prompts
            return instead(neurons)

        return forward

    opened = {layer: model.blocks[layer].neurons_in for layer in layers}
    readers = {module: reading(layer, module.forward) for layer, module in opened.items()}
    with replaced_forward(readers), model.rotary.alone(tokens.lengths):
        logits = model.module(tokens.ids, use_cache=False, logits_to_keep=1).logits
    if not logits.sum(dtype=torch.float32).isfinite():
        raise ModelError(
            expected=f"finite logits of {model.id}",
            got="NaN or infinity",
            do="load it in float32, or in bfloat16, which reaches as far; if it is, its weights are broken",
        )
