"""Logits of a few tokens alone: the unembedding's other rows are not multiplied."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jaxtyping import Int
from torch import Tensor, nn
from torch.nn import functional

from wheatstone.models._block import replaced_forward
from wheatstone.models._parts import weight_of


def logits_of(module: nn.Module, vocabulary: Int[Tensor, " vocab"], run: Callable[[], Tensor]) -> Tensor:
    """What a run gives, its logits being those of some tokens alone.

    Args:
        module: the model of transformers that runs.
        vocabulary: token ids, in the order of the logits.
        run: gives logits; its last dimension is the vocabulary.
    """
    unembedding: Any = getattr(module, "get_output_embeddings", lambda: None)()
    if unembedding is None:  # a model need not say which module it is
        return run()[..., vocabulary]
    if not isinstance(unembedding, nn.Linear) or unembedding.weight.is_meta:
        every = unembedding.forward

        def forward(x: Tensor) -> Tensor:
            return every(x)[..., vocabulary]
    else:
        weight, bias = weight_of(unembedding)
        rows, own = weight[vocabulary], None if bias is None else bias[vocabulary]

        def forward(x: Tensor) -> Tensor:
            return functional.linear(x, rows, own)

    with replaced_forward({unembedding: forward}):
        return run()
