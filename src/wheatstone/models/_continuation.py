"""Whether two prompts line up token by token and an answer continues its prompt: checks that need a tokenizer alone.

Apart from `tasks`, so that a form can be checked as it is typed, in a process that never loads torch.

An answer continues its prompt if it is tokenised as in the model's own text: the tokens of prompt and answer together
begin with the tokens of the prompt.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from wheatstone._errors import PromptError
from wheatstone.checkpoints import TextReader
from wheatstone.models._scripts import splits_a_word

_SHOWN = 4
"""Tokens of a prompt's end that are shown in an error."""


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

    @property
    def reader(self) -> TextReader:
        """Reads its texts."""
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
            got=f"{len(clean)} tokens {model.reader.decode(clean)} and {len(counterfactual)} tokens "
            f"{model.reader.decode(counterfactual)}",
            do="reword one of them so that the tokens line up",
        )


def continued(model: Tokenizing, prompt: str, text: str) -> list[int]:
    """Tokens of an answer as it follows its prompt.

    Args:
        model: whose tokens they are.
        prompt: what goes before.
        text: the answer.

    Raises:
        PromptError: the answer would be tokenised otherwise in the model's own text.
    """
    reader = model.reader
    before, whole = reader.encode(prompt), reader.encode(prompt + text)
    if splits_a_word(prompt, text):
        raise PromptError(
            expected="an answer that begins a word of its own",
            got=f"{text!r} after {prompt[-20:]!r}, inside its last word",
            do=f"write it with its leading space: {' ' + text!r}",
        )
    if whole[: len(before)] == before and len(whole) > len(before):
        return whole[len(before) :]
    raise PromptError(
        expected="an answer that continues the prompt with tokens of its own",
        got=f"{text!r}, which merges with the prompt's end: {_end(reader, before, before)} alone, "
        f"{_end(reader, whole, before)} together",
        do=_remedy(reader, before, whole),
    )


def _end(reader: TextReader, ids: Sequence[int], before: Sequence[int]) -> str:
    """The last tokens of a prompt, and what follows them."""
    start = max(0, len(before) - _SHOWN)
    return f"[{', '.join(reader.shown(token) for token in ids[start:])}]"


def _remedy(reader: TextReader, before: Sequence[int], whole: Sequence[int]) -> str:
    """Where to end the prompt, so that the answer has all of its tokens."""
    same = next((place for place, (ours, theirs) in enumerate(zip(before, whole, strict=False)) if ours != theirs), 0)
    start, answer = reader.written(whole[:same]), reader.written(whole[same:])
    if not start or not answer or "�" in start + answer:
        return "end the prompt where the model's text has a boundary between tokens"
    return f"end the prompt after {start[-20:]!r} and write the answer as {answer!r}"


def remedy_for_shared(reader: TextReader, shared: int) -> str:
    """What to do about an answer and a distractor that begin with the same token.

    Args:
        reader: of the model's texts.
        shared: the token.
    """
    do = "choose another distractor"
    return do if reader.shown(shared).startswith("bytes") else f"{do}, or end both prompts with {reader.shown(shared)}"


def boundary_notes(prompt: str, text: str) -> list[str]:
    """What a reader should know about how an answer follows its prompt.

    Args:
        prompt: what goes before.
        text: the answer.
    """
    if prompt[-1:].isspace() and text[:1] == " ":
        return [f"the prompt ends in {prompt[-1]!r} and the answer {text!r} begins with a space: two in a row"]
    first, last = text[:1], prompt[-1:]
    if first.isalnum() and last.isalnum() and first.isdigit() != last.isdigit() and first.isascii() and last.isascii():
        return [f"{text!r} follows {prompt[-20:]!r} without a space; write {' ' + text!r} for a word of its own"]
    return []


def scored_note(model: Tokenizing, text: str, tokens: Sequence[int]) -> str | None:
    """The note on an answer of several tokens, of which only the first is scored.

    Args:
        model: whose tokens they are.
        text: the answer.
        tokens: its tokens.
    """
    if len(tokens) < 2:
        return None
    return f"{text!r} is {len(tokens)} tokens; only the first, {model.reader.shown(tokens[0])}, is scored"
