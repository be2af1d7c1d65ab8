"""From a task into copying, one edit at a time."""

from __future__ import annotations

import pytest

from wheatstone import PromptError, PromptPair, RequestError, ResidualModel
from wheatstone.mechanisms import copying_ladder


def asked(subject: int, answer: int, other: int, distractor: int) -> PromptPair:
    return PromptPair(
        prompt=f"w{subject} w2",
        counterfactual=f"w{other} w2",
        answers=(f" w{answer}",),
        distractors=(f" w{distractor}",),
        spans={"subject": (0, 2)},
    )


PAIRS = [asked(3, 13, 4, 14), asked(4, 14, 5, 15), asked(5, 15, 6, 16), asked(6, 16, 3, 13)]


def test_each_rung_is_the_pair_after_statements(tiny: ResidualModel) -> None:
    rungs = copying_ladder(tiny, PAIRS, times=2)
    names = ["asked alone", "another stated falsely", "stated falsely once", "stated falsely twice"]
    assert [rung.name for rung in rungs] == names
    assert all(len(rung.pairs) == 4 for rung in rungs)
    first = [rung.pairs[0] for rung in rungs]
    # Of the other answers, 14 is its own distractor; 15 and 16 are left, and 4 is its counterfactual's subject.
    assert [pair.prompt for pair in first] == [
        "w3 w2",
        "w5 w2 w15. w3 w2",
        "w3 w2 w15. w3 w2",
        "w3 w2 w15. w3 w2 w15. w3 w2",
    ]
    assert [pair.counterfactual for pair in first] == [
        "w4 w2",
        "w5 w2 w16. w4 w2",
        "w4 w2 w16. w4 w2",
        "w4 w2 w16. w4 w2 w16. w4 w2",
    ]
    assert {(pair.answers, pair.distractors) for pair in first} == {((" w13",), (" w15",))}


def test_false_answers_are_never_right_or_the_distractor(tiny: ResidualModel) -> None:
    for rung in copying_ladder(tiny, PAIRS, times=1):
        for pair, before in zip(rung.pairs, PAIRS, strict=True):
            assert pair.answers == before.answers
            assert not set(pair.distractors) & {*before.answers, *before.distractors}


def test_a_ladder_that_cannot_be_built_is_refused(tiny: ResidualModel) -> None:
    with pytest.raises(PromptError, match="none out of 2"):
        copying_ladder(tiny, PAIRS[:2])
    with pytest.raises(RequestError, match="at least one false statement"):
        copying_ladder(tiny, PAIRS, times=0)
