"""Parity: whether taking a model apart gives back what transformers computes.

Three runs are compared with transformers': the recorded forward; the rewired run with every edge kept; and the
rewired run with every edge cut, which must be the *counterfactual* prompt's. The last catches what the others
cannot: a node that is missing, a channel mixed up. Both circuits go through one batch, so that each channel's
input is assembled and projected on its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from wheatstone._errors import PromptError
from wheatstone.models._residual import ResidualModel
from wheatstone.models._tokens import Tokens

TOLERANCE = {torch.float64: 1e-6, torch.float32: 1e-3, torch.bfloat16: 0.125, torch.float16: 0.125}
"""Largest |Δlogit| that passes, in units of the largest logit (of 1 where that is less). Healthy models stay a hundred
times below it in float32; in half precision a few times."""

PROMPTS = (
    "The official language of France is",
    "When Mary and John went to the store, John gave a drink to",
    "def mean(values):\n    total = 0.0\n    for value in values:\n        total += value\n    return total /",
    "The Wheatstone bridge balances two legs of a circuit against each other. One leg holds the unknown resistance; "
    "when the galvanometer between the legs shows no current, the ratio of the two known resistances gives the third.",
)
"""What `check_parity` runs by default."""


@dataclass(frozen=True)
class Parity:
    """How far the factored forward is from transformers', on one prompt. All differences are |Δlogit|.

    Args:
        prompt: its text; empty for token ids.
        tokens: how many tokens it has.
        max_difference: of the recorded forward, at any position.
        mean_difference: of the recorded forward, over all positions.
        top1_agreement: share of positions with the same most likely next token.
        full_circuit: largest with every edge kept, at the last position.
        empty_circuit: largest with every edge cut, to transformers on the counterfactual.
        limit: largest that passes.
    """

    prompt: str
    tokens: int
    max_difference: float
    mean_difference: float
    top1_agreement: float
    full_circuit: float
    empty_circuit: float
    limit: float

    @property
    def worst(self) -> float:
        """The largest of the three differences."""
        return max(self.max_difference, self.full_circuit, self.empty_circuit)

    @property
    def passed(self) -> bool:
        """Whether the factored forward is the model, up to rounding."""
        return self.worst <= self.limit


@torch.no_grad()
def parity(model: ResidualModel, ids: Sequence[int], counterfactual: Sequence[int], *, prompt: str = "") -> Parity:
    """Compares the factored forward with transformers on one prompt.

    Args:
        model: the model.
        ids: the prompt's tokens.
        counterfactual: as many tokens of another prompt.
        prompt: what to call it.

    Raises:
        ModelError: logits are not finite.
    """
    clean, other = Tokens.of([ids], model.device), Tokens.of([counterfactual], model.device)
    recorded = model.forward(clean, all_positions=True).logits.float()
    ablated = model.forward(other, cache=True).nodes
    assert ablated is not None
    with model.rotary.alone():
        expected, corrupt = (model.module(tokens.ids, use_cache=False).logits.float() for tokens in (clean, other))
    whole = torch.from_numpy(model.graph.valid)
    full, empty = model.forward_circuit(clean, ablated, torch.stack([whole, torch.zeros_like(whole)])).logits.float()
    difference = (recorded - expected).abs()
    return Parity(
        prompt=prompt,
        tokens=len(ids),
        max_difference=float(difference.max()),
        mean_difference=float(difference.mean()),
        top1_agreement=float((recorded.argmax(-1) == expected.argmax(-1)).float().mean()),
        full_circuit=_largest(full - expected[:, -1]),
        empty_circuit=_largest(empty - corrupt[:, -1]),
        limit=TOLERANCE[model.dtype] * max(1.0, _largest(expected)),
    )


def check_parity(model: ResidualModel, prompts: Sequence[str] = PROMPTS) -> list[Parity]:
    """Compares the factored forward with transformers on some prompts.

    Args:
        model: the model; need not have passed `check_wiring`.
        prompts: texts. Each one's counterfactual is the same tokens in reverse order.

    Raises:
        ModelError: logits are not finite.
        PromptError: a prompt has no token.
    """
    encoded = [(prompt, model.encode(prompt)) for prompt in prompts]
    if empty := [prompt for prompt, ids in encoded if not ids]:
        raise PromptError(expected="a prompt of at least one token", got=repr(empty[0])[:60], do="write a text")
    return [parity(model, ids, ids[::-1], prompt=prompt) for prompt, ids in encoded]


def _largest(x: Tensor) -> float:
    return float(x.abs().max())
