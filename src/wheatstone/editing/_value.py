"""The value to write: what the MLP has to write at the subject's last token for the model to say the target.

    δ* = argmin  −mean log P(target | prefix + prompt; v + δ)  +  κ KL(P(· | "S is a"; v + δ) ‖ P(· | "S is a"))
                 + ω ‖δ‖ / ‖v‖²                                with  ‖δ‖ ≤ clamp · ‖v‖

v is what the last projection of the layer's MLP gives at the subject's last token. Only layers above it are run,
and there only the positions from it on (`ChangedRun`).

Source: Meng et al. 2022 (arXiv 2202.05262), section 3.1 and equation 4; norms and weights as in its code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from wheatstone.editing._asked import Asked, with_targets
from wheatstone.editing._passes import ChangedRun, at, mlp_inside
from wheatstone.editing._request import EditRequest
from wheatstone.models import ResidualModel, Tokens
from wheatstone.tasks import token_span


@dataclass(frozen=True, kw_only=True)
class ValueSearch:
    """How a value is searched for.

    Args:
        steps: of Adam, at most.
        rate: its learning rate.
        essence: κ, the weight of staying what the subject is.
        decay: ω.
        clamp: largest ‖δ‖, in lengths of v.
        enough: stop where the target's mean −log probability is below, in nats.
    """

    steps: int = 25
    rate: float = 0.5
    essence: float = 0.0625
    decay: float = 0.5
    clamp: float = 4.0
    enough: float = 0.05


@dataclass(frozen=True, eq=False)
class Value:
    """What was found.

    Args:
        change: δ*.
        loss: the target's mean −log probability with it, in nats.
        steps: taken.
    """

    change: Float[Tensor, " d_model"]
    loss: float
    steps: int


def search_value(model: ResidualModel, layer: int, contexts: Sequence[Asked], search: ValueSearch) -> Value:
    """The change of what the MLP's last projection gives at the subject's last token, the same in every context.

    Args:
        model: the model.
        layer: whose MLP.
        contexts: the request, alone first.
        search: how to search.
    """
    essence, essence_at = _essence(model, contexts[0].request)
    targets, following = with_targets(model, contexts)
    rows = [row[:length] for row, length in zip(targets.ids.tolist(), targets.lengths.tolist(), strict=True)]
    tokens = Tokens.of([*rows, essence], model.device)
    block = model.blocks[layer]
    _, projected, middle = mlp_inside(model, tokens, layer)
    where = torch.tensor([*(one.key_at for one in contexts), essence_at], device=model.device)
    here = torch.zeros(*projected.shape[:2], 1, dtype=projected.dtype, device=projected.device)
    here[torch.arange(len(where)), where] = 1
    length = at(projected[:1], where[:1]).norm()
    change = torch.zeros(model.d_model, dtype=projected.dtype, device=projected.device, requires_grad=True)

    run = ChangedRun.of(model, tokens, layer + 1, middle + block.mlp_written(projected), where)
    reads, places = (following >= 0).nonzero(as_tuple=True)
    wanted, counts = following[reads, places], (following >= 0).sum(-1)[reads]
    reads = torch.cat((reads, reads.new_tensor([len(contexts)])))
    places = torch.cat((places, places.new_tensor([len(essence) - 1])))

    def measured(delta: Tensor) -> tuple[Tensor, Tensor]:
        """The target's mean −log probability in all contexts, and log-probabilities after "S is a"."""
        likely = run.logits(middle + block.mlp_written(projected + here * delta), reads, places).log_softmax(-1)
        each = likely[:-1].gather(-1, wanted[:, None])[:, 0] / counts
        return -each.sum() / len(contexts), likely[-1]

    with torch.no_grad():
        _, before = measured(change)
    optimiser = torch.optim.Adam([change], lr=search.rate)
    loss, step = float("inf"), 0
    for step in range(search.steps + 1):
        with torch.enable_grad():
            missing, after = measured(change)
            loss = float(missing.detach())
            if loss < search.enough or step == search.steps:
                break
            drift = (after.exp() * (after - before)).sum()
            whole = missing + search.essence * drift + search.decay * change.norm() / length**2
            (change.grad,) = torch.autograd.grad(whole, [change])
        optimiser.step()
        with torch.no_grad():
            change.mul_((search.clamp * length / change.norm()).clamp(max=1))
    return Value(change.detach(), loss, step)


def _essence(model: ResidualModel, request: EditRequest) -> tuple[list[int], int]:
    """Tokens of "S is a", and where S ends in it."""
    text = f"{request.subject} is a"
    return model.encode(text), token_span(model, text, (0, len(request.subject)), "subject")[1] - 1
