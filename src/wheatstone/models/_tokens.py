"""A batch of prompts as token ids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from wheatstone._errors import RequestError
from wheatstone._view import Brief


@dataclass(frozen=True, eq=False, repr=False)
class Tokens(Brief):
    """Prompts padded on the right to one length.

    Padding on the right needs no attention mask: a causal model never looks ahead, so one prompt alone and
    the same prompt in a padded batch are the same computation.

    Args:
        ids: [batch, pos] token ids; values after a prompt's end are never read.
        lengths: [batch] tokens in each prompt.
    """

    ids: Int[Tensor, "batch pos"]
    lengths: Int[Tensor, " batch"]

    @classmethod
    def of(cls, prompts: Sequence[Sequence[int] | str], device: torch.device | str = "cpu") -> Tokens:
        """Pads prompts, given as lists of token ids, to the longest.

        Raises:
            RequestError: a text is among them, or there is none.
        """
        text = next((prompt for prompt in prompts if isinstance(prompt, str)), None)
        if text is not None or not prompts:
            raise RequestError(
                expected="lists of token ids",
                got="none" if text is None else f"the text {text[:60]!r}",
                do="let the model read texts: model.tokens(texts)",
            )
        width = max(len(prompt) for prompt in prompts)
        padded = [[*prompt] + [0] * (width - len(prompt)) for prompt in prompts]
        lengths = [len(prompt) for prompt in prompts]
        return cls(torch.tensor(padded, device=device), torch.tensor(lengths, device=device))

    @property
    def batch(self) -> int:
        """How many prompts there are."""
        return self.ids.shape[0]

    @property
    def width(self) -> int:
        """Positions of the longest prompt."""
        return self.ids.shape[1]

    def repeat(self, times: int) -> Tokens:
        """The whole batch `times` over, one copy after another."""
        return Tokens(self.ids.repeat(times, 1), self.lengths.repeat(times))

    def rows(self, which: slice) -> Tokens:
        """Some of the prompts, as wide as before."""
        return Tokens(self.ids[which], self.lengths[which])
