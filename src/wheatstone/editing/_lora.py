"""LoRA: thin matrices beside the query and value projections of every layer, trained on the target.

    W' = W + (α / r) B A,   A random, B zero at first

Source: Hu et al. 2021 (arXiv 2106.09685); rank and α as in EasyEdit (Wang et al. 2023, arXiv 2308.07269).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import torch
from torch import nn

from wheatstone._progress import Reporter, silent
from wheatstone.editing._asked import Asked
from wheatstone.editing._delta import LowRank
from wheatstone.editing._edit import Edit
from wheatstone.editing._training import train
from wheatstone.models import ResidualModel


@dataclass(frozen=True, kw_only=True)
class LoRA:
    """LoRA on queries and values, of all layers or of one.

    Args:
        rank: r.
        alpha: α.
        steps: of Adam, at most.
        rate: its learning rate.
        enough: stop below this mean −log probability, in nats.
        seed: of A.
    """

    name: str = "lora"
    rank: int = 8
    alpha: float = 32.0
    steps: int = 40
    rate: float = 1e-3
    enough: float = 0.05
    seed: int = 0

    @property
    def summary(self) -> str:
        """One sentence."""
        return f"Rank {self.rank} beside every layer's query and value projections, trained on the whole target."

    def edit(
        self,
        model: ResidualModel,
        requests: Sequence[Asked],
        *,
        layer: int | None = None,
        before: Sequence[Edit] = (),
        report: Reporter = silent,
    ) -> Edit:
        """See `Editor`; without a layer, all of them are trained."""
        names = _projections(model, range(model.graph.layers) if layer is None else [layer])
        weights = {name: model.module.get_parameter(name) for name in names}
        draw = torch.Generator().manual_seed(self.seed)
        left: dict[str, torch.Tensor] = {}
        right: dict[str, torch.Tensor] = {}
        for name, weight in weights.items():
            rows, columns = weight.shape
            noise = torch.randn(columns, self.rank, generator=draw) / columns**0.5
            right[name] = noise.to(weight).requires_grad_()
            left[name] = weight.new_zeros(rows, self.rank).requires_grad_()
        scale = self.alpha / self.rank
        loss, steps = train(
            model,
            requests,
            [*left.values(), *right.values()],
            lambda: {name: weight + scale * left[name] @ right[name].T for name, weight in weights.items()},
            first_token=False,
            steps=self.steps,
            rate=self.rate,
            enough=self.enough,
            report=report,
        )
        deltas = {name: LowRank(scale * left[name].detach(), right[name].detach()) for name in names}
        note = f"{len(names)} matrices trained {steps} steps, −log P(target) {loss:.3f}"
        asked_for = [request.request for request in requests]
        return Edit.of(model, self.name, asked_for, asdict(self) | {"layer": layer}, deltas, notes=[note])


def _projections(model: ResidualModel, layers: Sequence[int]) -> list[str]:
    """Names of the weights that make queries and values; a fused projection's one weight where there is one."""
    parts = model.family.qkv
    chosen = (parts[0], parts[2]) if len(parts) == 3 else parts
    names = {module: name for name, module in model.module.named_modules()}
    modules: list[nn.Module] = [
        model.blocks[layer].attention.get_submodule(part) for layer in layers for part in chosen
    ]
    return [f"{names[module]}.weight" for module in modules]
