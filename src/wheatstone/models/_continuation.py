"""Whether two prompts line up token by token and an answer goes on from its prompt: checks that need a tokenizer alone.

Apart from `tasks`, so that a form can be checked as it is typed, in a process that never loads torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from wheatstone._errors import PromptError


@runtime_checkable
class Tokenizing(Protocol):
    """What turns text into tokens as a model does: a `ResidualModel`, or its tokenizer alone."""

    @property
    def id(self) -> str:
        """What it is called in results."""
        ...

    @property
    def context(self) -> int:
        """Most tokens a prompt may have."""
        ...

    def encode(self, text: str) -> list[int]:
        """Tokens of a prompt, special ones included."""
        ...

    def continuation(self, text: str) -> list[int]:
        """Tokens of text that follows a prompt."""
        ...

    def decode(self, ids: Sequence[int]) -> list[str]:
        """The text of each token."""
        ...


def check_lengths(model: Tokenizing, clean: Sequence[int], counterfactual: Sequence[int]) -> None:
    """Refuses a pair that does not line up.

    Args:
        model: whose tokens they are.
        clean: of the prompt.
        counterfactual: of the other.

    Raises:
        PromptError: one is empty, longer than the context, or they differ in length.
    """
    longest = max(len(clean), len(counterfactual))
    if longest > model.context:
        raise PromptError(
            expected=f"prompts of at most {model.context} tokens, the context of {model.id}",
            got=f"{longest} tokens",
            do="shorten the prompt",
        )
    if not clean or not counterfactual:
        raise PromptError(expected="prompts of at least one token", got="an empty prompt", do="write a prompt")
    if len(clean) != len(counterfactual):
        raise PromptError(
            expected="prompt and counterfactual of the same token length",
            got=f"{len(clean)} tokens {model.decode(clean)} and {len(counterfactual)} tokens "
            f"{model.decode(counterfactual)}",
            do="reword one of them so that the tokens line up",
        )


def continued(model: Tokenizing, prompt: str, encoded: Sequence[int], text: str) -> list[int]:
    """Tokens of an answer as it follows its prompt.

    Args:
        model: whose tokens they are.
        prompt: what goes before.
        encoded: its tokens.
        text: the answer.

    Raises:
        PromptError: the answer does not continue the prompt with a token of its own.
    """
    tokens = model.continuation(text)
    follows = model.encode(prompt + text)[len(encoded) :]
    digits = text[0].isdigit() and prompt[-1].isdigit()  # a number goes on without a space
    glued = text[0].isalnum() and prompt[-1].isalnum() and not digits
    if glued or not tokens or not follows or follows[0] != tokens[0]:
        spaced = " " + text.strip()
        works = spaced != text and model.encode(prompt + spaced)[len(encoded) :][:1] == model.continuation(spaced)[:1]
        raise PromptError(
            expected="an answer that continues the prompt with a token of its own",
            got=f"{text!r} after {prompt[-20:]!r}",
            do=f"write it with its leading space: {spaced!r}" if works else "end the prompt at a word boundary",
        )
    return tokens
