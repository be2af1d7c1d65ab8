"""The names of columns that records may have, in this project and in public data sets, and what their cells hold.

| data set | names |
|---|---|
| EAP, EAP-IG | `clean`, `corrupted`, and `correct`, `incorrect`, or `label`, `correct_idx` … (token ids or years) |
| auto-circuit, ACDC | `clean`, `corrupt`, `answers`, `wrong_answers` |
| feature-circuits | `clean_prefix`, `patch_prefix`, `clean_answer`, `patch_answer` |
| function vectors | `input`, `output` |
| LAMA, ParaRel | `sub_label`, `obj_label`, `template` |
| known_1000 | `subject`, `attribute`, `template`, `prompt` |
| CounterFact | `requested_rewrite` {`subject`, `prompt`, `target_true`} |
"""

from __future__ import annotations

from collections.abc import Sequence

from wheatstone._errors import PromptError
from wheatstone.records import Row, column_of, columns_in_words

PROMPT = ("prompt", "clean", "clean_prompt", "clean_prefix")
COUNTERFACTUAL = (
    "counterfactual",
    "corrupted",
    "corrupt",
    "patch",
    "corrupted_prompt",
    "corrupt_prompt",
    "patch_prompt",
    "corrupted_prefix",
    "corrupt_prefix",
    "patch_prefix",
)
ANSWERS = (
    "answers",
    "answer",
    "object",
    "target",
    "clean_answers",
    "clean_answer",
    "output",
    "obj_label",
    "attribute",
    "target_true",
    "correct",
    "correct_answers",
    "correct_answer",
)
DISTRACTORS = (
    "distractors",
    "distractor",
    "wrong_answers",
    "wrong_answer",
    "corrupted_answers",
    "corrupted_answer",
    "corrupt_answers",
    "corrupt_answer",
    "patch_answers",
    "patch_answer",
    "incorrect",
    "incorrect_answers",
    "incorrect_answer",
)
ANSWER_IDS = ("correct_idx", "answers_idx", "country_idx", "clean_answer_idx", "target_idx")
DISTRACTOR_IDS = (
    "incorrect_idx",
    "corrupted_answers_idx",
    "corrupted_country_idx",
    "corrupted_answer_idx",
    "foil_idx",
)
LABEL = ("label",)
SUBJECT = ("subject", "input", "sub_label")
TEMPLATE = ("template", "pattern")

UNDERSTOOD = (
    f"pairs: {'/'.join(PROMPT)}, {'/'.join(COUNTERFACTUAL)}, and {'/'.join((*ANSWERS, *ANSWER_IDS, *LABEL))} "
    f"(optional: {'/'.join((*DISTRACTORS, *DISTRACTOR_IDS))}, spans, subject, split); "
    f"or facts: {'/'.join(SUBJECT)}, {'/'.join(ANSWERS)}, and {'/'.join((*PROMPT[:1], *TEMPLATE))} or --template"
)
"""Every name, for an error."""


def check_columns(name: str, rows: Sequence[Row]) -> None:
    """Refuses a file in which no record has the columns of a pair or of a fact.

    Raises:
        PromptError: with the columns that were found and those that are understood.
    """
    if not rows or any(lacking(row) is None for row in rows):
        return
    raise PromptError(
        expected=f"records with columns that are understood ({UNDERSTOOD})",
        got=f"{name} with {columns_in_words(column for row in rows for column in row.fields)}: {lacking(rows[0])}",
        do="rename the columns; docs/tasks.md has an example of every form",
    )


def lacking(row: Row) -> str | None:
    """What a record lacks to be a pair or a fact, by its columns; None where it has everything."""
    if column_of(row, COUNTERFACTUAL) is not None:
        wanted = {"prompt": PROMPT, "answer": (*ANSWERS, *ANSWER_IDS, *LABEL)}
    elif column_of(row, SUBJECT) is not None:
        wanted = {"answer": ANSWERS}
    else:
        return "neither a counterfactual nor a subject"
    missing = [kind for kind, names in wanted.items() if column_of(row, names) is None]
    return f"no {' and no '.join(missing)}" if missing else None
