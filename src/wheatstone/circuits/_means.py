"""What nodes write on average over texts, the first token apart."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from wheatstone.models import Tokens


class PositionMeans(NamedTuple):
    """Averages of what each node writes: over first tokens, and over all other tokens.

    Heads that look at nothing look at a text's first token, and models write a residual stream there that is a hundred
    times as large as elsewhere (an attention sink). A mean over all positions would point where the first token points,
    and a token that carried it would look like another first token. So the two kinds of position are never mixed.

    Args:
        first: at first tokens.
        later: over all other tokens, each of equal weight; `first` where no text has others.

    When this misleads: some models also have a sink later in the text, such as at the first full stop. A mean over
    positions holds nothing of which token is where: ablating an edge that serves every token, such as that from the
    input to the first MLP, costs much on any text.
    """

    first: Float[Tensor, "node d_model"]
    later: Float[Tensor, "node d_model"]

    @classmethod
    def of(cls, written: Float[Tensor, "node batch pos d_model"], tokens: Tokens) -> PositionMeans:
        """The means over a batch of texts.

        Args:
            written: what each node writes, as `ResidualModel.forward(tokens, cache=True)` gives it.
            tokens: the texts.
        """
        steps = torch.arange(1, tokens.width, device=tokens.ids.device)
        inside = (steps < tokens.lengths[:, None]).to(written.device)
        first = written[:, :, 0].mean(1)
        return cls(first, written[:, :, 1:][:, inside].mean(1) if inside.any() else first)

    def at(self, width: int) -> Float[Tensor, "node pos d_model"]:
        """The mean that belongs to each position of a text of `width` tokens."""
        later = self.later[:, None].expand(-1, width - 1, -1)
        return torch.cat((self.first[:, None], later), dim=1)
