"""What the model expects next, token by token, for several independent stretches of text at once.

Encoder and decoder must see the same probabilities to the last bit, and floating-point sums depend on the shapes of
what is multiplied and on how many threads share it. So both sides run this same code, one token at a time, in the
same shapes and on one thread; more cores work on other groups of lanes.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import DynamicCache

from wheatstone.models import ResidualModel


class Lanes:
    """Predictions for `count` stretches of text of one length, read side by side.

    Args:
        model: the model.
        count: how many stretches.
        window: most tokens the model looks back on.
        overlap: how many of them are read again when the window is full.
    """

    def __init__(self, model: ResidualModel, count: int, *, window: int, overlap: int) -> None:
        self.model, self.window, self.overlap = model, window, overlap
        self.seen = torch.full((count, 1), start_token(model), device=model.device)
        self.cache: Any = None

    @torch.inference_mode()
    def probabilities(self) -> Float[Tensor, "lane vocab"]:
        """Of the token after those seen, in float32."""
        read = self.seen[:, -1:]
        if self.cache is None or self.cache.get_seq_length() >= self.window:
            self.cache, read = DynamicCache(), self.seen[:, -self.overlap :]
        logits = self.model.module(read, past_key_values=self.cache, use_cache=True, logits_to_keep=1).logits[:, -1]
        return logits.float().softmax(-1)

    def see(self, tokens: Int[Tensor, " lane"]) -> None:
        """The token that really came, in each lane."""
        self.seen = torch.cat((self.seen[:, 1 - self.overlap :], tokens[:, None]), dim=1)


def start_token(model: ResidualModel) -> int:
    """What stands before the first token of a text: the model's end-of-text, or begin-of-text, or token 0."""
    tokenizer = model.tokenizer
    found = tokenizer.eos_token_id if tokenizer.eos_token_id is not None else tokenizer.bos_token_id
    return int(found) if isinstance(found, int) else 0
