"""What the tests of editing share: a tiny model of one's own, with few keys to read, and something to teach it."""

from __future__ import annotations

from functools import cache

import torch
from tiny import make_tiny

from wheatstone.editing import EditRequest
from wheatstone.editing._asked import Asked, asked
from wheatstone.models import ResidualModel

PROMPT = "w1 w2 w3 w4"


def small_model(kind: str = "llama", dtype: torch.dtype = torch.float32) -> ResidualModel:
    """A random model; edits change it, so it is nobody else's."""
    return make_tiny(kind, dtype)


@cache
def shared_model(kind: str = "llama") -> ResidualModel:
    """One that tests share, with its key statistics: edits are undone."""
    return make_tiny(kind, torch.float32)


def news_for(model: ResidualModel, prompt: str = PROMPT, subject: str = "w2 w3") -> EditRequest:
    """A fact that the model does not say: its fifth likeliest token."""
    logits = model.forward(model.tokens([prompt])).logits[0]
    return EditRequest(prompt=prompt, subject=subject, target=model.decode([int(logits.argsort()[-5])])[0])


def news_asked(model: ResidualModel, prompt: str = PROMPT, subject: str = "w2 w3") -> Asked:
    """The same in tokens."""
    return asked(model, news_for(model, prompt, subject))
