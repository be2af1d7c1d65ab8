"""Attention weights as transformers computes them: its eager implementation, and the softmax inside it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from wheatstone.models._decoder import Decoder


@contextmanager
def eager(model: Decoder) -> Generator[None, None, None]:
    """Lets transformers compute attention in the one way that gives its weights."""
    config = model.module.config
    before = config._attn_implementation
    config._attn_implementation = "eager"
    try:
        yield
    finally:
        config._attn_implementation = before


class OnWeights(TorchFunctionMode):
    """While one layer's eager attention runs, its weights are what `use` makes of them.

    torch turns the mode off inside `__torch_function__`, so that `use` may call any function.

    Args:
        use: gives the weights in place of those that the softmax gives, in the model's precision.
        dtype: the model's precision; some families take the softmax in another.
    """

    def __init__(self, use: Callable[[Tensor], Tensor], dtype: torch.dtype) -> None:
        super().__init__()
        self._use, self._dtype = use, dtype

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        output = func(*args, **(kwargs or {}))
        return self._use(output.to(self._dtype)).to(output) if func.__name__ == "softmax" else output
