from __future__ import annotations

import json
from pathlib import Path

import pytest

from wheatstone import PromptPair, ResidualModel
from wheatstone.tasks import Answered, answered

PAIRS = [
    PromptPair(prompt=f"w{index} w3", counterfactual="w30 w3", answers=(f" w{index + 9}",), distractors=(" w2",))
    for index in range(6)
]


def test_ranks_and_distractors_are_read_off_the_logits(tiny: ResidualModel) -> None:
    got = answered(tiny, PAIRS)
    for pair, row in zip(PAIRS, got, strict=True):
        logits = tiny.forward(tiny.tokens([pair.prompt])).logits[0]
        right, wrong = (logits[int(text.strip()[1:])] for text in (pair.answers[0], pair.distractors[0]))
        assert row == Answered(int((logits >= right).sum()), bool(right > wrong))


@pytest.mark.parametrize(
    ("row", "rank", "known"),
    [(Answered(1, True), 1, True), (Answered(10, True), 10, True), (Answered(11, True), 10, False)],
)
def test_the_rule(row: Answered, rank: int, known: bool) -> None:
    assert row.known(rank) is known
    assert Answered(row.rank, False).known(rank) is False


def test_without_distractors_only_the_rank_counts(tiny: ResidualModel) -> None:
    bare = [pair.model_copy(update={"distractors": ()}) for pair in PAIRS]
    got = answered(tiny, bare)
    assert all(row.ahead for row in got)
    assert [row.rank for row in got] == [row.rank for row in answered(tiny, PAIRS)]


@pytest.mark.real_weights
def test_answers_are_kept_by_model_and_prompts(smollm2: ResidualModel, own_home: Path) -> None:
    france = PromptPair(
        prompt="The official language of France is",
        counterfactual="The official language of Japan is",
        answers=(" French",),
        distractors=(" Japanese",),
    )
    asked: list[str] = []

    def report(stage: str, done: float, total: float | None) -> None:
        asked.append(stage)

    first = answered(smollm2, [france], report=report)
    assert first[0].known(10)
    assert asked
    (record,) = (own_home / "known").iterdir()
    asked.clear()
    assert answered(smollm2, [france], report=report) == first
    assert not asked
    other = france.model_copy(update={"answers": (" Japanese",), "distractors": (" French",)})
    assert answered(smollm2, [other], report=report)[0].ahead is False
    assert len(list((own_home / "known").iterdir())) == 2
    record.write_text(json.dumps([["broken"]]))
    assert answered(smollm2, [france]) == first


def test_a_model_without_a_hash_is_asked_every_time(tiny: ResidualModel, own_home: Path) -> None:
    assert answered(tiny, PAIRS) == answered(tiny, PAIRS)
    assert not own_home.exists()
