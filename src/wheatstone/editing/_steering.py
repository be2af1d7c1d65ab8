"""Steering, to compare with: a direction is added to the residual stream while the model runs; no weight is changed.

    x[layer] ← x[layer] + scale · (mean of x on prompts with the attribute − mean of x on prompts without)

at every position, both means at the prompts' last tokens.

Source: Turner et al. 2023 (arXiv 2308.10248); difference of means, Marks & Tegmark 2023 (arXiv 2310.06824).

When this misleads: it acts on every prompt, of any subject. That is what its neighbourhood score shows.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from wheatstone._errors import RequestError
from wheatstone._view import Brief
from wheatstone.editing._passes import at, run_from
from wheatstone.models import ResidualModel


@dataclass(frozen=True, eq=False, kw_only=True)
class Steering(Brief):
    """A direction and where it is added.

    Args:
        layer: after which.
        direction: the difference of means.
        scale: times the direction.
    """

    layer: int
    direction: Float[Tensor, " d_model"]
    scale: float = 1.0

    @contextmanager
    def applied(self, model: ResidualModel) -> Generator[None, None, None]:
        """While this lasts, the direction is added in every plain run and in generation.

        When this misleads: runs that leave layers out or begin in the middle are not steered below where they begin.
        """

        def add(_module: nn.Module, _args: Any, output: Any) -> Any:
            stream = output[0] if isinstance(output, tuple) else output
            stream = stream + self.scale * self.direction.to(stream)
            return (stream, *output[1:]) if isinstance(output, tuple) else stream

        handle = model.blocks[self.layer].layer.register_forward_hook(add)
        try:
            yield
        finally:
            handle.remove()


@torch.no_grad()
def steer(
    model: ResidualModel, toward: Sequence[str], away: Sequence[str], *, layer: int, scale: float = 1.0
) -> Steering:
    """A steering from prompts without an attribute to prompts with it.

    Args:
        model: the model.
        toward: prompts with it, such as those that the target answers.
        away: prompts without.
        layer: after which to add.
        scale: times the difference of means.

    Raises:
        RequestError: there are no prompts, or no such layer.
    """
    if not (toward and away and 0 <= layer < model.graph.layers):
        raise RequestError(
            expected=f"prompts with and without the attribute, and a layer from 0 to {model.graph.layers - 1}",
            got=f"{len(toward)} with it and {len(away)} without, and layer {layer}",
            do="give some of each, and a layer that is there",
        )
    means: list[Tensor] = []
    for prompts in (toward, away):
        tokens, found = model.tokens(prompts), list[Tensor]()

        def note(site: str, index: int, there: Tensor, found: list[Tensor] = found) -> Tensor:
            if site == "state" and index == layer:
                found.append(there)
            return there

        run_from(model, tokens, 0, None, note)
        means.append(at(found[0], tokens.lengths - 1).mean(0))
    return Steering(layer=layer, direction=means[0] - means[1], scale=scale)
