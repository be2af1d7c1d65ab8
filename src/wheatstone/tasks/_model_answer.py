"""What the model itself says at one prompt: which token is scored, its rank and probability, and the first choice."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from wheatstone.models import ResidualModel, continued
from wheatstone.tasks._known import KNOWN_RANK, Answered
from wheatstone.tasks._numbers import chance, ordinal
from wheatstone.tasks._pair import PromptPair

Continuation = tuple[str, Sequence[int]]
"""A text that follows a prompt, and its tokens there."""


@dataclass(frozen=True)
class ScoredToken:
    """The token by which a continuation is scored: its first.

    Args:
        text: the continuation as it was given, such as `" New York"`.
        tokens: how many tokens the continuation has.
        token: text of the first.
        id: of the first.
        rank: of the first among all tokens, 1 for the likeliest; ties count against it.
        probability: of the first.
    """

    text: str
    tokens: int
    token: str
    id: int
    rank: int
    probability: float

    def __str__(self) -> str:
        if self.tokens == 1:
            return in_quotes(self.text)
        return f"{in_quotes(self.text)} (scored by its first token {in_quotes(self.token)})"


@dataclass(frozen=True)
class ModelAnswer:
    """The unablated model at one prompt.

    Args:
        prompt: the prompt.
        answer: the best-placed of the answers.
        distractor: the best-placed of the distractors; None where there is none.
        first: the likeliest token of all.
        answers: how many different tokens the answers begin with (aliases may share one).
        distractors: the same of the distractors.
        probability: of all answers together.
        clean: the metric of the model; None where no metric is measured.
        ablated: the metric of the fully ablated model.
    """

    prompt: str
    answer: ScoredToken
    distractor: ScoredToken | None
    first: ScoredToken
    answers: int = 1
    distractors: int = 0
    probability: float = 0.0
    clean: float | None = None
    ablated: float | None = None

    @property
    def low(self) -> bool:
        """Whether no answer is among the model's `KNOWN_RANK` likeliest tokens."""
        return self.answer.rank > KNOWN_RANK

    @property
    def behind(self) -> bool:
        """Whether a distractor is at least as likely as every answer."""
        # Tied tokens share a rank, so equal ranks are equal logits.
        return self.distractor is not None and self.distractor.rank <= self.answer.rank

    @property
    def weak(self) -> bool:
        """Whether the known-fact filter would leave the prompt out."""
        return not Answered(self.answer.rank, not self.behind).known(KNOWN_RANK)

    def __str__(self) -> str:
        first = ""
        if self.answer.rank > 1:
            first = f", while its first choice is {in_quotes(self.first.token)} ({chance(self.first.probability)})"
        if self.behind and self.distractor is not None:
            return (
                f"The model itself prefers the distractor {placed(self.distractor)} to the answer "
                f"{placed(self.answer)}{first}."
            )
        against = ""
        if self.distractor is not None:
            rank, probability = ordinal(self.distractor.rank), chance(self.distractor.probability)
            against = f" and the distractor {self.distractor} {rank} ({probability})"
        rank, probability = ordinal(self.answer.rank), chance(self.answer.probability)
        return f"The model itself ranks {self.answer} {rank} ({probability}){against}{first}."


def model_answer(
    model: ResidualModel,
    prompt: str,
    logits: Float[Tensor, " vocab"],
    answers: Sequence[Continuation],
    distractors: Sequence[Continuation] = (),
    *,
    clean: float | None = None,
    ablated: float | None = None,
) -> ModelAnswer:
    """Reads one prompt's answer off its logits.

    Args:
        model: whose logits they are.
        prompt: the prompt.
        logits: of the token after it.
        answers: right continuations with their tokens, at least one.
        distractors: wrong ones.
        clean: the metric of the model.
        ablated: the metric of the fully ablated model.
    """
    logits = logits.detach().double().cpu()
    probabilities = logits.softmax(-1)

    def scored(continuation: Continuation) -> ScoredToken:
        text, tokens = continuation
        token = int(tokens[0])
        return ScoredToken(
            text=text,
            tokens=len(tokens),
            token=model.decode([token])[0],
            id=token,
            rank=int((logits >= logits[token]).sum()),
            probability=float(probabilities[token]),
        )

    def best(continuations: Sequence[Continuation]) -> ScoredToken:
        return scored(max(continuations, key=lambda continuation: float(logits[continuation[1][0]])))

    top = int(logits.argmax())
    right, wrong = (sorted({int(tokens[0]) for _, tokens in part}) for part in (answers, distractors))
    return ModelAnswer(
        prompt=prompt,
        answer=best(answers),
        distractor=best(distractors) if distractors else None,
        first=scored((model.decode([top])[0], (top,))),
        answers=len(right),
        distractors=len(wrong),
        probability=float(probabilities[torch.tensor(right)].sum()),
        clean=clean,
        ablated=ablated,
    )


def continuations_of(model: ResidualModel, pair: PromptPair, texts: Sequence[str]) -> list[Continuation]:
    """Answers or distractors of a pair with their tokens, as `encode` scores them."""
    return [(text, continued(model, pair.prompt, text)) for text in texts]


def placed(token: ScoredToken) -> str:
    """A scored token with its rank and probability."""
    return f"{token} ({ordinal(token.rank)}, {chance(token.probability)})"


def in_quotes(text: str) -> str:
    """A text in double quotes, on one line."""
    return json.dumps(text, ensure_ascii=False)
