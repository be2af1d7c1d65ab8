"""Answers given as token ids, or as years: what they are in a model's tokens, and whether they can be its own ids."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from wheatstone._errors import PromptError
from wheatstone.models import ResidualModel, continued
from wheatstone.records import Row, column_of, ids_in, optional_of
from wheatstone.tasks import _fields as fields
from wheatstone.tasks.generators._greater_than import year_answers

_FOREIGN_SHARE = 0.1
"""Share of ids that do not continue their prompts, from which on the whole table is another tokenizer's. Of a
tokenizer's own ids almost none are; of another's, which are any piece of a word here, about half."""
_ANOTHER = "these are another tokenizer's ids"


class Ids:
    """Reads the answers of one table.

    Args:
        model: whose tokens the ids should be.
    """

    def __init__(self, model: ResidualModel) -> None:
        self._model = model
        self._read = 0
        self._foreign: list[str] = []
        self._first = ""

    def texts(self, row: Row, name: str, value: Any, prompt: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Texts of the right and the wrong answers of a row.

        Args:
            row: the row.
            name: the column of the right answers.
            value: its cell.
            prompt: that they continue.

        Raises:
            ValueError: what is wrong with them, and what to do.
        """
        wrong_name = column_of(row, fields.DISTRACTOR_IDS)
        wrong = None if wrong_name is None else optional_of(row, (wrong_name,))
        right = ids_in(name, value)
        if wrong is None and len(right) == 1 and 0 <= right[0] < 100 and prompt[-1:].isdigit():
            return year_answers(self._model, prompt, right[0])
        if name in fields.LABEL and len(right) == 1 and 0 <= right[0] < 100:
            raise ValueError(
                f"{name!r} is {right[0]}, which is neither a year after its prompt nor an answer; add `answers`"
            )
        if name in fields.LABEL and wrong is None and len(right) == 2:  # EAP-IG's own pair of right and wrong
            right, others = right[:1], right[1:]
        else:
            others = [] if wrong is None else ids_in(str(wrong_name), wrong)
        return tuple(self._text(row, each, prompt) for each in right), tuple(
            self._text(row, each, prompt) for each in others
        )

    def _text(self, row: Row, token: int, prompt: str) -> str:
        """The text of an id, if it can follow the prompt as this token."""
        self._read += 1
        if not 0 <= token < self._model.vocabulary:
            why = f"token id {token} is beyond the {self._model.vocabulary:,} of {self._model.id}"
        else:
            (text,) = self._model.decode([token])
            self._first = self._first or f"{token} is {text!r}"
            for written in (text, f" {text}"):  # some tokenizers leave the space out of a single token's text
                with suppress(PromptError, IndexError):  # the second of an id without a text
                    if continued(self._model, prompt, written)[:1] == [token]:
                        return written
            why = f"token id {token} is {text!r} here, which does not continue {prompt[-20:]!r}"
        self._foreign.append(f"{row.where}: {why}")
        raise ValueError(f"{why}; {_ANOTHER}: give the answers as texts, or the model they were made for")

    def check(self, name: str) -> None:
        """Refuses a table whose ids are not the model's, also where single records may be left out.

        Raises:
            PromptError: an id is beyond the vocabulary, or too many do not continue their prompts.
        """
        beyond = [why for why in self._foreign if " is beyond " in why]
        if beyond or len(self._foreign) > _FOREIGN_SHARE * self._read:
            first = (beyond or self._foreign)[0]
            raise PromptError(
                expected=f"token ids of {self._model.id} in {name}",
                got=f"{len(self._foreign):,} of {self._read:,} ids that cannot be its own ({first}): {_ANOTHER}",
                do="give the model whose tokenizer made the file, or write the answers as texts",
            )

    def notes(self) -> list[str]:
        """What the ids are taken for."""
        if not self._first:
            return []
        return [f"answers are token ids ({self._first}); if that is not what the file means, {_ANOTHER}"]
