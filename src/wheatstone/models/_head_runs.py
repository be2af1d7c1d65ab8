"""Heads in running text: where each looks and what it gives the output projection, layer by layer in one pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from wheatstone.models._attention_core import without_scores
from wheatstone.models._block import replaced_forward
from wheatstone.models._decoder import Decoder
from wheatstone.models._patterns import eager
from wheatstone.models._tokens import Tokens


@torch.no_grad()
def stream_heads(
    model: Decoder,
    tokens: Tokens,
    look: Callable[[int, Float[Tensor, "batch head query key"]], None],
) -> tuple[list[Float[Tensor, "batch pos head_d_head"]], Float[Tensor, "batch pos d_model"]]:
    """Runs the model and hands over each layer's attention weights as they are computed, without keeping them.

    Args:
        model: the model.
        tokens: the prompts; what heads do after a prompt's end means nothing.
        look: called with a layer and its weights, which are not to be changed.

    Returns:
        By layer what its heads give the output projection (`Block.head_outputs` makes their writes of it), and the
        final residual stream.

    Raises:
        ModelError: a layer's attention has no weights.
    """
    given: list[Tensor] = []
    stream: list[Tensor] = []

    def watched(index: int, module: nn.Module) -> Any:
        def forward(*args: Any, **kwargs: Any) -> Any:
            output = type(module).forward(module, *args, **kwargs)
            if output[1] is None:
                raise without_scores(model.blocks[index])
            look(index, output[1])
            return output

        return forward

    def layer(index: int, x: Tensor, call: dict[str, Any]) -> Tensor:
        block = model.blocks[index]
        given.append(block.attend(block.qkv(block.attention_norm(x)), call))
        middle = x + block.attention_output(given[-1])
        stream[:] = [middle + block.mlp_output(block.mlp_norm(x if model.graph.parallel else middle))]
        return stream[0]

    watch = {block.attention: watched(block.index, block.attention) for block in model.blocks}
    with eager(model), replaced_forward(watch):
        model.run(tokens, layer)
    return given, stream[0]
