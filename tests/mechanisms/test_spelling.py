"""An answer in either case, and whether a model ends it as it began."""

from __future__ import annotations

import pytest
import torch
from tiny import WORDS, make_tiny

from wheatstone import PromptPair, ResidualModel
from wheatstone.mechanisms import begun_otherwise, continued, hallucination, in_any_case


@pytest.fixture(scope="module")
def model() -> ResidualModel:
    return make_tiny("llama", torch.float32)


def asked(answer: str) -> PromptPair:
    return PromptPair(prompt="w4 w2", counterfactual="w5 w2", answers=(answer,), distractors=(" w39",))


def test_what_is_written_is_the_top_token_each_time(model: ResidualModel) -> None:
    (written,) = continued(model, ["w4 w2"], 3)
    text = "w4 w2"
    for token in written:
        assert token == int(model.forward(model.tokens([text])).logits[0].argmax())
        text += f" {WORDS[token]}"


def test_an_answer_that_is_begun_and_not_ended(model: ResidualModel) -> None:
    one, two, three = (WORDS[token] for token in continued(model, ["w4 w2"], 3)[0])
    written = {WORDS[token] for token in continued(model, ["w4 w2"], 8)[0]}
    other = next(word for word in WORDS[1:] if word not in written)
    pairs = [asked(f" {one} {other}"), asked(f" {one} {two}"), asked(f" {other} {two}"), asked(f" {one}")]
    (begun,) = begun_otherwise(model, pairs)
    assert begun.answer == f" {one} {other}"
    assert begun.written.split()[:3] == [one, two, three]


def test_a_spelling_that_the_tokenizer_does_not_have_is_none(model: ResidualModel) -> None:
    assert in_any_case(model, asked(" w7")).answers == (" w7",)  # W7 would be the token of all unknown words


@pytest.mark.real_weights
def test_ringgit_is_one_answer_in_either_case_and_rupiah_is_not(smollm2: ResidualModel) -> None:
    """The standing example: asked for Malaysia's currency, the model begins and ends as Indonesia's."""
    template, facts = "The official currency of {} is called the", {"Malaysia": " ringgit", "Japan": " yen"}
    pairs = [
        PromptPair(
            prompt=template.format(mine),
            counterfactual=template.format(other),
            answers=(facts[mine],),
            distractors=(facts[other],),
            spans={"subject": (25, 25 + len(mine))},
        )
        for mine, other in (("Malaysia", "Japan"), ("Japan", "Malaysia"))
    ]
    assert in_any_case(smollm2, pairs[0]).answers == (" ringgit", " Ringgit")
    found = hallucination(smollm2, pairs, heads=1, draws=1)
    (fact,) = found.facts
    assert (fact.subject, fact.answer, fact.right, fact.wrong) == ("Malaysia", "ringgit", " Ring", " R")
    assert fact.written.strip().startswith("Rupiah")
    assert found.known == 1
