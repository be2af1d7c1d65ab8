"""Facts a model gets wrong: where the wrong answer is ahead for good, who writes it, and what a change does."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tiny import WORDS, make_tiny
from tolerance import rounding

from wheatstone import PromptError, PromptPair, ResidualModel
from wheatstone.mechanisms import Hallucination, continued, hallucination
from wheatstone.mechanisms._hallucination import overtakes_at


@pytest.fixture(scope="module")
def model() -> ResidualModel:
    return make_tiny("llama", torch.float32)


@pytest.fixture(scope="module")
def pairs(model: ResidualModel) -> list[PromptPair]:
    """Two facts whose answer is the model's own, and three whose answer is its second choice and never written."""
    found: list[PromptPair] = []
    for at in range(4, 40):
        prompt = f"w{at} w2 w3"
        first, second, third = model.forward(model.tokens([prompt])).logits[0].topk(3).indices.tolist()
        answer, other = (first, second) if len(found) < 2 else (second, third)
        if len(found) == 5 or (len(found) >= 2 and second in continued(model, [prompt], 8)[0]):
            continue
        found.append(
            PromptPair(
                prompt=prompt,
                counterfactual=f"w{at + 10} w2 w3",
                answers=(f" {WORDS[answer]}",),
                distractors=(f" {WORDS[other]}",),
                spans={"subject": (0, len(f"w{at}"))},
            )
        )
    assert len(found) == 5
    return found


@pytest.fixture(scope="module")
def found(model: ResidualModel, pairs: list[PromptPair]) -> Hallucination:
    return hallucination(model, pairs, heads=2, draws=3)


def test_ahead_for_good() -> None:
    assert overtakes_at([False, True, False, True, True]) == 3
    assert overtakes_at([True, True]) == 0
    assert overtakes_at([True, False]) == 2


def test_wrong_is_the_second_choice_of_nothing_but_the_top(found: Hallucination, model: ResidualModel) -> None:
    assert (found.known, len(found.facts)) == (2, 3)
    assert [fact.verdict for fact in found.asked] == ["right"] * 2 + ["wrong"] * 3
    assert not found.held_out  # too few to choose heads on one half
    for fact in found.facts:
        logits = model.forward(model.tokens([fact.prompt])).logits[0]
        top = logits.topk(2)
        assert [fact.wrong, fact.right] == model.decode(top.indices.tolist())
        assert fact.right_rank == 2
        assert fact.difference == rounding(model).near(float(top.values[0] - top.values[1]))
        assert 0 <= fact.overtakes <= 3


def test_heads_and_everything_else_add_up_to_the_difference(
    found: Hallucination, model: ResidualModel, pairs: list[PromptPair]
) -> None:
    tokens = model.tokens([pair.prompt for pair in pairs[2:]])
    nodes = model.forward(tokens, cache=True).nodes
    assert nodes is not None
    stream = model.after_layers(nodes[:, :, -1])[-1]
    scale = (
        stream.square().mean(-1).add(model.module.config.rms_norm_eps).rsqrt()[:, None] * model.module.model.norm.weight
    )
    ids = model.forward(tokens).logits.topk(2, dim=-1).indices
    rows = model.module.lm_head.weight[ids]
    direct = (nodes[:, :, -1] * scale * (rows[:, 0] - rows[:, 1])).sum(-1).mean(1)
    assert {row.head: row.direct for row in found.writers} == rounding(model).near(
        {name: float(direct[place]) for place, name in enumerate(model.graph.nodes) if name[0] == "a"}
    )
    assert [row.direct for row in found.writers] == sorted((row.direct for row in found.writers), reverse=True)


def test_each_change_is_tried_with_chosen_and_random_heads(found: Hallucination) -> None:
    changes = ["right writers look", "right writers doubled", "wrong writers silent"]
    assert [row.change for row in found.mendings] == [change for change in changes for _ in range(2)]
    chosen = found.mendings[::2]
    assert [row.heads for row in chosen[:2]] == [", ".join(found.right_writers)] * 2
    assert chosen[2].heads == ", ".join(row.head for row in found.writers[:2])
    assert [row.draws for row in found.mendings] == [1, 3] * 3
    assert all(0 <= row.mended <= 1 and 0 <= row.known_kept <= 1 for row in found.mendings)


def test_all_right_or_all_wrong_is_refused(model: ResidualModel, pairs: list[PromptPair]) -> None:
    with pytest.raises(PromptError, match="0 wrong and 2 right out of 2"):
        hallucination(model, pairs[:2])
    with pytest.raises(PromptError, match="3 wrong and 0 right out of 3"):
        hallucination(model, pairs[2:])


def test_heads_are_chosen_on_one_half_of_the_facts_and_tried_on_the_other(model: ResidualModel) -> None:
    """Every other wrong fact orders the writers of wrong answers; their numbers and the trials are of the rest."""
    right, wrong = list[PromptPair](), list[PromptPair]()
    for at, after in ((at, after) for after in range(1, 4) for at in range(4, 40)):
        prompt = f"w{at} w{after} w3"
        first, second, third = model.forward(model.tokens([prompt])).logits[0].topk(3).indices.tolist()
        written = continued(model, [prompt], 8)[0]
        about: dict[str, Any] = {
            "prompt": prompt,
            "counterfactual": f"w{at % 9 + 10} w2 w3",
            "spans": {"subject": (0, len(f"w{at}"))},
        }
        if about["counterfactual"] == prompt:
            continue
        if len(right) < 8:
            right.append(PromptPair(answers=(f" {WORDS[first]}",), distractors=(f" {WORDS[second]}",), **about))
        elif len(wrong) < 9 and second not in written:
            wrong.append(PromptPair(answers=(f" {WORDS[second]}",), distractors=(f" {WORDS[third]}",), **about))
    found = hallucination(model, [*right, *wrong], heads=2, draws=1)
    alone, others = (hallucination(model, [*right[::2], *part], heads=2, draws=1) for part in (wrong[::2], wrong[1::2]))
    assert found.held_out
    assert [row.head for row in found.writers] == [row.head for row in alone.writers]
    assert found.right_writers == alone.right_writers
    numbers = {row.head: row.direct for row in others.writers}
    assert {row.head: row.direct for row in found.writers} == pytest.approx(numbers, abs=1e-5)
    assert {(row.n, row.known) for row in found.mendings} == {(4, 4)}
    assert len(found.facts) == 9


def test_a_fact_that_is_begun_and_not_said_is_neither_right_nor_wrong(
    model: ResidualModel, pairs: list[PromptPair]
) -> None:
    top = WORDS[continued(model, [pairs[0].prompt], 1)[0][0]]
    other = next(word for word in WORDS[1:] if f" {word}" not in text_of(model, pairs[0].prompt))
    begun = pairs[0].model_copy(update={"answers": (f" {top} {other}x",), "distractors": (f" {other}",)})
    found = hallucination(model, [begun, *pairs[1:]], heads=2, draws=1)
    assert [fact.verdict for fact in found.asked] == ["begun", "right", "wrong", "wrong", "wrong"]
    assert [row.prompt for row in found.begun] == [begun.prompt]
    assert found.begun[0].written == text_of(model, begun.prompt)


def text_of(model: ResidualModel, prompt: str) -> str:
    return "".join(f" {WORDS[token]}" for token in continued(model, [prompt], 8)[0])
