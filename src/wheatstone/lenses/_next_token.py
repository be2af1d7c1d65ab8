"""What changing some nodes does to the next token of one prompt: one run as it is, one with interventions.

    Δp(t) = p(t | do(changes)) − p(t)

Source: activation patching, Vig et al. 2020 (arXiv 2004.12265); its pitfalls, Zhang and Nanda 2024 (arXiv 2309.16042).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch

from wheatstone._view import Brief
from wheatstone.lenses._node_change import NodeChange, node_interventions
from wheatstone.models import ResidualModel, Tokens, check_lengths, continued
from wheatstone.tasks import PromptPair

_SHOWN = 8


class NextToken(NamedTuple):
    """One next token: its probability and logit, before and after."""

    token: str
    role: Literal["", "answer", "distractor"]
    before: float
    after: float
    logit_before: float
    logit_after: float


@dataclass(frozen=True)
class NextTokenChange(Brief):
    """The next token with some nodes changed.

    Args:
        tokens: answers and distractors, then the likeliest before and after.
        kl: KL(before ‖ after) in nats.
    """

    tokens: tuple[NextToken, ...]
    kl: float


def next_token_change(model: ResidualModel, pair: PromptPair, changes: Sequence[NodeChange]) -> NextTokenChange:
    """Runs a prompt twice, the second time with nodes changed.

    Args:
        model: the model.
        pair: the prompt, and the counterfactual that `patch` takes from.
        changes: in the order they act.

    Raises:
        RequestError: a node or position that is not there.
        PromptError: the prompt is longer than the context, an answer does not continue it, or a change is `patch` and
            the pair does not line up. Only `patch` reads the counterfactual.

    When this misleads: one prompt is no proof. Nothing (`ablate`) is no value a node usually writes; later nodes that
    make up for what is missing hide what it did.
    """
    ids = model.encode(pair.prompt)
    check_lengths(model, ids, ids)
    prompt = Tokens.of([ids], model.device)
    interventions = node_interventions(model, pair, changes)
    before = model.forward(prompt).logits[0]
    after = model.forward_with(prompt, interventions).logits[0]
    was, now = before.log_softmax(-1).double(), after.log_softmax(-1).double()
    roles: dict[int, Literal["answer", "distractor"]] = {
        **{continued(model, pair.prompt, text)[0]: "distractor" for text in pair.distractors},
        **{continued(model, pair.prompt, text)[0]: "answer" for text in pair.answers},
    }
    likeliest = torch.maximum(was, now).topk(min(_SHOWN, len(was))).indices.tolist()
    named = sorted(roles, key=lambda token: roles[token])
    tokens = tuple(
        NextToken(
            model.decode([token])[0],
            roles.get(token, ""),
            float(was[token].exp()),
            float(now[token].exp()),
            float(before[token]),
            float(after[token]),
        )
        for token in dict.fromkeys([*named, *likeliest])
    )
    return NextTokenChange(tokens, max(0.0, float((was.exp() * (was - now)).sum())))
