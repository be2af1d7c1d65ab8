"""One record of a task: a prompt, its counterfactual and what the model should say."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Text = Annotated[str, Field(min_length=1)]


class PromptPair(BaseModel):
    """A clean prompt beside one that differs in what matters and has another answer.

    Args:
        prompt: the clean prompt; the model's next token after it is what is explained.
        counterfactual: a prompt of the same token length with another answer.
        answers: right continuations (aliases), each with its leading space; the first token of each is scored.
        distractors: wrong continuations, usually the counterfactual's answer; may be empty where the metric
            needs none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    prompt: Text
    counterfactual: Text
    answers: Annotated[tuple[Text, ...], Field(min_length=1)]
    distractors: tuple[Text, ...] = ()

    def swapped(self) -> PromptPair | None:
        """The same pair the other way round: a held-out prompt for free, where there are distractors."""
        if not self.distractors:
            return None
        return PromptPair(
            prompt=self.counterfactual,
            counterfactual=self.prompt,
            answers=self.distractors,
            distractors=self.answers,
        )
