"""What a circuit is worth: nothing where it has no edges, everything where it has all, and the same as run by hand."""

from __future__ import annotations

from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import pytest
import torch
from tiny import make_tiny
from tolerance import rounding

import wheatstone as ws
from wheatstone.circuits import Circuit, ModelInfo
from wheatstone.compression import circuit_bits
from wheatstone.models import ResidualModel
from wheatstone.tasks import PromptPair

EXAMPLES = Path(str(files("wheatstone.studio"))) / "examples"
TEXT, OTHER = "w1 w2 w3 w1 w2", "w9 w2 w8 w9 w2"


@pytest.fixture(scope="module")
def llama() -> ResidualModel:
    return make_tiny("llama", torch.float32)


def bits_by_hand(model: ResidualModel, seen: str, said: str) -> list[float]:
    """Of the tokens of one text where the model sees another."""
    log_p = model.module(model.tokens([seen]).ids).logits[0].log_softmax(-1)
    ids = model.tokens([said]).ids[0, 1:]
    return (-log_p[torch.arange(len(ids)), ids] / torch.log(torch.tensor(2.0))).tolist()


def circuit_of(model: ResidualModel, *, every: bool) -> Circuit:
    valid = torch.from_numpy(model.graph.valid)
    return Circuit.of_mask(
        ModelInfo.of(model), valid if every else torch.zeros_like(valid), ablation="counterfactual", metric="logit_diff"
    )


def test_no_edges_are_worth_nothing(llama: ResidualModel) -> None:
    found = circuit_bits(llama, circuit_of(llama, every=False), TEXT, counterfactual=OTHER)
    assert found.intact == rounding(llama).near(bits_by_hand(llama, TEXT, TEXT))
    assert found.worth == rounding(llama).near([0] * 4)
    assert found.alone == rounding(llama).near(bits_by_hand(llama, OTHER, TEXT))


def test_all_edges_are_worth_what_the_counterfactual_lacks(llama: ResidualModel) -> None:
    found = circuit_bits(llama, circuit_of(llama, every=True), TEXT, counterfactual=OTHER)
    assert found.alone == rounding(llama).near(found.intact)
    assert found.ablated == rounding(llama).near(bits_by_hand(llama, OTHER, TEXT))
    assert found.to_dict()["worth"] == pytest.approx(sum(found.ablated) - sum(found.intact))


def test_a_text_that_goes_on_from_the_circuit_s_prompt_has_its_counterfactual(llama: ResidualModel) -> None:
    pair = PromptPair(prompt="w1 w2 w3", counterfactual="w9 w2 w8", answers=(" w1",))
    circuit = replace(circuit_of(llama, every=True), examples=(pair,))
    found = circuit_bits(llama, circuit, "w1 w2 w3 w1 w2")
    assert found.ablation == "counterfactual"
    assert found == circuit_bits(llama, circuit, TEXT, counterfactual="w9 w2 w8 w1 w2")


def test_without_a_counterfactual_edges_carry_the_mean_of_the_text(llama: ResidualModel) -> None:
    found = circuit_bits(llama, circuit_of(llama, every=True), TEXT)
    assert found.ablation == "mean"
    # Everything ablated is one and the same at every position: so is what the model foresees.
    nodes = llama.forward(llama.tokens([TEXT]), cache=True).nodes
    assert nodes is not None
    stream = llama.after_layers(nodes.mean(2))[-1]
    log_p = llama.unembed(stream)[0].log_softmax(-1)
    expected = [-float(log_p[token]) / float(torch.log(torch.tensor(2.0))) for token in (2, 3, 1, 2)]
    assert found.ablated == rounding(llama).near(expected)


def test_texts_of_different_lengths_are_refused(llama: ResidualModel) -> None:
    with pytest.raises(ws.WheatstoneError, match="of as many tokens as the text, 5"):
        circuit_bits(llama, circuit_of(llama, every=True), TEXT, counterfactual="w1 w2")
    with pytest.raises(ws.WheatstoneError, match="a text of 2 to 32 tokens"):
        circuit_bits(llama, circuit_of(llama, every=True), "w1")


@pytest.mark.real_weights
def test_what_a_fact_s_circuit_is_worth_is_its_answer(smollm2: ResidualModel) -> None:
    circuit = Circuit.load(EXAMPLES / "a-fact" / "circuit.json")
    found = circuit_bits(smollm2, circuit, "The official language of France is French.")
    assert found.ablation == "counterfactual"
    assert found.tokens[-2] == " French"
    assert found.worth[-2] == max(found.worth) > 5
    assert max(abs(bits) for bits in found.worth[:-2]) < 0.5
