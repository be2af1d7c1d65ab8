"""Prompt pairs as tokens, refused where a comparison between the two prompts would not mean anything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from wheatstone._errors import PromptError, RequestError
from wheatstone._view import Brief
from wheatstone.models import (
    ResidualModel,
    Tokens,
    boundary_notes,
    check_lengths,
    continued,
    remedy_for_shared,
    scored_note,
)
from wheatstone.tasks._pair import PromptPair
from wheatstone.tasks._spans import token_spans


@dataclass(frozen=True, eq=False)
class Encoded(Brief):
    """Prompt pairs, tokenised for one model.

    Args:
        pairs: the records.
        clean: tokens of the prompts.
        counterfactual: tokens of the counterfactuals, aligned with `clean` position by position.
        answers: first token of each answer, padded with -1.
        distractors: first token of each distractor, padded with -1.
        spans: by name, the token positions [first, end) in each prompt, -1 where a prompt has no such span. They hold
            for prompt and counterfactual. `last` and `subject` are always there.
        notes: what a reader of results should know, such as that only an answer's first token is scored.
    """

    pairs: tuple[PromptPair, ...]
    clean: Tokens
    counterfactual: Tokens
    answers: Int[Tensor, "batch answer"]
    distractors: Int[Tensor, "batch distractor"]
    spans: dict[str, Int[Tensor, "batch 2"]]
    notes: tuple[str, ...]

    @property
    def last(self) -> Int[Tensor, " batch"]:
        """Position of each prompt's last token."""
        return self.clean.lengths - 1

    @property
    def subject_last(self) -> Int[Tensor, " batch"]:
        """Last position of each prompt's subject: of its span, else the last at which the two prompts differ."""
        return self.spans["subject"][:, 1] - 1

    def span(self, name: str) -> Int[Tensor, "batch 2"]:
        """Token positions [first, end) of a span that every prompt has.

        Raises:
            RequestError: a prompt lacks it.
        """
        if name not in self.spans or bool((self.spans[name] < 0).any()):
            everywhere = [name for name, places in self.spans.items() if bool((places >= 0).all())]
            raise RequestError(
                expected=f"a span that every prompt has, out of {', '.join(everywhere)}",
                got=repr(name),
                do="choose one of these, or add it to the records' spans",
            )
        return self.spans[name]


def encode(model: ResidualModel, pairs: Sequence[PromptPair]) -> Encoded:
    """Tokenises pairs and checks that they can be compared.

    Args:
        model: whose tokenizer is used, as it is by default.
        pairs: at least one.

    Raises:
        PromptError: lengths differ within a pair, a prompt is longer than the context, an answer does not
            continue its prompt as typed, an answer and a distractor share their first token, or a span holds no token.
    """
    if not pairs:
        raise PromptError(expected="at least one prompt pair", got="none", do="give a prompt and a counterfactual")
    clean = [model.encode(pair.prompt) for pair in pairs]
    counterfactual = [model.encode(pair.counterfactual) for pair in pairs]
    notes: list[str] = []
    answers: list[list[int]] = []
    distractors: list[list[int]] = []
    for pair, ours, theirs in zip(pairs, clean, counterfactual, strict=True):
        check_lengths(model, ours, theirs)
        if ours == theirs:
            raise PromptError(
                expected="a counterfactual that differs from its prompt",
                got=f"the same tokens twice, {pair.prompt!r}",
                do="change what the answer depends on",
            )
        notes += model.reader.notes(pair.prompt)
        right, wrong = (
            [_first_token(model, pair, text, notes) for text in texts] for texts in (pair.answers, pair.distractors)
        )
        for answer, token in zip(pair.answers, right, strict=True):
            if token in wrong:
                raise PromptError(
                    expected="an answer and a distractor that differ in their first token",
                    got=f"{answer!r} and {pair.distractors[wrong.index(token)]!r}, "
                    f"which both begin with {model.reader.shown(token)}",
                    do=remedy_for_shared(model.reader, token),
                )
        answers.append(list(dict.fromkeys(right)))
        distractors.append(list(dict.fromkeys(wrong)))
    ours, theirs = Tokens.of(clean, model.device), Tokens.of(counterfactual, model.device)
    return Encoded(
        pairs=tuple(pairs),
        clean=ours,
        counterfactual=theirs,
        answers=_padded(answers, model.device),
        distractors=_padded(distractors, model.device),
        spans=token_spans(model, pairs, ours, theirs),
        notes=tuple(dict.fromkeys(notes)),
    )


def encodes(model: ResidualModel, pair: PromptPair) -> bool:
    """Whether a pair can be used with a model: `encode` accepts it."""
    try:
        encode(model, [pair])
    except PromptError:
        return False
    return True


def _first_token(model: ResidualModel, pair: PromptPair, text: str, notes: list[str]) -> int:
    """First token of a continuation, as it follows the prompt."""
    tokens = continued(model, pair.prompt, text)
    notes += boundary_notes(pair.prompt, text)
    if note := scored_note(model, text, tokens):
        notes.append(note)
    return tokens[0]


def _padded(rows: list[list[int]], device: torch.device) -> Tensor:
    width = max(len(row) for row in rows)
    return torch.tensor([row + [-1] * (width - len(row)) for row in rows], dtype=torch.long, device=device)
