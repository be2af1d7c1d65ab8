"""The screen and the patched neurons against interventions, node attribution and slopes."""

from __future__ import annotations

import pytest
import torch
from tiny import explainable_pairs, make_tiny
from tolerance import rounding

from wheatstone import PromptPair, RequestError, ResidualModel
from wheatstone.circuits import Experiment
from wheatstone.discovery import node_scores
from wheatstone.models import Neuron, Replace
from wheatstone.neurons import Patching, mlp_recovery, neuron_effects, screen_neurons


@pytest.mark.parametrize("direction", ["denoising", "noising"])
def test_an_effect_is_the_intervention_s(tiny_experiment: Experiment, direction: str) -> None:
    patching, model = Patching(tiny_experiment, direction), tiny_experiment.model
    other = model.neurons(patching.others).activations
    neurons = [Neuron(0, 3), Neuron(2, 20), Neuron(1, 7)]
    got = neuron_effects(patching, neurons)
    got_last = neuron_effects(patching, neurons, position=-1)
    before = tiny_experiment.values_of(model.forward(patching.tokens).logits)
    for neuron, everywhere, last in zip(neurons, got, got_last, strict=True):
        value = other[neuron.layer][..., neuron.index]
        for positions, effect in ((None, everywhere), ((-1,), last)):
            replaced = Replace(at=str(neuron), value=value, positions=positions)
            after = tiny_experiment.values_of(model.forward_with(patching.tokens, [replaced]).logits)
            rounding(model).check(effect, patching.sign * (after - before))


@pytest.mark.parametrize("direction", ["denoising", "noising"])
def test_a_layer_s_estimates_add_up_to_its_mlp_s(tiny_experiment: Experiment, direction: str) -> None:
    screen = screen_neurons(Patching(tiny_experiment, direction), top=0)
    assert screen.sizes == (24, 24, 24)
    nodes = node_scores(tiny_experiment, direction=direction, positions=True)
    assert nodes.positions is not None
    for layer in range(3):
        node = tiny_experiment.graph.mlp_nodes(layer).start
        mine = slice(24 * layer, 24 * (layer + 1))
        rounding(tiny_experiment.model, passes=3).check(screen.estimates[mine].sum(0), nodes.values[node])
        # Prompts of 4, 6 and 2 tokens: the last position is theirs in common, the third from the end not.
        assert float(screen.by_position[mine, -1].sum()) == pytest.approx(
            float(sum(nodes.positions[node, prompt, at] for prompt, at in ((0, 3), (1, 5), (2, 1))) / 3)
        )
        assert float(screen.by_position[mine, -3].sum()) == pytest.approx(
            float(sum(nodes.positions[node, prompt, at] for prompt, at in ((0, 1), (1, 3))) / 3)
        )
    torch.testing.assert_close(screen.by_position.sum(-1), screen.estimates.mean(-1))


def test_the_strongest_are_confirmed_and_told_as_shares(tiny_experiment: Experiment) -> None:
    patching = Patching(tiny_experiment)
    screen = screen_neurons(patching, top=10)
    strongest = screen.shares.abs().argsort(descending=True)[:10].tolist()
    assert {row.neuron for row in screen.confirmed} == {screen.neurons[at] for at in strongest}
    exact = [row.exact for row in screen.confirmed]
    assert exact == sorted(exact, key=abs, reverse=True)
    gap = float(tiny_experiment.clean.mean() - tiny_experiment.corrupt.mean())
    for row in screen.confirmed:
        effects = neuron_effects(patching, [row.neuron])[0]
        assert row.exact == pytest.approx(float(effects.mean()) / gap)
        assert row.effects == pytest.approx(effects.tolist())
        assert row.estimate == pytest.approx(float(screen.shares[24 * row.neuron.layer + row.neuron.index]))
        assert row.share_of_mlp is None or row.share_of_mlp * screen.mlps[row.neuron.layer] == pytest.approx(row.exact)
    assert -1 <= screen.rank_correlation <= 1


def test_activations_told_are_those_at_the_last_position(tiny_experiment: Experiment) -> None:
    for direction in ("denoising", "noising"):  # clean and corrupt do not depend on it
        row = screen_neurons(Patching(tiny_experiment, direction), top=1).confirmed[0]
        for tokens, told in (
            (tiny_experiment.encoded.clean, row.clean),
            (tiny_experiment.encoded.counterfactual, row.corrupt),
        ):
            found = tiny_experiment.model.neurons(tokens).activations[row.neuron.layer][..., row.neuron.index]
            ends = [found[prompt, end - 1] for prompt, end in enumerate(tokens.lengths.tolist())]
            assert told == pytest.approx(float(torch.stack(ends).mean()))


def test_whole_mlps_are_as_patched_nodes(tiny_experiment: Experiment) -> None:
    exact = node_scores(tiny_experiment, method="exact", direction="denoising").values
    gap = float(tiny_experiment.clean.mean() - tiny_experiment.corrupt.mean())
    for layer, recovery in enumerate(mlp_recovery(Patching(tiny_experiment))):
        node = tiny_experiment.graph.mlp_nodes(layer).start
        assert recovery == pytest.approx(float(exact[node].mean()) / gap)


def test_what_cannot_be_asked() -> None:
    model = make_tiny("llama", torch.float32)
    pairs = explainable_pairs(model, [("w1 w2 w3 w4", "w1 w9 w3 w4")])
    with pytest.raises(RequestError, match="denoising or noising"):
        Patching(Experiment(model, pairs), "both")
    with pytest.raises(RequestError, match="counterfactual ablation"):
        Patching(Experiment(model, pairs, ablation="zero"))
    with pytest.raises(RequestError, match="0 or more"):
        screen_neurons(Patching(Experiment(model, pairs)), top=-1)


@pytest.mark.real_weights
def test_smollm2_s_an_neuron(smollm2: ResidualModel) -> None:
    tree = "I climbed up the pear tree and picked a pear. I climbed up the {} tree and picked"
    pair = PromptPair(
        prompt=tree.format("apple"),
        counterfactual=tree.format("lemon"),
        answers=(" an",),
        distractors=(" a",),
    )
    screen = screen_neurons(Patching(Experiment(smollm2, [pair])), top=12)
    assert len(screen.neurons) == 46_080
    best = screen.confirmed[0]
    assert str(best.neuron) == "m25.n1527"
    assert best.exact == pytest.approx(0.613, abs=0.01)
    assert best.exact_last == pytest.approx(best.exact, abs=0.01)
    assert best.share_of_mlp == pytest.approx(0.94, abs=0.02)
    assert screen.rank_correlation > 0.9
