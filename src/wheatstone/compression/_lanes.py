"""What the model expects next, token by token, for several independent stretches of text at once.

Encoder and decoder must see the same probabilities to the last bit, and floating-point sums depend on the shapes of
what is multiplied and on how many threads share it. So both sides run this same code, one token at a time, in the
same shapes and on one thread; more cores work on other groups of lanes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import DynamicCache

from wheatstone.models import ResidualModel, start_token


@dataclass(frozen=True)
class Start:
    """What is read before a text.

    Args:
        token: the token.
        again: whether it is also read before the tokens that begin a later window.
    """

    token: int
    again: bool = True

    @classmethod
    def of(cls, model: ResidualModel) -> Start:
        """The model's own."""
        return cls(start_token(model))

    @classmethod
    def of_version_1(cls, model: ResidualModel) -> Start:
        """What files of version 1 of the format were made with: end-of-text, or begin-of-text, or token 0, once."""
        tokenizer = model.tokenizer
        found = tokenizer.eos_token_id if tokenizer.eos_token_id is not None else tokenizer.bos_token_id
        return cls(int(found) if isinstance(found, int) else 0, again=False)


class Lanes:
    """Predictions for `count` stretches of text of one length, read side by side.

    Args:
        model: the model.
        count: how many stretches.
        window: most tokens the model looks back on.
        overlap: how many of them are read again when the window is full.
        start: what is read before them.
    """

    def __init__(self, model: ResidualModel, count: int, *, window: int, overlap: int, start: Start) -> None:
        self.model, self.window, self.overlap = model, window, overlap
        self.seen = torch.full((count, 1), start.token, device=model.device)
        self.again = self.seen if start.again else self.seen[:, :0]
        self.cache: Any = None

    @torch.inference_mode()
    def probabilities(self) -> Float[Tensor, "lane vocab"]:
        """Of the token after those seen, in float32."""
        read = self.seen[:, -1:]
        if self.cache is None:
            self.cache = DynamicCache()
        elif self.cache.get_seq_length() >= self.window:
            self.cache, read = DynamicCache(), torch.cat((self.again, self.seen[:, -self.overlap :]), dim=1)
        logits = self.model.module(read, past_key_values=self.cache, use_cache=True, logits_to_keep=1).logits[:, -1]
        return logits.float().softmax(-1)

    def see(self, tokens: Int[Tensor, " lane"]) -> None:
        """The token that really came, in each lane."""
        self.seen = torch.cat((self.seen[:, 1 - self.overlap :], tokens[:, None]), dim=1)
