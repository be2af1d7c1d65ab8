"""The last norm at a frozen scale and the unembedding as one linear map: what each part of a stream says to the logits.

A final norm divides the stream by its size r(x) and multiplies it by fixed weights w (a layer norm also centres it).
With r held at what it is for the whole stream x, the logits are linear in x, and what they owe to a part c of it is

    L_x(c) = W_U (w ⊙ c) / r(x)

Parts that add up to x then add up to its logits, up to a constant of the model. The map is probed, not looked up: the
model's own final norm is run on a basis, and the scale of every prompt is fitted over the whole vocabulary, where the
fit is exact. So the same code holds for every family, scaled logits and biased norms included.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from wheatstone._view import Brief
from wheatstone.models import ResidualModel, wide


@dataclass(frozen=True, eq=False)
class Readout(Brief):
    """The linear map at some prompts' final streams.

    All in float32 or better, at any precision of the model.

    Args:
        model: the model.
        map: final norm of each basis vector, up to a prompt's scale.
        scale: of each prompt.
        offset: logits of a stream of zeros, the same for every prompt.

    When this misleads: freezing the scale hides what a part does by making the stream larger or smaller. Logits that
    the model caps (Gemma 2) are not linear: the parts then add up to a least-squares approximation.
    """

    model: ResidualModel
    map: Float[Tensor, "d_model d_unembedded"]
    scale: Float[Tensor, " batch"]
    offset: Float[Tensor, " vocab"]

    @classmethod
    def at(cls, model: ResidualModel, streams: Float[Tensor, "batch d_model"]) -> Readout:
        """The map at final residual streams, such as the last entry of `after_sublayers` at the last tokens."""
        zero = streams.new_zeros(1, streams.shape[-1])
        size = streams.norm(dim=-1).mean()  # so that the norm's epsilon weighs as in the streams
        basis = torch.eye(streams.shape[-1], dtype=streams.dtype, device=streams.device)
        mapped = wide(model.unembedded(basis * size)) - wide(model.unembedded(zero))
        offset = model.unembed(zero)[0]
        linear = wide(streams) @ mapped @ wide(model.unembedding.weight).T  # its squares overflow float16
        scale = ((model.unembed(streams) - offset) * linear).sum(-1) / linear.square().sum(-1)
        return cls(model, mapped, scale, offset)

    def directions(self, tokens: Int[Tensor, " batch"]) -> Float[Tensor, "batch d_model"]:
        """The direction whose product with a write is its part of one token's logit, prompt by prompt."""
        return self.scale[:, None] * (wide(self.model.unembedding.weight[tokens]) @ self.map.T)

    @property
    def mean_directions(self) -> Float[Tensor, "batch d_model"]:
        """The same for the mean over all tokens' logits."""
        return self.scale[:, None] * (wide(self.model.unembedding.weight).mean(0) @ self.map.T)

    def logits(self, writes: Float[Tensor, "*n batch d_model"]) -> Float[Tensor, "*n batch vocab"]:
        """What writes to each prompt's stream add to all its logits."""
        return (wide(writes) @ self.map @ wide(self.model.unembedding.weight).T) * self.scale[:, None]
