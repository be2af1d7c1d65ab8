from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError

from wheatstone import PromptError, PromptPair, ResidualModel
from wheatstone.tasks import encode


def pair(
    prompt: str = "w1 w2 w3",
    counterfactual: str = "w1 w4 w3",
    answers: tuple[str, ...] = (" w5",),
    distractors: tuple[str, ...] = (" w6",),
) -> PromptPair:
    return PromptPair(prompt=prompt, counterfactual=counterfactual, answers=answers, distractors=distractors)


def test_pairs_become_aligned_padded_tokens(tiny: ResidualModel) -> None:
    got = encode(tiny, [pair(), pair("w1 w2", "w7 w2", answers=(" w5", " w8"), distractors=())])
    assert got.clean.ids.tolist() == [[1, 2, 3], [1, 2, 0]]
    assert got.counterfactual.ids.tolist() == [[1, 4, 3], [7, 2, 0]]
    assert got.answers.tolist() == [[5, -1], [5, 8]]
    assert got.distractors.tolist() == [[6], [-1]]
    assert got.last.tolist() == [2, 1]
    assert got.subject_last.tolist() == [1, 0]
    assert got.notes == ()


def test_only_the_first_token_of_a_longer_answer_is_scored_and_that_is_noted(tiny: ResidualModel) -> None:
    got = encode(tiny, [pair(answers=(" w5 w7",))])
    assert got.answers.tolist() == [[5]]
    assert len(got.notes) == 1
    assert "2 tokens; only the first" in got.notes[0]


def test_different_lengths_are_refused_with_both_tokenisations(tiny: ResidualModel) -> None:
    with pytest.raises(PromptError) as error:
        encode(tiny, [pair(counterfactual="w1 w4")])
    assert "['w1', 'w2', 'w3']" in error.value.got
    assert "['w1', 'w4']" in error.value.got


def test_an_answer_and_a_distractor_of_one_first_token_are_refused(tiny: ResidualModel) -> None:
    with pytest.raises(PromptError, match="both begin with 'w6'"):
        encode(tiny, [pair(answers=(" w5", " w6 w7"), distractors=(" w6 w8",))])


def test_a_prompt_longer_than_the_context_is_refused(tiny: ResidualModel) -> None:
    long = " ".join(["w1"] * (tiny.context + 1))
    with pytest.raises(PromptError, match=f"at most {tiny.context} tokens.*got {tiny.context + 1} tokens"):
        encode(tiny, [pair(prompt=long, counterfactual=long)])


def test_no_pairs_are_refused(tiny: ResidualModel) -> None:
    with pytest.raises(PromptError, match="at least one prompt pair"):
        encode(tiny, [])


@pytest.mark.parametrize("missing", ["prompt", "counterfactual", "answers"])
def test_a_record_lacking_a_part_is_refused(missing: str) -> None:
    whole = {"prompt": "w1", "counterfactual": "w2", "answers": (" w3",)}
    with pytest.raises(ValidationError):
        PromptPair.model_validate({**whole, missing: () if missing == "answers" else ""})


def test_a_pair_swapped_twice_is_itself() -> None:
    there = pair().swapped()
    assert there is not None
    assert there.swapped() == pair()
    assert pair(distractors=()).swapped() is None


@pytest.mark.real_weights
@pytest.mark.parametrize("role", ["answers", "distractors"])
def test_a_missing_leading_space_is_pointed_out(smollm2: ResidualModel, role: str) -> None:
    about = {"answers": (" French",), "distractors": (" Japanese",), role: ("German",)}
    wrong = PromptPair(
        prompt="The official language of France is",
        counterfactual="The official language of Japan is",
        answers=about["answers"],
        distractors=about["distractors"],
    )
    with pytest.raises(PromptError) as error:
        encode(smollm2, [wrong])
    assert error.value.do == "write it with its leading space: ' German'"
    assert "'German'" in error.value.got


@pytest.mark.real_weights
def test_real_tokens(smollm2: ResidualModel) -> None:
    france = PromptPair(
        prompt="The official language of France is",
        counterfactual="The official language of Japan is",
        answers=(" French",),
        distractors=(" Japanese",),
    )
    got = encode(smollm2, [france])
    assert smollm2.decode(got.clean.ids[0].tolist()) == ["The", " official", " language", " of", " France", " is"]
    assert smollm2.decode(got.answers[0].tolist()) == [" French"]
    assert got.subject_last.tolist() == [4]
    assert torch.equal(got.last, torch.tensor([5]))


@pytest.mark.real_weights
def test_different_real_lengths_are_refused_with_both_tokenisations(smollm2: ResidualModel) -> None:
    longer = PromptPair(prompt="France is", counterfactual="Liechtenstein is", answers=(" a",))
    with pytest.raises(PromptError) as error:
        encode(smollm2, [longer])
    assert str(["France", " is"]) in error.value.got
    assert str(smollm2.decode(smollm2.encode("Liechtenstein is"))) in error.value.got
