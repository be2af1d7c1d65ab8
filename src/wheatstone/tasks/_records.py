"""Rows as tasks: prompt pairs, pairs with token ids, or facts whose counterfactuals are still to be made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from pydantic import ValidationError

from wheatstone._errors import PromptError
from wheatstone._json import parse_json
from wheatstone._path import StrPath
from wheatstone.models import ResidualModel, joined
from wheatstone.records import (
    SPLITS,
    Problem,
    Row,
    column_of,
    columns_in_words,
    content_of,
    flat,
    optional_of,
    problems_in_words,
    read_rows,
    refuse_problems,
    text_of,
    texts_in,
    value_of,
)
from wheatstone.tasks import _fields as fields
from wheatstone.tasks._counterfactuals import Fact
from wheatstone.tasks._derived import QUESTION, SHOTS, Demonstrated
from wheatstone.tasks._facts import Facts
from wheatstone.tasks._ids import Ids
from wheatstone.tasks._pair import PromptPair
from wheatstone.tasks._source import About, Draft
from wheatstone.tasks._split import plain
from wheatstone.tasks._templates import with_subject


@dataclass(frozen=True)
class Pairs:
    """Pairs as a file has them.

    Args:
        about: what is said about them.
        drafts_by_key: key that splits divide, and the pair.
        given: the file's own splits, where every record names one.
    """

    about: About
    drafts_by_key: tuple[tuple[str, Draft], ...]
    given: Mapping[str, frozenset[str]] | None = None

    def subjects(self, model: ResidualModel) -> Sequence[str]:
        """The subjects the records name; the prompts of those that name none."""
        return [key for key, _ in self.drafts_by_key]

    def drafts(
        self, model: ResidualModel, subjects: frozenset[str], draw: Random, most: int, problems: list[Problem]
    ) -> list[Draft]:
        """The pairs of these subjects."""
        return [draft for key, draft in self.drafts_by_key if key in subjects]


def read_pairs(path: StrPath) -> list[PromptPair]:
    """Prompt pairs of a file, in its order, with their answers as texts.

    Args:
        path: of a file in a format that `load_task` reads.

    Raises:
        PromptError: the file cannot be read, or a record is not a pair.
    """
    path = Path(path)
    problems = list[Problem]()
    rows, _ = read_rows(content_of(path), problems)
    rows = [Row(row.where, flat(row.fields)) for row in rows]
    fields.check_columns(str(path), rows)
    pairs: list[PromptPair] = []
    for row in rows:
        try:
            pairs.append(_pair(None, row))
        except ValueError as error:
            problems.append(Problem(row.where, _words(error)))
    if not pairs:
        if rows and (task := _task_only(rows[0])):
            raise PromptError(
                expected="pairs with their answers as texts",
                got=f"{path} with {task}",
                do=f"give the file as a task, with --task {path}, where the model's tokenizer reads it",
            )
        raise no_record(path, problems)
    refuse_problems(problems, str(path))
    return pairs


def _task_only(row: Row) -> str | None:
    """What a record holds that makes prompts only together with a model; None where it does not."""
    if column_of(row, fields.COUNTERFACTUAL) is None and column_of(row, fields.SUBJECT) is not None:
        return f"facts, in {columns_in_words(row.fields)}"
    if column_of(row, fields.ANSWERS) is None:
        ids = column_of(row, (*fields.ANSWER_IDS, *fields.LABEL))
        return ids and f"token ids or years in the column {ids!r}"
    return None


def no_record(path: Path, problems: Sequence[Problem]) -> PromptError:
    """Says of a file that it has no record that can be used."""
    return PromptError(
        expected=f"at least one record ({fields.UNDERSTOOD})",
        got=f"{path}, which has no record" + (f" that can be used: {problems_in_words(problems)}" if problems else ""),
        do="write one as docs/tasks.md shows",
    )


def records(
    model: ResidualModel,
    name: str,
    rows: Sequence[Row],
    template: int | str,
    problems: list[Problem],
    notes: list[str],
) -> Pairs | Facts | Demonstrated:
    """Pairs where the rows have counterfactuals, else facts.

    The names of columns are in `tasks/_fields.py`. A `label` or a lone `correct_idx` below 100 after a prompt that ends
    in digits is a greater-than file's year. Facts need a prompt with the subject in it, or a template; those of
    `input` and `output` alone are asked after demonstrations, as the function vectors' data set is.

    Args:
        model: whose tokens ids are.
        name: of the task.
        rows: as read.
        template: a text with `{subject}` for facts without a prompt.
        problems: rows that cannot be used are added here.
        notes: what a reader of results should know is added here.

    Raises:
        PromptError: no row has the columns of a record, or the token ids are another tokenizer's.

    When this misleads: token ids mean what they should only in the tokenizer that the file was made for. Ids that
    happen to be words in this model's are not noticed; a note says what they are.
    """
    rows = [Row(row.where, flat(row.fields)) for row in rows]
    fields.check_columns(name, rows)
    ids, bare = Ids(model), all(_is_bare(row, template) for row in rows)
    made: list[tuple[Row, PromptPair | Fact]] = []
    for row in rows:
        try:
            made.append((row, _record(ids, row, QUESTION if bare else template)))
        except ValueError as error:
            problems.append(Problem(row.where, _words(error)))
    ids.check(name)
    notes += ids.notes()
    facts, pairs = list[Fact](), dict[PromptPair, tuple[str, Draft]]()
    places: dict[str, dict[str, str]] = {}
    seen: dict[tuple[str, str], str] = {}
    for row, one in made:
        subject = one.subject if isinstance(one, Fact) else str(optional_of(row, ("subject",)) or one.prompt)
        before = seen.setdefault((plain(subject), one.prompt), row.where)
        if before != row.where:
            problems.append(Problem(row.where, f"a duplicate of {before}"))
            continue
        if isinstance(one, Fact):
            facts.append(one)
        else:
            pairs[one] = (subject, Draft(one, row.where))
        if row.fields.get("split") in SPLITS:
            others = places.setdefault(plain(subject), {})
            others.setdefault(str(row.fields["split"]), row.where)
            if len(others) > 1:
                problems.append(
                    Problem(row.where, f"subject {subject!r} in two splits, see {next(iter(others.values()))}")
                )
    about = About(name=name, kind="prompts", description=f"Records of {name}.", size=len(rows))
    if not pairs and bare and facts:
        notes.append(f"the records name no template: they are asked as {QUESTION!r} after {SHOTS} demonstrations")
        return Demonstrated(about, tuple(facts), SHOTS)
    if not pairs:
        return Facts(about, tuple(facts))
    problems.extend(Problem(fact.where, "a fact among pairs: no counterfactual") for fact in facts)
    named = {
        split: frozenset(key for key, _ in pairs.values() if split in places.get(plain(key), ())) for split in SPLITS
    }
    whole = all(plain(key) in places for key, _ in pairs.values())
    return Pairs(about, tuple(pairs.values()), named if whole else None)


def _record(ids: Ids, row: Row, template: int | str) -> PromptPair | Fact:
    """A row as a pair, or as a fact.

    Raises:
        ValueError: what is wrong with it, and what to do.
    """
    if lacking := fields.lacking(row):
        raise ValueError(f"{lacking} among {columns_in_words(row.fields)}; rename them as docs/tasks.md shows")
    if column_of(row, fields.COUNTERFACTUAL) is not None:
        return _pair(ids, row)
    return _fact(row, template)


def _pair(ids: Ids | None, row: Row) -> PromptPair:
    prompt, counterfactual = text_of(row, fields.PROMPT), text_of(row, fields.COUNTERFACTUAL)
    if prompt is None or counterfactual is None:
        raise ValueError(f"no pair among {columns_in_words(row.fields)}; facts are given as a task (--task)")
    answers, distractors = _answers(ids, row, prompt)
    spans = optional_of(row, ("spans",)) or {}
    return PromptPair.model_validate(
        {
            "prompt": prompt,
            "counterfactual": counterfactual,
            "answers": answers,
            "distractors": distractors,
            "spans": parse_json(spans) if isinstance(spans, str) else spans,
        }
    )


def _answers(ids: Ids | None, row: Row, prompt: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Right and wrong continuations: as texts, else as token ids or as a year."""
    right, wrong = (column_of(row, names) for names in (fields.ANSWERS, fields.DISTRACTORS))
    if right is not None and (value := optional_of(row, (right,))) is not None:
        other = None if wrong is None else optional_of(row, (wrong,))
        return _joined(prompt, right, value), () if other is None else _joined(prompt, str(wrong), other)
    for names in (fields.ANSWER_IDS, fields.LABEL):
        name = column_of(row, names)
        if name is None or (value := optional_of(row, (name,))) is None:
            continue
        if name in fields.LABEL and isinstance(value, str) and not _is_numeric(value):
            return _joined(prompt, name, value), ()
        if ids is None:
            raise ValueError(
                f"{name!r} holds token ids, which a model's tokenizer must read; give the file with --task"
            )
        return ids.texts(row, name, value, prompt)
    value_of(row, (*fields.ANSWERS, *fields.ANSWER_IDS, *fields.LABEL))  # says which cell is empty
    raise ValueError(f"no answer among {columns_in_words(row.fields)}; name it `answers`")


def _joined(prompt: str, name: str, value: Any) -> tuple[str, ...]:
    """Answers as texts; a bare number, which cannot carry a space of its own, gets one where the prompt asks for it."""
    return tuple(joined(prompt, text) if text.isdecimal() else text for text in texts_in(name, value))


def _is_numeric(text: str) -> bool:
    return text.strip().lstrip("[").rstrip("]").replace(",", "").replace(".", "").replace(" ", "").isdecimal()


def _fact(row: Row, template: int | str) -> Fact:
    column = column_of(row, fields.ANSWERS)
    assert column is not None  # see `fields.lacking`
    subject = text_of(row, fields.SUBJECT) or ""
    answers = texts_in(column, value_of(row, (column,)))
    if isinstance(template, str):
        return Fact(subject, with_subject(template), answers, row.where)
    prompt, given = optional_of(row, fields.PROMPT), optional_of(row, fields.TEMPLATE)
    for text in (prompt, given):
        if isinstance(text, str) and any(place in text for place in ("{}", "{subject}", "[X]")):
            return Fact(subject, with_subject(text), answers, row.where)
    if not isinstance(prompt, str):
        raise ValueError(
            "no prompt and no template; give one with {subject}, such as --template 'The … of {subject} is'"
        )
    if subject not in prompt:
        raise ValueError(f"subject {subject!r} is not in its prompt {prompt!r}; give a --template with {{subject}}")
    return Fact(subject, prompt.replace(subject, "{subject}", 1), answers, row.where)


def _is_bare(row: Row, template: int | str) -> bool:
    """Whether a record is an `input` with its `output` and nothing says how to ask for it."""
    asked = (*fields.PROMPT, *fields.TEMPLATE, *fields.COUNTERFACTUAL)
    return not isinstance(template, str) and "input" in row.fields and column_of(row, asked) is None


def _words(error: ValueError) -> str:
    """What is wrong with a record."""
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{first['msg']} {'.'.join(map(str, first['loc']))}".rstrip()
    return str(error)
