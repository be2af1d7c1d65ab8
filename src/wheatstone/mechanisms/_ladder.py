"""A ladder of edits from one task into another: a question that is asked again after a false statement of its answer.

    rung 0    the question                                                   the task alone
    rung 1    another question with the false answer; the question           the answer is there, without a match
    rung 1+k  the question with the false answer, k times; the question      the task against copying (induction)

The task's circuit leads to its answer, copying leads to the false one. On every rung the counterfactual is the pair's
own, with another false answer: what is ablated has neither cue.

Source: Ortu et al. 2024 (arXiv 2402.11655), section 2, where facts compete with statements in the prompt.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from wheatstone._errors import PromptError, RequestError
from wheatstone.models import ResidualModel
from wheatstone.tasks import PromptPair, encodes

_STATEMENT = "{prompt}{answer}. "


class Rung(NamedTuple):
    """Prompts at one step between two tasks.

    Args:
        name: what was edited, in words.
        pairs: the prompts; answers are the task's, distractors the false ones that can be copied.
    """

    name: str
    pairs: tuple[PromptPair, ...]


def copying_ladder(model: ResidualModel, pairs: Sequence[PromptPair], *, times: int = 2) -> list[Rung]:
    """The ladder from a task into copying; the prompts are the same on all rungs.

    Args:
        model: whose tokenizer counts.
        pairs: of a task whose answers follow their prompts. The false answers are those of other pairs.
        times: how often the false answer is stated at most, from 1.

    Returns:
        2 + `times` rungs. A pair is left out where no two other answers have one token length, its counterfactual
        another prompt to be stated, or tokens do not line up.

    Raises:
        RequestError: fewer than one statement.
        PromptError: no pair is left.

    When this misleads: a later rung is longer, and what is far away is read less. The other question of rung 1 names
    another subject, which may itself be confused with the asked one.
    """
    if times < 1:
        raise RequestError(expected="at least one false statement", got=str(times), do="use times=2")
    names = [
        "asked alone",
        "another stated falsely",
        *(f"stated falsely {_often(count)}" for count in range(1, times + 1)),
    ]
    climbed: list[list[PromptPair]] = []
    for index, pair in enumerate(pairs):
        others = [*pairs[index + 1 :], *pairs[:index]]
        found = _rungs(model, pair, others, times)
        if found is not None:
            climbed.append(found)
    if not climbed:
        raise PromptError(
            expected="pairs with enough different answers of one token length",
            got=f"none out of {len(pairs)}",
            do="give more pairs of the task",
        )
    return [Rung(name, tuple(rungs)) for name, rungs in zip(names, zip(*climbed, strict=True), strict=True)]


def _often(count: int) -> str:
    return {1: "once", 2: "twice"}.get(count, f"{count} times")


def _rungs(model: ResidualModel, pair: PromptPair, others: Sequence[PromptPair], times: int) -> list[PromptPair] | None:
    """One pair on every rung, with the first two false answers that fit."""
    taken = {*pair.answers, *pair.distractors}
    for one in others:
        false, length = one.answers[0], len(model.continuation(one.answers[0]))
        for two in others:
            instead = two.answers[0]
            fit = not {false, instead} & taken and false != instead and len(model.continuation(instead)) == length
            if fit and one.prompt not in (pair.prompt, pair.counterfactual):
                found = [_stated(pair, [], false, instead), _stated(pair, [(one.prompt, one.prompt)], false, instead)]
                again = [(pair.prompt, pair.counterfactual)]
                found += [_stated(pair, again * count, false, instead) for count in range(1, times + 1)]
                if all(encodes(model, rung) for rung in found):
                    return found
    return None


def _stated(pair: PromptPair, statements: Sequence[tuple[str, str]], false: str, instead: str) -> PromptPair:
    """A pair after statements of its prompt and its counterfactual."""
    before, other = (
        "".join(_STATEMENT.format(prompt=texts[side], answer=answer) for texts in statements)
        for side, answer in ((0, false), (1, instead))
    )
    return PromptPair(
        prompt=before + pair.prompt,
        counterfactual=other + pair.counterfactual,
        answers=pair.answers,
        distractors=(false,),
    )
