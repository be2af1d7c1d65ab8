"""A forward pass that begins at some layer, and whose sublayers may be made to write something else.

Layers below a change give what they gave before: they are not run again. Gradients go through where they are enabled.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from wheatstone.models import ResidualModel, Tokens

Site = Literal["input", "attention", "mlp", "state"]
"""What the first layer that is run reads; what attention writes, what the MLP writes, the stream after a layer."""
Rewrite = Callable[[Site, int, Float[Tensor, "batch pos d_model"]], Float[Tensor, "batch pos d_model"]]
"""What is there instead: (where, in which layer, what would be there) -> that."""


def unchanged(_site: Site, _layer: int, there: Tensor) -> Tensor:
    """Leaves a run as it is."""
    return there


def run_from(
    model: ResidualModel,
    tokens: Tokens,
    first: int,
    stream: Float[Tensor, "batch pos d_model"] | None,
    rewrite: Rewrite = unchanged,
    *,
    all_positions: bool = False,
) -> Tensor:
    """Logits of a run from a layer on.

    Args:
        model: the model.
        tokens: the prompts.
        first: the first layer that is run; as many as there are layers to unembed a stream as it is.
        stream: what it reads; where `first` is 0, by default the embeddings.
        rewrite: what is there instead.
        all_positions: logits at every position; by default only at each prompt's last.
    """
    last = model.graph.layers - 1

    def layer(index: int, x: Tensor, call: dict[str, Any]) -> Tensor:
        if index < first:
            return stream if stream is not None and index == last else x
        if index == first:
            x = rewrite("input", index, x if stream is None else stream)
        block = model.blocks[index]
        attention = block.attention_output(block.attend(block.qkv(block.attention_norm(x)), call))
        middle = x + rewrite("attention", index, attention)
        mlp = rewrite("mlp", index, block.mlp_output(block.mlp_norm(x if model.graph.parallel else middle)))
        return rewrite("state", index, middle + mlp)

    return model.run(tokens, layer, all_positions=all_positions)


@torch.no_grad()
def mlp_inside(
    model: ResidualModel, tokens: Tokens, layer: int
) -> tuple[Float[Tensor, "batch pos neuron"], Float[Tensor, "batch pos d_model"], Float[Tensor, "batch pos d_model"]]:
    """An MLP from within: its neurons, its last projection's output, and the residual stream without what it writes.

    Layers above it are not run.
    """
    found: list[Tensor] = []

    def step(index: int, x: Tensor, call: dict[str, Any]) -> Tensor:
        if index > layer:
            return x
        block = model.blocks[index]
        middle = x + block.attention_output(block.attend(block.qkv(block.attention_norm(x)), call))
        normed = block.mlp_norm(x if model.graph.parallel else middle)
        if index < layer:
            return middle + block.mlp_output(normed)
        mlp, neurons = block.mlp_opened(normed)
        neurons = neurons.reshape(*x.shape[:2], -1)
        projection = block.neurons_in
        found.extend((neurons, type(projection).forward(projection, neurons), middle))
        return middle + mlp

    model.run(tokens, step)
    neurons, projected, middle = found
    return neurons, projected, middle


def at(values: Float[Tensor, "batch pos d"], positions: Int[Tensor, " batch"]) -> Float[Tensor, "batch d"]:
    """Each prompt's value at its own position."""
    return values[torch.arange(len(values), device=values.device), positions]
