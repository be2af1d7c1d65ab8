"""Prompts in any form in which people have them: texts, token ids, or a batch."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral

from wheatstone._errors import PromptError
from wheatstone.models._decoder import Decoder
from wheatstone.models._tokens import Tokens

Texts = str | Sequence[str] | Sequence[int] | Sequence[Sequence[int]] | Tokens
"""A text or several, token ids of one prompt or of several, or a batch."""


def batch_of(model: Decoder, texts: Texts) -> Tokens:
    """Prompts as a batch of tokens.

    Args:
        model: whose tokenizer reads texts.
        texts: the prompts.

    Raises:
        PromptError: no prompt, an empty one, or an id that is no token.
    """
    if isinstance(texts, Tokens):
        return texts
    rows = [model.encode(text) if isinstance(text, str) else _ids(text) for text in _several(texts)]
    unknown = next((token for row in rows for token in row if not 0 <= token < model.vocabulary), None)
    if unknown is not None:
        raise PromptError(
            expected=f"token ids of {model.id}, from 0 to {model.vocabulary - 1}",
            got=str(unknown),
            do="give ids of this model's tokenizer, or the text itself",
        )
    if not rows or not all(rows):
        raise PromptError(
            expected="prompts of at least one token", got="an empty prompt" if rows else "none", do="write a prompt"
        )
    return Tokens.of(rows, model.device)


def fitting(model: Decoder, texts: Texts) -> Tokens:
    """The same, of prompts that fit in the model's context.

    Raises:
        PromptError: one is longer than the context; else see `batch_of`.
    """
    tokens = batch_of(model, texts)
    if tokens.width > model.context:
        raise PromptError(
            expected=f"prompts of at most {model.context} tokens, the context of {model.id}",
            got=f"{tokens.width} tokens",
            do="shorten the prompt",
        )
    return tokens


def _several(texts: str | Sequence[str] | Sequence[int] | Sequence[Sequence[int]]) -> list[str | Sequence[int]]:
    """One prompt or several, as a list of prompts."""
    if isinstance(texts, str):
        return [texts]
    found: list[str | Sequence[int]] = []
    ids: list[int] = []
    for each in texts:
        if isinstance(each, Integral):
            ids.append(int(each))
        elif isinstance(each, str | Sequence):
            found.append(each)
        else:
            raise _not_a_prompt(each)
    if found and ids:
        raise _not_a_prompt(ids[0])
    return [ids] if ids else found


def _ids(row: Sequence[int]) -> list[int]:
    for token in row:
        if not isinstance(token, Integral):
            raise _not_a_prompt(token)
    return [int(token) for token in row]


def _not_a_prompt(got: object) -> PromptError:
    return PromptError(
        expected="texts, or lists of token ids",
        got=f"{got!r} among them"[:200],
        do="give a text, a list of texts, a list of ids or a list of such lists",
    )
