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
from wheatstone.circuits import Circuit, ModelInfo, PositionMeans
from wheatstone.compression import circuit_bits
from wheatstone.models import ResidualModel, Tokens
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
    nodes = llama.forward(llama.tokens([TEXT]), cache=True).nodes
    assert nodes is not None
    # The first token carries its own; after it, everything ablated is the same everywhere, and so is the prediction.
    streams = torch.stack([llama.after_layers(nodes[:, :, 0])[-1], llama.after_layers(nodes[:, :, 1:].mean(2))[-1]])
    log_p = llama.unembed(streams[:, 0]).log_softmax(-1) / torch.log(torch.tensor(2.0))
    expected = [-float(log_p[min(at, 1), token]) for at, token in enumerate((2, 3, 1, 2))]
    assert found.ablated == rounding(llama).near(expected)


def test_a_sink_at_the_first_token_is_in_no_mean() -> None:
    """A node that writes a thousand times as much at the first token changes nothing that the other tokens carry."""
    means = []
    for size in (1.0, 1000.0):
        written = torch.arange(2 * 3 * 2, dtype=torch.float32).view(1, 2, 3, 2).clone()
        written[:, :, 0] *= size
        means.append(PositionMeans.of(written, Tokens.of([[1, 2, 3], [4, 5]])))
    # Later tokens: (2, 3) and (4, 5) of the first text, (8, 9) of the second, which has no third token.
    assert torch.equal(means[0].later, torch.tensor([[14 / 3, 17 / 3]]))
    assert torch.equal(means[0].later, means[1].later)
    assert means[1].first.tolist() == [[3000.0, 4000.0]]
    assert means[1].at(4)[0].tolist() == [[3000.0, 4000.0], *means[0].later.tolist() * 3]
    alone = PositionMeans.of(torch.ones(1, 1, 1, 2), Tokens.of([[1]]))
    assert torch.equal(alone.later, alone.first)


def test_control_circuits_are_the_wiring_between_other_heads(llama: ResidualModel) -> None:
    keep = torch.from_numpy(llama.graph.valid).clone()
    keep[:, 1:] = False  # what reads the input, of all edges
    chosen = torch.zeros_like(keep)
    chosen[llama.graph.attention_channels(1).start] = keep[llama.graph.attention_channels(1).start]
    circuit = Circuit.of_mask(ModelInfo.of(llama), chosen, ablation="counterfactual", metric="logit_diff")
    found = circuit_bits(llama, circuit, TEXT, counterfactual=OTHER, controls=40)
    # The query of the layer's first head reads the input; of its four heads each is drawn alike often.
    assert 0.05 < found.shared < 0.5
    channels = llama.graph.attention_channels(1)
    each = []
    for head in range(4):
        mask = torch.zeros_like(keep)
        mask[channels.start + head, 0] = True
        other = Circuit.of_mask(ModelInfo.of(llama), mask, ablation="counterfactual", metric="logit_diff")
        each.append(circuit_bits(llama, other, TEXT, counterfactual=OTHER, controls=0).ablated)
    assert {tuple(round(bits, 3) for bits in costs) for costs in found.control} == {
        tuple(round(bits, 3) for bits in costs) for costs in each
    }
    assert f"{found.shared:.0%} of their edges are the circuit's" in found.compared
    assert found.to_dict()["control"] == {"worth": list(found.control_worth), "shared": found.shared}


def test_a_circuit_without_heads_has_no_control(llama: ResidualModel) -> None:
    mask = torch.zeros_like(torch.from_numpy(llama.graph.valid))
    mask[llama.graph.logits_channel, 0] = True
    circuit = Circuit.of_mask(ModelInfo.of(llama), mask, ablation="counterfactual", metric="logit_diff")
    assert "No control circuit differs" in circuit_bits(llama, circuit, TEXT, counterfactual=OTHER).compared


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
