"""Ranks and Hit@k, by hand."""

from __future__ import annotations

import torch

from wheatstone import PromptPair, ResidualModel
from wheatstone.tasks import answer_ranks, encode, hits


def test_ranks_and_hits_by_hand(tiny: ResidualModel) -> None:
    encoded = encode(
        tiny,
        [
            PromptPair(prompt="w1", counterfactual="w2", answers=(" w3",), distractors=(" w2",)),
            PromptPair(prompt="w3", counterfactual="w4", answers=(" w2", " w0"), distractors=(" w1",)),
        ],
    )
    logits = torch.tensor([[4.0, 3.0, 2.0, 1.0, 0.0], [1.0, 5.0, 3.0, 4.0, 2.0]])
    assert answer_ranks(logits, encoded).tolist() == [4, 3]  # the better of two answers counts
    assert hits(logits, encoded, 3).tolist() == [0.0, 1.0]
    many = torch.stack([logits, logits.flip(-1)])
    assert answer_ranks(many, encoded).tolist() == [[4, 3], [2, 3]]


def test_ties_count_against_the_answer(tiny: ResidualModel) -> None:
    encoded = encode(tiny, [PromptPair(prompt="w1", counterfactual="w2", answers=(" w1",), distractors=(" w2",))])
    logits = torch.tensor([[0.0, 7.0, 7.0, 7.0, 1.0]])
    assert answer_ranks(logits, encoded).tolist() == [3]
    assert [hits(logits, encoded, k).item() for k in (1, 2, 3)] == [0, 0, 1]
    assert answer_ranks(torch.zeros(1, 40), encoded).tolist() == [40]  # a constant answers nothing


def test_an_answer_without_a_number_is_no_hit(tiny: ResidualModel) -> None:
    """As where a circuit overflows in half precision."""
    encoded = encode(tiny, [PromptPair(prompt="w1", counterfactual="w2", answers=(" w1",), distractors=(" w2",))])
    for logits in ([1.0, torch.nan, 2.0, 0.0], [torch.nan] * 4):
        assert answer_ranks(torch.tensor([logits]), encoded).tolist() == [4]
        assert hits(torch.tensor([logits]), encoded, 3).tolist() == [0]
    assert answer_ranks(torch.tensor([[0.0, 2.0, torch.nan, 1.0]]), encoded).tolist() == [2]
