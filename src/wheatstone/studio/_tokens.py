"""A prompt pair in tokens as it is typed, and what `discover` would refuse of it; without torch."""

from __future__ import annotations

from typing import Literal

from wheatstone._errors import PromptError, WheatstoneError
from wheatstone.models._continuation import check_lengths, continued
from wheatstone.models._light_tokenizer import LightTokenizer, light_tokenizer
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
    clean, other = (tokenizer.encode(text) if text else [] for text in (draft.prompt, draft.counterfactual))
    problems: list[DraftProblem] = []
    if draft.prompt and draft.counterfactual:
        problems += _lined_up(tokenizer, clean, other)
    right = _answer(tokenizer, draft, clean, "answer", problems)
    wrong = _answer(tokenizer, draft, clean, "distractor", problems)
    if right and wrong and right[0] == wrong[0] and not problems:
        same = f"answer and distractor both begin with {tokenizer.decode(right[:1])[0]!r}"
        problems.append(DraftProblem(field="distractor", said=same, do="choose another distractor"))
    notes = [
        f"{name} is {len(tokens)} tokens; only the first, {tokenizer.decode(tokens[:1])[0]!r}, is scored"
        for name, tokens in (("answer", right), ("distractor", wrong))
        if len(tokens) > 1
    ]
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


def _answer(
    tokenizer: LightTokenizer,
    draft: Draft,
    clean: list[int],
    name: Literal["answer", "distractor"],
    problems: list[DraftProblem],
) -> list[int]:
    """Tokens of an answer where there is one; what is wrong with it goes to `problems`."""
    text: str = getattr(draft, name)
    if text and draft.prompt:
        try:
            return continued(tokenizer, draft.prompt, clean, text)
        except PromptError as error:
            problems.append(_problem(name, error))
    return tokenizer.continuation(text) if text else []


def _problem(field: Literal["model", "prompt", "answer", "distractor"], error: WheatstoneError) -> DraftProblem:
    return DraftProblem(field=field, said=f"expected {error.expected}; got {error.got}", do=error.do)
