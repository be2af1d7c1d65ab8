from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from wheatstone import ResidualModel
from wheatstone.tasks._counterfactuals import Fact, with_counterfactuals


def fact(subject: str, *answers: str, template: str = "w0 {subject} w3") -> Fact:
    return Fact(subject, template, tuple(f" {answer}" for answer in answers), where=subject)


def test_a_counterfactual_is_another_fact_of_the_same_length_with_another_answer(tiny: ResidualModel) -> None:
    facts = [fact("w5", "w20"), fact("w6", "w21"), fact("w7 w8", "w22"), fact("w9 w10", "w22"), fact("w11", "w21")]
    pairs, alone = with_counterfactuals(tiny, facts, Random(0))
    made = {each.subject: pair for each, pair in pairs}
    assert made["w6"].counterfactual == made["w11"].counterfactual == "w0 w5 w3"
    assert made["w5"].counterfactual in ("w0 w6 w3", "w0 w11 w3")
    assert made["w5"].distractors == (" w21",)
    assert [each.subject for each in alone] == ["w7 w8", "w9 w10"]
    assert made["w5"].spans == {"subject": (3, 5), "relation": (0, 2)}


def test_an_alias_s_first_token_rules_a_counterfactual_out(tiny: ResidualModel) -> None:
    facts = [fact("w5", "w20", "w21 w1"), fact("w6", "w21"), fact("w7", "w22")]
    pairs, _ = with_counterfactuals(tiny, facts, Random(0))
    assert {each.subject: pair.counterfactual for each, pair in pairs}["w6"] == "w0 w7 w3"


@pytest.mark.parametrize("seed", range(3))
def test_every_fact_serves_about_equally_often(tiny: ResidualModel, seed: int) -> None:
    facts = [fact(f"w{index}", f"w{index + 15}") for index in range(12)]
    pairs, alone = with_counterfactuals(tiny, facts, Random(seed))
    served = Counter(pair.counterfactual for _, pair in pairs)
    assert not alone
    assert set(served.values()) <= {1, 2}
    assert len(served) >= 11
    again, _ = with_counterfactuals(tiny, facts, Random(seed))
    assert again == pairs


def test_what_the_demonstrations_show_is_no_counterfactual(tiny: ResidualModel) -> None:
    shown = Fact("w5", "w0 {subject} w3", (" w20",), "w5", context="w0 w6 w3 w21 ")
    pairs, _ = with_counterfactuals(tiny, [shown, fact("w6", "w21"), fact("w7", "w22")], Random(0))
    pair = pairs[0][1]
    assert pair.prompt == "w0 w6 w3 w21 w0 w5 w3"
    assert pair.counterfactual == "w0 w6 w3 w21 w0 w7 w3"
    assert {name: pair.prompt[a:b] for name, (a, b) in pair.spans.items()} == {
        "demonstration": "w0 w6 w3 w21",
        "subject": "w5",
        "relation": "w0",
    }


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("The capital of {subject} is", "The capital of"),
        ("{subject} has the capital", "has the capital"),
        ("In {subject}, people speak", ", people speak"),
    ],
)
def test_the_relation_is_the_longer_part_beside_the_subject(template: str, words: str) -> None:
    asked = fact("France", "Paris", template=template)
    first, last = asked.spans["relation"]
    assert asked.prompt[first:last] == words
