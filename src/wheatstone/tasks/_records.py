"""Rows as tasks: prompt pairs, EAP's pairs with token ids, or facts whose counterfactuals are still to be made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from pydantic import ValidationError

from wheatstone._json import parse_json
from wheatstone.models import ResidualModel
from wheatstone.tasks._counterfactuals import Fact
from wheatstone.tasks._facts import Facts
from wheatstone.tasks._pair import PromptPair
from wheatstone.tasks._problems import Problem
from wheatstone.tasks._rows import Row
from wheatstone.tasks._source import About, Draft
from wheatstone.tasks._split import SPLITS, plain
from wheatstone.tasks.generators import year_answers

_PROMPT = ("prompt", "clean")
_COUNTERFACTUAL = ("counterfactual", "corrupted")
_ANSWERS = ("answers", "answer", "object", "target")
_DISTRACTORS = ("distractors", "distractor")
_ANSWER_IDS = ("correct_idx", "answers_idx", "country_idx", "clean_answer_idx", "target_idx")
_DISTRACTOR_IDS = (
    "incorrect_idx",
    "corrupted_answers_idx",
    "corrupted_country_idx",
    "corrupted_answer_idx",
    "foil_idx",
)


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


def records(
    model: ResidualModel, name: str, rows: Sequence[Row], template: int | str, problems: list[Problem]
) -> Pairs | Facts:
    """Pairs where the rows have counterfactuals, else facts.

    Columns of pairs: `prompt` or `clean`; `counterfactual` or `corrupted`; `answers` or `answer`; `distractors` or
    `distractor`; optional `spans`, `subject`, `split`. EAP's files have token ids instead of texts (`correct_idx` and
    `incorrect_idx`, `country_idx` and `corrupted_country_idx`, …); a `correct_idx` alone, below 100, is a
    greater-than file's year. Columns of facts: `subject`, `answers` (or `answer`, `object`), and `prompt` with the
    subject in it, unless a template is given.

    Args:
        model: whose tokens ids are.
        name: of the task.
        rows: as read.
        template: a text with `{subject}` for facts without a prompt.
        problems: rows that cannot be used are added here.

    When this misleads: token ids mean what they should only in the tokenizer that the file was made for.
    """
    made: list[tuple[Row, PromptPair | Fact]] = []
    for row in rows:
        try:
            made.append((row, _pair(model, row) if _any(row, _COUNTERFACTUAL) else _fact(row, template)))
        except (ValidationError, ValueError) as error:
            first = error.errors()[0] if isinstance(error, ValidationError) else None
            text = f"{first['msg']} {'.'.join(map(str, first['loc']))}".rstrip() if first else str(error)
            problems.append(Problem(row.where, text))
    facts, pairs = list[Fact](), dict[PromptPair, tuple[str, Draft]]()
    places: dict[str, dict[str, str]] = {}
    seen: dict[tuple[str, str], str] = {}
    for row, one in made:
        subject = str(row.fields.get("subject") or (one.subject if isinstance(one, Fact) else one.prompt))
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
    if not pairs:
        return Facts(about, tuple(facts))
    problems.extend(Problem(fact.where, "a fact among pairs: no counterfactual") for fact in facts)
    named = {
        split: frozenset(key for key, _ in pairs.values() if split in places.get(plain(key), ())) for split in SPLITS
    }
    whole = all(plain(key) in places for key, _ in pairs.values())
    return Pairs(about, tuple(pairs.values()), named if whole else None)


def _pair(model: ResidualModel, row: Row) -> PromptPair:
    prompt = str(_any(row, _PROMPT) or "")
    answers, distractors = _texts(_any(row, _ANSWERS)), _texts(_any(row, _DISTRACTORS))
    if not answers and (right := _any(row, _ANSWER_IDS)) is not None:
        wrong = _any(row, _DISTRACTOR_IDS)
        ids = _ids(model, right)
        if wrong is None and len(ids) == 1 and ids[0] < 100:
            answers, distractors = year_answers(model, prompt, ids[0])
        else:
            answers, distractors = (tuple(model.decode(found)) for found in (ids, _ids(model, wrong or [])))
    if not answers:
        raise ValueError(f"no answer: none of {', '.join((*_ANSWERS, *_ANSWER_IDS))}")
    spans = row.fields.get("spans") or {}
    return PromptPair.model_validate(
        {
            "prompt": prompt,
            "counterfactual": str(_any(row, _COUNTERFACTUAL)),
            "answers": answers,
            "distractors": distractors,
            "spans": parse_json(spans) if isinstance(spans, str) else spans,
        }
    )


def _fact(row: Row, template: int | str) -> Fact:
    subject, answers, prompt = row.fields.get("subject"), _texts(_any(row, _ANSWERS)), _any(row, _PROMPT)
    if not isinstance(subject, str) or not subject.strip() or not answers:
        raise ValueError("neither a pair with a counterfactual nor a fact with a subject and an answer")
    if isinstance(template, str):
        return Fact(subject, template, answers, row.where)
    if not isinstance(prompt, str):
        raise ValueError("no prompt, and no template with {subject} was given")
    if subject not in prompt:
        raise ValueError(f"subject {subject!r} is not in its prompt {prompt!r}")
    return Fact(subject, prompt.replace(subject, "{subject}", 1), answers, row.where)


def _any(row: Row, names: Sequence[str]) -> Any:
    """The first of these columns that the row has."""
    return next((row.fields[name] for name in names if row.fields.get(name) not in (None, "")), None)


def _texts(value: Any) -> tuple[str, ...]:
    if isinstance(value, str) and value.startswith("["):
        value = parse_json(value)
    if isinstance(value, str):
        return (value,)
    return tuple(map(str, value or ()))


def _ids(model: ResidualModel, value: Any) -> list[int]:
    found = parse_json(value) if isinstance(value, str) else value
    ids = [int(each) for each in (found if isinstance(found, list) else [found])]
    vocabulary = model.vocabulary
    if any(not 0 <= each < vocabulary for each in ids):
        raise ValueError(f"a token id outside 0 to {vocabulary - 1}, in {ids}")
    return ids
