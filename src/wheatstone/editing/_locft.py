"""LocFT-BF: fine-tuning of one late matrix, all facts an epoch, in mini-batches (breadth first).

Fine-tuning as editors used to do it trains each fact until it is learned and then the next (depth first), and each
fact undoes those before it. Breadth first, every epoch goes through all facts in a new order, one step a mini-batch.

Source: Yang et al. 2025 (arXiv 2509.22072). As there: Adam at 5e-4, batches of 100, 25 epochs at most, the last
projection of one MLP in the later part of the model, the loss on the target alone, no step for a batch below 0.01 nats,
and an end where the mean over an epoch is. Not as there: no end-of-text token after the target; and an edit made after
others trains on their facts too, for one fact after another would otherwise be depth first again.

When this misleads: facts of earlier edits are trained again as they were asked for, whichever method made those edits.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import torch
from torch import Tensor
from torch.func import functional_call

from wheatstone._progress import Reporter, silent
from wheatstone._text import count
from wheatstone.editing._asked import Asked, asked, with_targets
from wheatstone.editing._delta import Dense
from wheatstone.editing._edit import Edit
from wheatstone.editing._weights import down_projection
from wheatstone.models import ResidualModel


@dataclass(frozen=True, kw_only=True)
class LocFT:
    """LocFT-BF.

    Args:
        rate: of Adam.
        batch: facts a step.
        epochs: at most.
        enough: a batch, or an epoch, below this mean −log probability is learned, in nats.
        depth: the layer by default, as a share of all layers.
        replay: whether facts of the edits before are trained too.
        seed: of the order.
    """

    name: str = "locft-bf"
    rate: float = 5e-4
    batch: int = 100
    epochs: int = 25
    enough: float = 0.01
    depth: float = 0.7
    replay: bool = True
    seed: int = 0

    @property
    def summary(self) -> str:
        """One sentence."""
        return "One late matrix trained on whole targets, all facts an epoch in mini-batches, earlier edits' too."

    def edit(
        self,
        model: ResidualModel,
        requests: Sequence[Asked],
        *,
        layer: int | None = None,
        before: Sequence[Edit] = (),
        report: Reporter = silent,
    ) -> Edit:
        """See `Editor`; by default in a layer at `depth`."""
        layer = int(self.depth * (model.graph.layers - 1)) if layer is None else layer
        name = down_projection(model, layer).name
        weight = model.module.get_parameter(name)
        change = torch.zeros_like(weight, requires_grad=True)
        earlier = [asked(model, request) for edit in before for request in edit.requests] if self.replay else []
        loss, epochs, steps = self._trained(model, [*requests, *earlier], name, weight, change, report)
        notes = [
            f"layer {layer}: {count(len(requests), 'fact')} and {len(earlier)} earlier, "
            f"{count(epochs, 'epoch')}, {count(steps, 'step')}"
        ]
        notes.append(f"−log P(target) {loss:.3f} in the last epoch")
        asked_for = [request.request for request in requests]
        settings = asdict(self) | {"layer": layer}
        return Edit.of(model, self.name, asked_for, settings, {name: Dense(change.detach())}, notes=notes)

    def _trained(
        self,
        model: ResidualModel,
        facts: Sequence[Asked],
        name: str,
        weight: Tensor,
        change: Tensor,
        report: Reporter,
    ) -> tuple[float, int, int]:
        """Trains `change` in place; gives the last epoch's mean loss, the epochs and the steps taken."""
        draw, order = random.Random(self.seed), list(facts)
        optimiser = torch.optim.Adam([change], lr=self.rate)
        loss, epoch, steps = float("inf"), 0, 0
        for epoch in range(1, self.epochs + 1):
            report("training (epochs)", epoch - 1, self.epochs)
            draw.shuffle(order)
            total = 0.0
            for start in range(0, len(order), self.batch):
                batch = order[start : start + self.batch]
                with torch.enable_grad():
                    missing = target_loss(model, batch, name, weight + change)
                total += float(missing.detach()) * len(batch)
                if float(missing.detach()) >= self.enough:
                    (change.grad,) = torch.autograd.grad(missing, [change])
                    optimiser.step()
                    steps += 1
            loss = total / len(order)
            if loss < self.enough:
                break
        report("training (epochs)", self.epochs, self.epochs)
        return loss, epoch, steps


def target_loss(model: ResidualModel, facts: Sequence[Asked], name: str, weight: Tensor) -> Tensor:
    """Mean over facts of the mean −log probability of their target's tokens, with another weight in place of one.

    Args:
        model: the model.
        facts: what it should say.
        name: of the weight.
        weight: what is in its place.
    """
    tokens, following = with_targets(model, facts)
    read = (following >= 0).any(0).nonzero()[:, 0]
    wanted = following[:, read]
    inputs = {"use_cache": False, "logits_to_keep": read}
    with model.rotary.alone(tokens.lengths):
        logits = functional_call(model.module, {name: weight}, (tokens.ids,), inputs).logits
    missing = torch.nn.functional.cross_entropy(logits.float().transpose(1, 2), wanted, reduction="none")
    return (missing.sum(1) / (wanted >= 0).sum(1)).mean()
