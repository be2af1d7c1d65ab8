"""What an edit is asked to do: after this prompt, about this subject, say that."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

from wheatstone.models import joined

Text = Annotated[str, Field(min_length=1)]


class EditRequest(BaseModel):
    """One fact to change.

    Args:
        prompt: what asks for the fact; the target is to follow it.
        subject: whom the fact is about, as it is written in the prompt.
        target: the new continuation. A space is put before it where the writing has one there: not after a space, in
            scripts that do not separate words, after an opening bracket or quotation mark, or inside a number.
        truth: what holds so far, where it is known; the model's present answer is not asked for.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    prompt: Text
    subject: Text
    target: Text
    truth: str = ""

    @model_validator(mode="after")
    def _the_subject_is_in_the_prompt(self) -> EditRequest:
        if self.subject not in self.prompt:
            raise ValueError(f"the subject {self.subject!r} is not in the prompt {self.prompt!r}")
        if not self.target.strip():
            raise ValueError("the target is empty")
        return self

    @property
    def continuation(self) -> str:
        """The target as it follows the prompt."""
        return joined(self.prompt, self.target)

    @property
    def subject_at(self) -> tuple[int, int]:
        """Characters of the subject in the prompt, the end excluded; where it occurs twice, the first."""
        start = self.prompt.index(self.subject)
        return start, start + len(self.subject)

    def __str__(self) -> str:
        return f"{self.prompt} → {self.target.strip()}"
