"""A prompt pair in tokens as it is typed, and what `discover` would refuse of it; without torch."""

from __future__ import annotations

from typing import Literal

from wheatstone._errors import PromptError, WheatstoneError
from wheatstone.checkpoints import LightTokenizer, light_tokenizer
from wheatstone.models import boundary_notes, check_lengths, continued, remedy_for_shared, scored_note
from wheatstone.studio._jobs_schema import Draft, DraftProblem, DraftTokens


def draft_tokens(draft: Draft) -> DraftTokens:
    """Tokens of a draft, and its problems field by field; the checks are those that a discovery makes."""
    try:
        tokenizer = light_tokenizer(draft.model)
    except WheatstoneError as error:
        return DraftTokens(here=False, problems=(_problem("model", error),))
    if tokenizer is None:
        note = f"{draft.model} is not on this machine yet: it is fetched when the job starts, and tokens are known then"
        return DraftTokens(here=False, notes=(note,))
    problems: list[DraftProblem] = []
    clean = _prompt(tokenizer, draft, "prompt", problems)
    other = _prompt(tokenizer, draft, "counterfactual", problems)
    if draft.prompt and draft.counterfactual and not problems:
        problems += _lined_up(tokenizer, clean, other)
    right = _answer(tokenizer, draft, "answer", problems)
    wrong = _answer(tokenizer, draft, "distractor", problems)
    if right and wrong and right[0] == wrong[0] and not problems:
        same = f"answer and distractor both begin with {tokenizer.reader.shown(right[0])}"
        do = remedy_for_shared(tokenizer.reader, right[0])
        problems.append(DraftProblem(field="distractor", said=same, do=do))
    notes = tokenizer.reader.notes(draft.prompt)
    for text, tokens in ((draft.answer, right), (draft.distractor, wrong)):
        notes += [*boundary_notes(draft.prompt, text), *filter(None, [scored_note(tokenizer, text, tokens)])]
    prompt, counterfactual, answer, distractor = (tuple(tokenizer.decode(ids)) for ids in (clean, other, right, wrong))
    return DraftTokens(
        here=True,
        prompt=prompt,
        counterfactual=counterfactual,
        answer=answer,
        distractor=distractor,
        problems=tuple(problems),
        notes=tuple(notes),
    )


def _lined_up(tokenizer: LightTokenizer, clean: list[int], other: list[int]) -> list[DraftProblem]:
    if len(clean) != len(other):
        said = f"the prompt has {len(clean)} tokens and the counterfactual {len(other)}"
        return [DraftProblem(field="counterfactual", said=said, do="reword one of them so that the tokens line up")]
    if clean == other:
        return [
            DraftProblem(field="counterfactual", said="the two are the same", do="change what the answer depends on")
        ]
    try:
        check_lengths(tokenizer, clean, other)
    except PromptError as error:
        return [_problem("prompt", error)]
    return []


def _prompt(
    tokenizer: LightTokenizer,
    draft: Draft,
    name: Literal["prompt", "counterfactual"],
    problems: list[DraftProblem],
) -> list[int]:
    """Tokens of a prompt where there is one; what is wrong with it goes to `problems`."""
    text: str = getattr(draft, name)
    try:
        return tokenizer.encode(text) if text else []
    except PromptError as error:
        problems.append(_problem(name, error))
        return []


def _answer(
    tokenizer: LightTokenizer,
    draft: Draft,
    name: Literal["answer", "distractor"],
    problems: list[DraftProblem],
) -> list[int]:
    """Tokens of an answer where there is one; what is wrong with it goes to `problems`."""
    text: str = getattr(draft, name)
    if not text:
        return []
    try:
        return continued(tokenizer, draft.prompt, text) if draft.prompt else tokenizer.continuation(text)
    except PromptError as error:
        problems.append(_problem(name, error))
    try:
        return tokenizer.continuation(text)
    except PromptError:
        return []


_Field = Literal["model", "prompt", "counterfactual", "answer", "distractor"]


def _problem(field: _Field, error: WheatstoneError) -> DraftProblem:
    return DraftProblem(field=field, said=f"expected {error.expected}; got {error.got}", do=error.do)
