"""Neurons read, changed and differentiated, in every kind of MLP."""

from __future__ import annotations

import pytest
import torch
from jaxtyping import Float
from tiny_families import tiny_family
from tolerance import rounding
from torch import Tensor

from wheatstone import ModelError, RequestError
from wheatstone.models import Add, Neuron, ResidualModel, Tokens

DENSE = ["llama-biased", "gpt2", "gptj", "opt", "gpt_neox", "gemma2", "olmo2", "granite", "cohere", "phi3"]
TOKENS = [[3, 1, 4, 1, 5], [9, 2]]


def _values(logits: Float[Tensor, "batch vocab"]) -> Float[Tensor, " batch"]:
    return logits[:, 7] - logits[:, 3]


@pytest.mark.parametrize("case", DENSE)
def test_activations_times_weights_are_what_the_mlp_writes(case: str) -> None:
    model = tiny_family(case, torch.float64)
    tokens = Tokens.of(TOKENS)
    found = model.neurons(tokens)
    rounding(model).check(found.logits, model.forward(tokens).logits)
    block, activations = model.blocks[1], found.activations[1]
    written = model.split({1: "neurons"}).forward(tokens, cache=True).nodes
    assert written is not None
    parts = written[model.split({1: "neurons"}).graph.mlp_nodes(1)]
    assert block.neurons == len(parts) == activations.shape[-1]
    expected = activations.movedim(-1, 0)[..., None] * block.neuron_weights[:, None, None]
    if case in ("gemma2", "olmo2"):  # a norm follows: its share of the run is the same for all neurons
        share = parts / expected
        expected = expected * share.nanmean((0, -1), keepdim=True)
    rounding(model).check(parts[:, 0], expected[:, 0])


@pytest.mark.parametrize("case", DENSE)
def test_a_change_written_as_a_patch_is_the_intervention_on_the_neuron(case: str) -> None:
    model = tiny_family(case, torch.float64)
    tokens = Tokens.of(TOKENS)
    plain, found = model.streams(tokens), model.neurons(tokens)
    changes = torch.tensor([[[0.0, 0, 0.7, 0, 0], [0, 0.2, 0, 0, 0]]], dtype=torch.float64)
    written = model.blocks[1].neuron_changes(found.activations[1], [5], changes)
    got = model.patched_logits(plain, [model.graph.node_index["m1"]], written)[0]
    added = Add(at="m1.n5", value=changes[0])
    rounding(model).check(got, model.forward_with(tokens, [added]).logits)


def test_gradients_are_slopes(tiny64: ResidualModel) -> None:
    model, tokens = tiny64, Tokens.of(TOKENS)
    (slopes,) = model.neuron_gradients(tokens, _values, lambda rows, found: found.gradients[1])
    step = torch.zeros(2, 5, dtype=torch.float64)
    step[0, 2] = 1e-6
    up, down = (
        float(_values(model.forward_with(tokens, [Add(at="m1.n5", value=sign * step)]).logits)[0]) for sign in (1, -1)
    )
    assert float(slopes[0, 2, 5]) == rounding(model, passes=3).slope(up, down, 1e-6)
    assert (slopes[1, 2:] == 0).all()  # nothing is read after a prompt's end


def test_prompts_in_pieces_give_the_same(tiny64: ResidualModel) -> None:
    tokens = Tokens.of(TOKENS)
    whole = tiny64.neuron_gradients(tokens, _values, lambda rows, found: found.gradients[0])
    parts = tiny64.neuron_gradients(tokens, _values, lambda rows, found: found.gradients[0], budget=1)
    assert len(parts) == 2
    rounding(tiny64, passes=3).check(torch.cat(parts), whole[0])


def test_a_name_is_read_and_checked(tiny: ResidualModel) -> None:
    assert tiny.neuron("m2.n23") == Neuron(2, 23)
    assert str(Neuron(2, 23)) == "m2.n23"
    assert sorted([Neuron(2, 1), Neuron(1, 5), Neuron(1, 4)])[0] == Neuron(1, 4)
    for name, said in (("m3.n0", "from m0 to m2"), ("m0.n24", "from n0 to n23"), ("a0.h1", "such as m0.n5")):
        with pytest.raises(RequestError, match=said):
            tiny.neuron(name)


def test_a_routed_mlp_has_no_neurons_and_a_wrong_name_is_said() -> None:
    routed = tiny_family("mixtral")
    with pytest.raises(ModelError, match="mixture of experts in layer 0"):
        routed.neurons(Tokens.of(TOKENS))
    model = tiny_family("llama")
    object.__setattr__(model.family, "mlp_output", "down")
    try:
        with pytest.raises(ModelError, match="last projection is 'down'"):
            model.neuron("m0.n0")
    finally:
        object.__setattr__(model.family, "mlp_output", "down_proj")


@pytest.mark.parametrize("case", ["llama", "gemma2", "cohere", "granite", "gpt2", "opt"])
def test_the_unembedding_reads_the_stream_through_the_final_norm(case: str) -> None:
    model = tiny_family(case, torch.float64)
    stream = torch.randn(4, model.d_model, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    logits = model.unembedding(model.unembedded(stream))
    config = model.module.config
    cap = getattr(config, "final_logit_softcapping", None)
    logits = cap * torch.tanh(logits / cap) if cap else logits
    logits = logits * getattr(config, "logit_scale", 1.0) / getattr(config, "logits_scaling", 1.0)
    rounding(model).check(logits, model.unembed(stream))
