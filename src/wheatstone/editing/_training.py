"""Changes of weights found by gradient descent on what the model should say, through transformers' own forward."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor
from torch.func import functional_call

from wheatstone._progress import Reporter
from wheatstone.editing._asked import Asked, with_targets
from wheatstone.models import ResidualModel


def train(
    model: ResidualModel,
    requests: Sequence[Asked],
    trained: Sequence[Tensor],
    weights: Callable[[], Mapping[str, Tensor]],
    *,
    first_token: bool,
    steps: int,
    rate: float,
    enough: float,
    after: Callable[[], None] = lambda: None,
    report: Reporter,
) -> tuple[float, int]:
    """Descends by Adam on the targets' mean −log probability; prompts are masked.

    Args:
        model: the model; its weights stay as they are.
        requests: what it should say.
        trained: tensors that ask for gradients, changed in place.
        weights: what they make of the model's weights, by name.
        first_token: whether the target's first token alone counts.
        steps: at most.
        rate: learning rate.
        enough: stop below this loss, in nats.
        after: what is done after a step, such as a constraint.
        report: progress callback.

    Returns:
        The last loss, and the steps taken.
    """
    tokens, following = with_targets(model, requests)
    if first_token:
        later = (
            torch.arange(tokens.width, device=following.device)
            >= torch.tensor([len(one.prompt) for one in requests], device=following.device)[:, None]
        )
        following = following.masked_fill(later, -100)
    read = (following >= 0).any(0).nonzero()[:, 0]
    wanted = following[:, read]
    inputs = {"use_cache": False, "logits_to_keep": read}
    optimiser = torch.optim.Adam(list(trained), lr=rate)
    loss, step = float("inf"), 0
    for step in range(steps + 1):
        report("training (steps)", step, steps)
        with torch.enable_grad(), model.rotary.alone(tokens.lengths):
            logits = functional_call(model.module, dict(weights()), (tokens.ids,), inputs).logits
            missing = torch.nn.functional.cross_entropy(logits.float().transpose(1, 2), wanted)
            loss = float(missing.detach())
            if loss < enough or step == steps:
                break
            for tensor, slope in zip(trained, torch.autograd.grad(missing, list(trained)), strict=True):
                tensor.grad = slope
        optimiser.step()
        with torch.no_grad():
            after()
    report("training (steps)", steps, steps)
    return loss, step
