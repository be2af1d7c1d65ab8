"""A norm as its module and as a formula, for gradients that go through it once for all channels."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from wheatstone.checkpoints.families import Family


@dataclass(frozen=True)
class Norm:
    """A norm module with the closed form of its vector-Jacobian product.

    With x centred (layer norm) or not (RMS norm) and r = 1 / sqrt(mean(x²) + eps), the norm is
    y = w ⊙ x r + b, and its Jacobian applied to u = w ⊙ v is r (u − x (x·u) r² / d_model), centred again
    for a layer norm.

    Args:
        module: the checkpoint's module, or None where the residual stream is read as it is.
        centred: whether it subtracts the mean (layer norm).
        eps: added under the root.
        weight_plus: added to the module's weight to give w.
        device: where its layer runs: what a channel reads arrives there.
    """

    module: nn.Module | None
    centred: bool
    eps: float
    weight_plus: float
    device: torch.device

    def __call__(self, x: Tensor) -> Tensor:
        # A view, never x itself: what a channel reads has a gradient of its own.
        x = x.to(self.device)
        return x.view_as(x) if self.module is None else self.module(x)

    @property
    def weight(self) -> Tensor | None:
        """w, d_model; None where it is 1."""
        weight = getattr(self.module, "weight", None)
        return weight if weight is None or self.weight_plus == 0 else weight.float() + self.weight_plus

    @property
    def bias(self) -> Tensor | None:
        """b, d_model; None where it is 0."""
        return getattr(self.module, "bias", None)

    def standardise(self, x: Float[Tensor, "*n d_model"]) -> tuple[Tensor, Tensor]:
        """x (centred where the norm centres) and r, in float32 or better."""
        x = x if x.dtype == torch.float64 else x.float()
        if self.centred:
            x = x - x.mean(-1, keepdim=True)
        return x, torch.rsqrt(x.square().mean(-1, keepdim=True) + self.eps)

    def scale(self, x: Float[Tensor, "*n d_model"]) -> Float[Tensor, "*n 1"]:
        """r; 1 where the residual stream is read as it is."""
        return x.new_ones(*x.shape[:-1], 1) if self.module is None else self.standardise(x)[1]

    def folded(self, weight: Float[Tensor, "*out d_model"]) -> Float[Tensor, "*out d_model"]:
        """A projection of y as one of x: times r, and plus the projection of b, it gives the same.

        Linear in x, so that it can be applied to the parts that x is the sum of.
        """
        if self.module is None:
            return weight
        weight = weight if self.weight is None else weight * self.weight
        return weight - weight.mean(-1, keepdim=True) if self.centred else weight

    def closed_form(self, x: Float[Tensor, "*n d_model"]) -> Float[Tensor, "*n d_model"]:
        """y, without the module."""
        x, r = self.standardise(x)
        y = x * r if self.weight is None else x * r * self.weight
        return y if self.bias is None else y + self.bias

    def factor(self, x: Float[Tensor, "*n d_model"]) -> Float[Tensor, "*n d_model"]:
        """w r: what an RMS norm multiplies x with, entry by entry."""
        _, r = self.standardise(x)
        return r.expand(x.shape) if self.weight is None else r * self.weight


def norm_of(layer: nn.Module, name: str | None, family: Family, device: torch.device) -> Norm:
    """The norm of that name in a decoder layer; None where there is none."""
    module = None if name is None else layer.get_submodule(name)
    eps = 0.0 if module is None else family.norm_eps
    return Norm(
        module=module,
        centred=family.norm_kind == "layer",
        eps=getattr(module, eps) if isinstance(eps, str) else eps,
        weight_plus=family.norm_weight_plus,
        device=device,
    )
