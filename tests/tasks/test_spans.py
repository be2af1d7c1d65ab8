from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from wheatstone import Circuit, Edge, PromptError, PromptPair, RequestError, ResidualModel
from wheatstone.circuits import ModelInfo
from wheatstone.tasks import encode


def pair(**spans: tuple[int, int]) -> PromptPair:
    return PromptPair(prompt="w1 w22 w3 w4", counterfactual="w1 w33 w3 w4", answers=(" w5",), spans=spans)


def test_a_span_holds_every_token_it_shares_a_character_with(tiny: ResidualModel) -> None:
    """Characters: w1 at 0-2, w22 at 3-6, w3 at 7-9, w4 at 10-12."""
    got = encode(tiny, [pair(whole=(0, 12), second=(3, 6), inside=(4, 5), two=(5, 8), space=(2, 4))])
    places = {name: rows[0].tolist() for name, rows in got.spans.items()}
    assert places == {
        "last": [3, 4],
        "subject": [1, 2],
        "whole": [0, 4],
        "second": [1, 2],
        "inside": [1, 2],
        "two": [1, 3],
        "space": [1, 2],
    }


def test_a_named_subject_is_taken_at_its_word(tiny: ResidualModel) -> None:
    got = encode(tiny, [pair(subject=(0, 6)), pair()])
    assert got.span("subject").tolist() == [[0, 2], [1, 2]]
    assert got.subject_last.tolist() == [1, 1]


def test_a_span_that_a_prompt_lacks_is_refused_with_those_that_all_have(tiny: ResidualModel) -> None:
    got = encode(tiny, [pair(relation=(7, 9)), pair()])
    assert got.spans["relation"].tolist() == [[2, 3], [-1, -1]]
    with pytest.raises(RequestError, match="out of last, subject; got 'relation'"):
        got.span("relation")


def test_a_span_without_a_token_is_refused(tiny: ResidualModel) -> None:
    with pytest.raises(PromptError, match=r"a span 'gap' that holds a token; got characters 6 to 7"):
        encode(tiny, [pair(gap=(6, 7))])


@pytest.mark.parametrize("spans", [{"a": (3, 3)}, {"a": (-1, 2)}, {"a": (3, 13)}, {"last": (10, 12)}])
def test_spans_outside_the_prompt_or_named_last_are_refused(spans: dict[str, tuple[int, int]]) -> None:
    with pytest.raises(ValidationError, match="span"):
        pair(**spans)


def test_swapping_moves_spans_past_the_difference() -> None:
    there = PromptPair(
        prompt="The ox is a",
        counterfactual="The oriole is a",
        answers=(" beast",),
        distractors=(" bird",),
        spans={"article": (0, 3), "subject": (4, 6), "verb": (7, 9), "half": (5, 6)},
    )
    back = there.swapped()
    assert back is not None
    assert back.spans == {"article": (0, 3), "subject": (4, 10), "verb": (11, 13), "half": (5, 10)}
    assert {name: back.prompt[a:b] for name, (a, b) in back.spans.items()}["subject"] == "oriole"


@given(st.sampled_from(["a", "bb", "cac", "caac"]), st.sampled_from(["a", "ba", "cbc", "dd"]))
def test_swapping_twice_gives_the_span_around_the_difference_back(ours: str, theirs: str) -> None:
    spans = {"subject": (4, 4 + len(ours)), "rest": (4 + len(ours), 7 + len(ours))}
    there = PromptPair(
        prompt=f"The {ours} is", counterfactual=f"The {theirs} is", answers=("x",), distractors=("y",), spans=spans
    )
    back = there.swapped()
    assert back is not None
    assert back.prompt[slice(*back.spans["subject"])] == theirs
    assert back.swapped() == there


def test_pairs_with_spans_go_through_circuit_json_and_pairs_without_leave_it_as_it_was(
    tiny: ResidualModel, tmp_path: Path
) -> None:
    examples = (pair(relation=(7, 9)), pair())
    circuit = Circuit(ModelInfo.of(tiny), (Edge("input", "logits"),), examples=examples)
    circuit.save(tmp_path / "circuit.json")
    assert Circuit.load(tmp_path / "circuit.json") == circuit
    first, second = json.loads((tmp_path / "circuit.json").read_text())["task"]["examples"]
    assert first["spans"] == {"relation": [7, 9]}
    assert "spans" not in second
    assert len({*examples, pair()}) == 2


@pytest.mark.real_weights
def test_real_spans(smollm2: ResidualModel) -> None:
    text = "The official language of Côte d'Ivoire is"
    ivory = PromptPair(
        prompt=text,
        counterfactual="The official language of Burkina Faso is",
        answers=(" French",),
        spans={"subject": (25, 38), "relation": (4, 24)},
    )
    france = PromptPair(
        prompt="The official language of France is",
        counterfactual="The official language of Japan is",
        answers=(" French",),
        spans={"subject": (25, 31), "relation": (4, 24)},
    )
    got = encode(smollm2, [france])
    assert {name: rows[0].tolist() for name, rows in got.spans.items()} == {
        "last": [5, 6],
        "relation": [1, 4],
        "subject": [4, 5],
    }
    assert text[25:38] == "Côte d'Ivoire"
    tokens = smollm2.decode(smollm2.encode(text))
    assert "".join(tokens[4:-1]).strip() == "Côte d'Ivoire"
    longer = ivory.model_copy(update={"counterfactual": text.replace("language", "currency")})
    assert encode(smollm2, [longer]).span("subject")[0].tolist() == [4, len(tokens) - 1]
