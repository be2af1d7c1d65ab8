"""One record of a task: a prompt, its counterfactual and what the model should say."""

from __future__ import annotations

from itertools import takewhile
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

Text = Annotated[str, Field(min_length=1)]


class PromptPair(BaseModel):
    """A clean prompt beside one that differs in what matters and has another answer.

    Args:
        prompt: the clean prompt; the model's next token after it is what is explained.
        counterfactual: a prompt of the same token length with another answer.
        answers: right continuations (aliases), each with its leading space where the writing has one; the first token
            of each is scored.
        distractors: wrong continuations, usually the counterfactual's answer; may be empty where the metric
            needs none.
        spans: named parts of the prompt, `{"subject": (28, 34)}`: offsets in characters, the end excluded. Tokens of
            prompt and counterfactual are aligned, so a span is at the same positions in both. `last` is the last
            token, always there, and not to be given.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    prompt: Text
    counterfactual: Text
    answers: Annotated[tuple[Text, ...], Field(min_length=1)]
    distractors: tuple[Text, ...] = ()
    spans: dict[str, tuple[int, int]] = Field(default={}, exclude_if=lambda spans: not spans)

    @model_validator(mode="after")
    def _spans_lie_in_the_prompt(self) -> PromptPair:
        for name, (start, end) in self.spans.items():
            if name == "last" or not 0 <= start < end <= len(self.prompt):
                reason = "is always the last token" if name == "last" else f"not inside {self.prompt!r}"
                raise ValueError(f"span {name!r} {start} to {end}: {reason}")
        return self

    def __hash__(self) -> int:
        # Spans are left out: a dictionary has no hash, and equal pairs have equal texts.
        return hash((self.prompt, self.counterfactual, self.answers, self.distractors))

    def swapped(self) -> PromptPair | None:
        """The same pair the other way round: a held-out prompt for free, where there are distractors."""
        if not self.distractors:
            return None
        return PromptPair(
            prompt=self.counterfactual,
            counterfactual=self.prompt,
            answers=self.distractors,
            distractors=self.answers,
            spans=self._counterfactual_spans(),
        )

    def _counterfactual_spans(self) -> dict[str, tuple[int, int]]:
        """Spans around or beside the one stretch in which the two prompts differ; others have no sure place."""
        ours, theirs = self.prompt, self.counterfactual
        before = _alike(ours, theirs)
        after = min(_alike(ours[::-1], theirs[::-1]), min(len(ours), len(theirs)) - before)
        longer = len(theirs) - len(ours)
        spans: dict[str, tuple[int, int]] = {}
        for name, (start, end) in self.spans.items():
            if end <= before:
                spans[name] = (start, end)
            elif start <= before and end >= len(ours) - after:
                spans[name] = (start, end + longer)
            elif start >= len(ours) - after:
                spans[name] = (start + longer, end + longer)
        return spans


def _alike(ours: str, theirs: str) -> int:
    """Characters that two texts begin with alike."""
    return sum(1 for _ in takewhile(lambda both: both[0] == both[1], zip(ours, theirs, strict=False)))
