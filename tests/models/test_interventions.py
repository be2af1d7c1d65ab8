"""Interventions do what they say, where they say, and nothing else."""

from __future__ import annotations

import pytest
import torch
from slow import SlowRun
from tolerance import rounding
from torch import Tensor, nn

from wheatstone import RequestError, ResidualModel
from wheatstone.models import Add, Intervention, KnockOut, KnockOutAttention, Replace, Scale, Tokens

PROMPTS = [[3, 1, 4, 1, 5], [9, 2, 6]]
TOKENS = Tokens.of(PROMPTS)
PLACES = ["input", "a0.h1", "a2.h3", "m1", "m2.n5"]


def nodes_of(model: ResidualModel, prompts: list[list[int]]) -> Tensor:
    nodes = model.forward(Tokens.of(prompts), cache=True).nodes
    assert nodes is not None
    return nodes


def neurons_of(model: ResidualModel, layer: int, ids: list[int]) -> Tensor:
    """[pos, neuron], by a hook on transformers' own module."""
    seen: list[Tensor] = []

    def hook(_: nn.Module, args: tuple[Tensor]) -> None:
        seen.append(args[0][0])

    handle = model.blocks[layer].neurons_in.register_forward_pre_hook(hook)
    model.module(torch.tensor([ids]))
    handle.remove()
    return seen[0]


def logits_with(model: ResidualModel, *interventions: Intervention, tokens: Tokens = TOKENS) -> Tensor:
    return model.forward_with(tokens, interventions).logits


def test_no_intervention_is_the_forward_pass(tiny64: ResidualModel) -> None:
    assert torch.equal(logits_with(tiny64), tiny64.forward(TOKENS).logits)


@pytest.mark.parametrize("at", PLACES)
def test_scaling_by_one_and_adding_nothing_change_nothing(tiny64: ResidualModel, at: str) -> None:
    plain = tiny64.forward(TOKENS).logits
    rounding(tiny64).check(logits_with(tiny64, Scale(at=at, factor=1.0)), plain)
    rounding(tiny64).check(logits_with(tiny64, Add(at=at, value=torch.zeros(()))), plain)
    assert not torch.allclose(logits_with(tiny64, Scale(at=at, factor=2.0)), plain)


@pytest.mark.parametrize("at", PLACES[:-1])
def test_replacing_a_node_by_its_own_output_changes_nothing(tiny64: ResidualModel, at: str) -> None:
    own = nodes_of(tiny64, PROMPTS)[tiny64.graph.node_index[at]]
    rounding(tiny64).check(logits_with(tiny64, Replace(at=at, value=own)), tiny64.forward(TOKENS).logits)


def test_replacing_a_neuron_by_its_own_activation_changes_nothing(tiny64: ResidualModel) -> None:
    for ids in PROMPTS:
        own = neurons_of(tiny64, 2, ids)[:, 5]
        tokens = Tokens.of([ids])
        got = logits_with(tiny64, Replace(at="m2.n5", value=own), tokens=tokens)
        rounding(tiny64).check(got, tiny64.forward(tokens).logits)


@pytest.mark.parametrize("at", PLACES[:-1])
def test_knocking_a_node_out_is_ablating_its_outgoing_edges_to_zero(tiny64: ResidualModel, at: str) -> None:
    ablated = torch.zeros_like(nodes_of(tiny64, PROMPTS))
    node = tiny64.graph.node_index[at]
    got = logits_with(tiny64, KnockOut(at=at))
    if at == "input":
        # Without its input edges no node counts as reached: here the definition is the slow run's alone.
        expected = torch.stack([knocked_out_input(tiny64, ids) for ids in PROMPTS])
    else:
        keep = torch.from_numpy(tiny64.graph.valid).clone()
        keep[:, node] = False
        expected = tiny64.forward_circuit(TOKENS, ablated, keep[None]).logits[0]
    rounding(tiny64).check(got, expected)


def knocked_out_input(model: ResidualModel, ids: list[int]) -> Tensor:
    leaves = {channel: -nodes_of(model, [ids])[0, 0] for channel in model.graph.channels}
    return SlowRun(model, ids, leaves=leaves).logits


@pytest.mark.parametrize("at", PLACES[:-1])
def test_adding_to_a_node_is_adding_to_all_that_read_it(tiny64: ResidualModel, at: str) -> None:
    value = torch.linspace(-1, 1, tiny64.d_model, dtype=torch.float64)
    reading = torch.from_numpy(tiny64.graph.valid[:, tiny64.graph.node_index[at]])
    got = logits_with(tiny64, Add(at=at, value=value))
    for row, ids in enumerate(PROMPTS):
        leaves = {name: value.expand(len(ids), -1) for name, r in zip(tiny64.graph.channels, reading, strict=True) if r}
        rounding(tiny64).check(got[row], SlowRun(tiny64, ids, leaves=leaves).logits)


def test_a_knocked_out_neuron_is_one_whose_output_weights_are_zero(tiny64: ResidualModel) -> None:
    got = logits_with(tiny64, KnockOut(at="m1.n7"), KnockOut(at="m1.n3"))
    weight = tiny64.blocks[1].neurons_in.get_parameter("weight")
    before = weight.clone()
    columns = weight if isinstance(tiny64.blocks[1].neurons_in, nn.Linear) else weight.T
    columns.data[:, [7, 3]] = 0
    try:
        expected = tiny64.forward(TOKENS).logits
    finally:
        weight.data.copy_(before)
    rounding(tiny64).check(got, expected)


def test_positions_hold_per_prompt_and_count_from_its_own_end(tiny64: ResidualModel) -> None:
    node = tiny64.graph.node_index["m0"]
    got = tiny64.forward_with(TOKENS, [KnockOut(at="m0", positions=(-1, 0))], cache=True).nodes
    assert got is not None
    zeros = (got[node] == 0).all(-1)
    assert zeros.tolist() == [[True, False, False, False, True], [True, False, True, False, False]]
    own = tiny64.forward_with(TOKENS, [KnockOut(at="m0", positions=((1, 2), ()))], cache=True).nodes
    assert own is not None
    assert (own[node] == 0).all(-1).tolist() == [[False, True, True, False, False], [False] * 5]


def test_interventions_at_one_place_act_in_order(tiny64: ResidualModel) -> None:
    ones = torch.ones(tiny64.d_model)
    for interventions, value in (
        ([Scale(at="m1", factor=0.0), Add(at="m1", value=ones)], 1.0),
        ([Add(at="m1", value=ones), Scale(at="m1", factor=0.0)], 0.0),
    ):
        nodes = tiny64.forward_with(Tokens.of(PROMPTS[:1]), interventions, cache=True).nodes
        assert nodes is not None
        assert (nodes[tiny64.graph.node_index["m1"]] == value).all()


EVERYTHING = (
    Scale(at="a1.h2", factor=-1.5, positions=(-1,)),
    Add(at="m0", value=torch.ones(())),
    KnockOut(at="m2.n4", positions=(1,)),
    KnockOutAttention(layer=1, queries=(-1,), keys=(1,), heads=(0, 3)),
    Replace(at="a0.h0", value=torch.zeros(())),
)


def test_one_prompt_alone_is_the_same_prompt_in_a_padded_batch(tiny64: ResidualModel) -> None:
    batch = logits_with(tiny64, *EVERYTHING)
    for row, ids in enumerate(PROMPTS):
        rounding(tiny64).check(batch[row], logits_with(tiny64, *EVERYTHING, tokens=Tokens.of([ids]))[0])


def test_recorded_nodes_still_sum_to_the_residual_stream(tiny64: ResidualModel) -> None:
    run = tiny64.forward_with(Tokens.of(PROMPTS[:1]), EVERYTHING, cache=True)
    assert run.nodes is not None
    final: list[Tensor] = []
    norm = tiny64.module.get_submodule("transformer.ln_f" if tiny64.family.name == "gpt2" else "model.norm")

    def hook(_: nn.Module, args: tuple[Tensor]) -> None:
        final.append(args[0])

    handle = norm.register_forward_pre_hook(hook)
    tiny64.forward_with(Tokens.of(PROMPTS[:1]), EVERYTHING)
    handle.remove()
    bias = sum(0 if block.output_bias is None else block.output_bias for block in tiny64.blocks)
    rounding(tiny64).check(run.nodes.sum(0) + bias, final[0])


def test_a_cut_attention_edge_has_weight_zero_and_the_rest_sums_to_one(tiny64: ResidualModel) -> None:
    cut = KnockOutAttention(layer=1, queries=(-1,), keys=(0, 1), heads=(0, 3))
    plain, got = tiny64.attention(TOKENS), tiny64.attention(TOKENS, interventions=[cut])
    inside = torch.arange(TOKENS.width) < TOKENS.lengths[:, None]
    rounding(tiny64, dtype=torch.float32).check(got.sum(-1), inside[None, :, None].expand(got.shape[:-1]).to(got))
    for row, last in enumerate((TOKENS.lengths - 1).tolist()):
        for head in range(4):
            weights, before = got[1, row, head, last], plain[1, row, head, last]
            if head in (0, 3):
                assert weights[:2].tolist() == [0, 0]
                left = before.clone()
                left[:2] = 0
                rounding(tiny64, dtype=torch.float32).check(weights, left / left.sum())
            else:
                assert torch.equal(weights, before)
            assert torch.equal(got[1, row, head, :last], plain[1, row, head, :last])
    assert torch.equal(got[0], plain[0])


def test_cut_attention_edges_count_in_the_run_itself(tiny64: ResidualModel) -> None:
    """With every edge to other positions cut in all layers, each position is a prompt of its own."""
    alone = [
        KnockOutAttention(layer=layer, queries=(query,), keys=tuple(range(query)))
        for layer in range(3)
        for query in range(1, 5)
    ]
    tokens = Tokens.of(PROMPTS[:1])
    got = tiny64.forward_with(tokens, alone).logits[0]
    last = tiny64.module(torch.tensor([[PROMPTS[0][-1]]]), position_ids=torch.tensor([[4]])).logits[0, -1]
    rounding(tiny64).check(got, last)


@pytest.mark.parametrize(
    ("intervention", "says"),
    [
        (KnockOut(at="a3.h0"), "got 'a3.h0'"),
        (KnockOut(at="m3.n0"), "got 'm3.n0'"),
        (KnockOut(at="logits"), "got 'logits'"),
        (KnockOut(at="m1.n24"), "from n0 to n23; got 'm1.n24'"),
        (KnockOut(at="m1", positions=(3,)), "position in prompt 1, which has 3 tokens; got 3"),
        (KnockOut(at="m1", positions=((0,),)), "positions for 2 prompts; got positions for 1"),
        (KnockOutAttention(layer=3), "layer from 0 to 2 .* got layer 3"),
        (KnockOutAttention(layer=0, heads=(4,)), r"got layer 0, heads \[4\]"),
        (KnockOutAttention(layer=0, queries=(2,)), r"one key left .* position 2 of prompt 0 in a0\.h0"),
        (KnockOutAttention(layer=0, keys=(0,), heads=(1,)), r"position 0 of prompt 0 in a0\.h1"),
    ],
)
def test_interventions_that_are_refused(tiny64: ResidualModel, intervention: Intervention, says: str) -> None:
    with pytest.raises(RequestError, match=says):
        tiny64.forward_with(TOKENS, [intervention])


@pytest.mark.real_weights
def test_knocking_out_the_attention_of_france_takes_the_answer_away(smollm2: ResidualModel) -> None:
    tokens = smollm2.tokens(["The official language of France is"])
    french = smollm2.continuation(" French")[0]
    blind = [KnockOutAttention(layer=layer, queries=(5,), keys=(4,)) for layer in range(30)]
    plain, cut = (smollm2.forward_with(tokens, what).logits[0].softmax(-1)[french] for what in ((), blind))
    assert plain > 0.3
    assert cut < 0.03
