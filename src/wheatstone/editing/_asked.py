"""A request as the model reads it: tokens, the subject's last token, the target's; refused where it means nothing.

Sources: the subject's last token as the place of the key, Meng et al. 2022 (arXiv 2202.05262), section 3.1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from wheatstone._errors import PromptError
from wheatstone._view import Brief
from wheatstone.editing._request import EditRequest
from wheatstone.models import ResidualModel, Tokens, continued
from wheatstone.tasks import token_span


@dataclass(frozen=True)
class Asked(Brief):
    """A request in tokens.

    Args:
        request: the request.
        prompt: its prompt's tokens.
        target: its target's.
        subject: positions of the subject in the prompt, the end excluded.
    """

    request: EditRequest
    prompt: tuple[int, ...]
    target: tuple[int, ...]
    subject: tuple[int, int]

    @property
    def key_at(self) -> int:
        """The subject's last token."""
        return self.subject[1] - 1


def asked(model: ResidualModel, request: EditRequest, prefix: str = "") -> Asked:
    """A request in tokens.

    Args:
        model: whose tokens.
        request: the request.
        prefix: text before the prompt.

    Raises:
        PromptError: the tokenizer does not know where the subject is, the target merges with the prompt's last token,
            or the prompt is longer than the model reads.
    """
    text, (start, end) = prefix + request.prompt, request.subject_at
    prompt, target = model.encode(text), continued(model, text, request.continuation)
    if len(prompt) + len(target) > model.context:
        raise PromptError(
            expected=f"a prompt and target of at most {model.context} tokens",
            got=f"{len(prompt) + len(target)}",
            do="shorten them",
        )
    subject = token_span(model, text, (start + len(prefix), end + len(prefix)), "subject")
    return Asked(request, tuple(prompt), tuple(target), subject)


@torch.no_grad()
def check_news(model: ResidualModel, requests: Sequence[Asked]) -> None:
    """Refuses to teach the model what it already says.

    Raises:
        PromptError: a target is the model's present answer, its most likely continuation token by token.
    """
    tokens, _ = with_targets(model, requests)
    best = model.forward(tokens, all_positions=True).logits.argmax(-1)
    for row, one in enumerate(requests):
        start = len(one.prompt) - 1
        if best[row, start : start + len(one.target)].tolist() == list(one.target):
            raise PromptError(
                expected=f"a target that is not the present answer to {one.request.prompt!r}",
                got=repr(one.request.target),
                do="give another target; nothing would have to be changed",
            )


def with_targets(model: ResidualModel, requests: Sequence[Asked]) -> tuple[Tokens, Int[Tensor, "batch pos"]]:
    """Prompts followed by their targets, for a loss on the targets alone.

    Returns:
        The tokens, without each target's last; and at every position the token that is to follow it, −100 where none
        is asked for (in the prompt and in the padding).
    """
    tokens = Tokens.of([[*one.prompt, *one.target[:-1]] for one in requests], model.device)
    following = torch.full_like(tokens.ids, -100)
    for row, one in enumerate(requests):
        start = len(one.prompt) - 1
        following[row, start : start + len(one.target)] = torch.tensor(one.target, device=model.device)
    return tokens, following
