"""Several counterfactuals of one prompt, and means over them."""

from __future__ import annotations

import numpy as np
import torch
from tiny import make_tiny

from wheatstone import PromptPair
from wheatstone.tasks import counterfactuals_among, mean_by_prompt, several_counterfactuals


def pair(prompt: str, counterfactual: str, answer: str, distractor: str = " w9") -> PromptPair:
    return PromptPair(prompt=prompt, counterfactual=counterfactual, answers=(answer,), distractors=(distractor,))


PAIRS = [
    pair("w0 w1 w3", "w0 w2 w3", " w5"),
    pair("w0 w2 w3", "w0 w1 w3", " w6"),
    pair("w0 w4 w3", "w0 w1 w3", " w7"),
    pair("w0 w8 w3", "w0 w1 w3", " w5"),  # answers as the first does
    pair("w0 w4 w4 w3", "w0 w1 w1 w3", " w8"),  # a longer subject
    pair("w1 w4 w3", "w1 w2 w3", " w8"),  # another template
]


def test_others_of_the_same_template_length_and_another_answer_are_added() -> None:
    model = make_tiny("llama", torch.float32)
    found = several_counterfactuals(model, PAIRS, most=9)
    of = {
        prompt: [pair.counterfactual for pair in found if pair.prompt == prompt] for prompt in {p.prompt for p in found}
    }
    assert of["w0 w1 w3"] == ["w0 w2 w3", "w0 w4 w3"]
    assert set(of["w0 w2 w3"]) == {"w0 w1 w3", "w0 w4 w3", "w0 w8 w3"}
    assert of["w0 w8 w3"][0] == "w0 w1 w3"  # its own stays, though its answer is the same
    assert of["w0 w4 w4 w3"] == ["w0 w1 w1 w3"]
    assert of["w1 w4 w3"] == ["w1 w2 w3"]
    other = next(pair for pair in found if (pair.prompt, pair.counterfactual) == ("w0 w1 w3", "w0 w4 w3"))
    assert (other.answers, other.distractors) == ((" w5",), (" w7",))
    assert [pair for pair in found if pair in PAIRS] == PAIRS


def test_no_more_than_asked_and_a_seed_gives_the_same() -> None:
    model = make_tiny("llama", torch.float32)
    assert several_counterfactuals(model, PAIRS, most=1) == PAIRS
    two = several_counterfactuals(model, PAIRS, most=2, seed=3)
    assert two == several_counterfactuals(model, PAIRS, most=2, seed=3)
    assert max(sum(pair.prompt == first.prompt for pair in two) for first in PAIRS) == 2


def test_means_over_the_pairs_of_a_prompt() -> None:
    pairs = [PAIRS[0], PAIRS[1], PAIRS[0], PAIRS[2]]
    found = mean_by_prompt(pairs, np.array([[1.0, 5.0, 3.0, 7.0], [0.0, 1.0, 0.0, 1.0]]))
    assert found.tolist() == [[2.0, 5.0, 7.0], [0.0, 1.0, 1.0]]


def test_a_prompt_of_ones_own_is_paired_with_those_of_a_task() -> None:
    model = make_tiny("llama", torch.float32)
    found = counterfactuals_among(model, "w0 w9 w3", [" w6"], PAIRS)
    assert [one.counterfactual for one in found] == ["w0 w1 w3", "w0 w4 w3", "w0 w8 w3"]  # w2 answers the same
    assert {(one.prompt, one.answers) for one in found} == {("w0 w9 w3", (" w6",))}
    assert [one.distractors for one in found] == [(" w5",), (" w7",), (" w5",)]
    assert counterfactuals_among(model, "w5 w9 w3", [" w6"], PAIRS) == []
    assert [one.counterfactual for one in counterfactuals_among(model, "w0 w1 w3", [" w9"], PAIRS)] == [
        "w0 w2 w3",
        "w0 w4 w3",
        "w0 w8 w3",
    ]  # not itself
