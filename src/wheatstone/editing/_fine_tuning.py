"""Fine-tuning one matrix: FT-L and FT-M.

FT-L descends on the probability of the target's first token at the prompt's end and keeps every entry's change within
ε. FT-M descends on the whole target, token by token, the prompt masked, without a bound.

Sources: the bound, Zhu et al. 2020 (arXiv 2012.00363); FT-L, Meng et al. 2022 (arXiv 2202.05262), appendix E.1; FT-M,
Zhang et al. 2024 (arXiv 2401.01286), section 3.3. All train one layer's MLP, in code its last projection, as here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

import torch

from wheatstone._progress import Reporter, silent
from wheatstone.editing._asked import Asked
from wheatstone.editing._delta import Dense
from wheatstone.editing._edit import Edit
from wheatstone.editing._tracing import traced_layer
from wheatstone.editing._training import train
from wheatstone.editing._weights import down_projection
from wheatstone.models import ResidualModel


@dataclass(frozen=True, kw_only=True)
class FineTuning:
    """FT-L and FT-M.

    Args:
        name: `ft-l` or `ft-m`.
        loss: on the `first` token of the target, or on `all`.
        bound: ε, the largest change of an entry; None for none.
        steps: of Adam, at most.
        rate: its learning rate.
        enough: stop below this mean −log probability, in nats.
    """

    name: str
    loss: Literal["first", "all"]
    bound: float | None
    steps: int = 25
    rate: float = 5e-4
    enough: float = 0.05

    @property
    def summary(self) -> str:
        """One sentence."""
        if self.bound is None:
            return "One matrix trained on the whole target, the prompt masked."
        return f"One matrix trained on the target's first token, no entry changed by more than {self.bound:g}."

    def edit(
        self,
        model: ResidualModel,
        requests: Sequence[Asked],
        *,
        layer: int | None = None,
        before: Sequence[Edit] = (),
        report: Reporter = silent,
    ) -> Edit:
        """See `Editor`."""
        layer = traced_layer(model, requests, report=report) if layer is None else layer
        name = down_projection(model, layer).name
        weight = model.module.get_parameter(name)
        change = torch.zeros_like(weight, requires_grad=True)

        def bounded() -> None:
            if self.bound is not None:
                change.clamp_(-self.bound, self.bound)

        loss, steps = train(
            model,
            requests,
            [change],
            lambda: {name: weight + change},
            first_token=self.loss == "first",
            steps=self.steps,
            rate=self.rate,
            enough=self.enough,
            after=bounded,
            report=report,
        )
        note = f"layer {layer}: trained {steps} steps, −log P(target) {loss:.3f}"
        asked_for = [request.request for request in requests]
        deltas = {name: Dense(change.detach())}
        return Edit.of(model, self.name, asked_for, asdict(self) | {"layer": layer}, deltas, notes=[note])
