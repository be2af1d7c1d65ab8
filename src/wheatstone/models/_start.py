"""The token that a text begins after."""

from __future__ import annotations

from collections.abc import Sequence
from weakref import WeakKeyDictionary

import torch
from torch import nn

from wheatstone.models._residual import ResidualModel
from wheatstone.models._tokens import Tokens

_OPENINGS = (
    "The official language of France is French, and its capital is Paris.",
    "In April 1905 the town had 12,000 inhabitants.",
)
"""How texts begin; what they cost after each candidate decides between them."""
_CLEARLY = 0.9
"""Share of the bits after the named start token below which another token is taken instead."""

_REMEMBERED: WeakKeyDictionary[nn.Module, int] = WeakKeyDictionary()


def start_token(model: ResidualModel) -> int:
    """The token that the model's texts begin after.

    1. The token that the tokenizer itself puts before a text (the last, where it puts several).
    2. Else the tokenizer's `bos_token`, unless after another of its named tokens (`eos_token`, `unk_token`, `pad_token`
       and so on) a few openings of texts cost less than nine tenths of the bits: chat models often name the start of a
       turn, which no plain text follows.
    3. Where it names no `bos_token`: the named token after which these openings cost least; token 0 if it names none.

    When this misleads: the measurement is two sentences. A model of another language or of code alone may be judged
    by what it was never trained on.
    """
    if model.module not in _REMEMBERED:
        _REMEMBERED[model.module] = _found(model)
    return _REMEMBERED[model.module]


def _found(model: ResidualModel) -> int:
    before, _ = model.reader.frame
    if before:
        return before[-1]
    tokenizer = model.tokenizer
    named = [
        tokenizer.bos_token_id,
        tokenizer.eos_token_id,
        tokenizer.unk_token_id,
        tokenizer.pad_token_id,
        tokenizer.sep_token_id,
        tokenizer.cls_token_id,
    ]
    candidates = list(dict.fromkeys(t for t in named if isinstance(t, int) and 0 <= t < model.vocabulary))
    if len(candidates) < 2:
        return candidates[0] if candidates else 0
    costs = _costs(model, candidates)
    best = min(candidates, key=lambda token: costs[token])
    own = tokenizer.bos_token_id
    return own if own in costs and costs[best] >= _CLEARLY * costs[own] else best


@torch.inference_mode()
def _costs(model: ResidualModel, candidates: Sequence[int]) -> dict[int, float]:
    """−Σ log p of the openings after each candidate."""
    try:
        texts = [model.reader.running([text])[0][: model.context - 1] for text in _OPENINGS]
    except Exception:  # a vocabulary of words, without a token for unknown ones: tokenizers raises the bare class
        texts = list[list[int]]()
    texts = [text for text in texts if text and max(text) < model.vocabulary]
    costs = dict.fromkeys(candidates, 0.0)
    if not texts:
        return costs
    rows = [(start, text) for start in candidates for text in texts]
    tokens = Tokens.of([[start, *text[:-1]] for start, text in rows], model.device)
    logits = model.forward(tokens, all_positions=True).logits.float().log_softmax(-1)
    for (start, text), scores in zip(rows, logits, strict=True):
        costs[start] -= float(scores[torch.arange(len(text)), torch.tensor(text)].double().sum())
    return costs
