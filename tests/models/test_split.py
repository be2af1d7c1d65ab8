"""Split MLPs: neurons and experts as nodes add up to their MLP, and are rewired as any node is."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import torch
from assembled import AssembledRun
from prompts import FRANCE
from tiny_families import tiny_family
from tolerance import rounding
from torch import Tensor, nn

from wheatstone import ModelError, RequestError, ResidualModel
from wheatstone.circuits import Circuit, Edge, Experiment, ModelInfo
from wheatstone.discovery import DiscoverySettings, attribute, discover_in
from wheatstone.models import Graph, KnockOut, MlpParts, Scale, Split, Tokens
from wheatstone.models._memory import circuit_bytes

CLEAN = [[3, 1, 4, 1, 5], [9, 2, 6]]
OTHER = [[3, 2, 4, 1, 5], [9, 8, 6]]
TOKENS = Tokens.of(CLEAN)
SPLITS: dict[str, dict[int, MlpParts]] = {
    "llama": {2: "neurons"},
    "llama-biased": {0: "neurons", 2: "neurons"},
    "gpt2": {1: "neurons"},
    "opt": {1: "neurons"},
    "gpt_neox": {1: "neurons"},
    "gemma2": {1: "neurons"},
    "granite": {0: "neurons"},
    "mixtral": {1: "experts"},
    "olmoe": {0: "experts", 2: "experts"},
    "qwen3_moe": {0: "experts", 1: "neurons"},
}
"""Gated, biased and plain MLPs, parallel to attention, normed after, multiplied, routed, and dense among routed."""


@cache
def model_of(case: str) -> ResidualModel:
    model = tiny_family(case, torch.float64)
    model.module.set_experts_implementation("eager")  # grouped products know no float64
    return model.split(SPLITS[case])


def nodes_of(model: ResidualModel, prompts: list[list[int]]) -> Tensor:
    nodes = model.forward(Tokens.of(prompts), cache=True).nodes
    assert nodes is not None
    return nodes


def random_masks(model: ResidualModel, *density: float) -> Tensor:
    draw = torch.Generator().manual_seed(0)
    valid = torch.from_numpy(model.graph.valid)
    return torch.stack([valid & (torch.rand(valid.shape, generator=draw) < share) for share in density])


def values(logits: Tensor) -> Tensor:
    """A metric that bends: a log-probability."""
    return logits.log_softmax(-1)[:, 3]


@pytest.mark.parametrize("case", SPLITS)
def test_parts_add_up_to_the_mlp(case: str) -> None:
    model = model_of(case)
    whole = model.split({})
    assert whole.graph == tiny_family(case).graph
    parts, nodes = nodes_of(model, CLEAN), nodes_of(whole, CLEAN)
    for block in model.blocks:
        bias = 0 if block.mlp_bias is None else block.mlp_bias
        total = parts[model.graph.mlp_nodes(block.index)].sum(0) + bias
        rounding(model).check(total, nodes[whole.graph.mlp_nodes(block.index)][0])
    rounding(model).check(model.after_layers(parts), whole.after_layers(nodes))
    for into, row in SPLITS[case].items():
        assert len(parts[model.graph.mlp_nodes(into)]) == (4 if row == "experts" else model.graph.split[-1].parts)


@pytest.mark.parametrize("case", SPLITS)
def test_the_whole_graph_is_the_model_and_the_empty_circuit_the_counterfactual_run(case: str) -> None:
    model = model_of(case)
    whole = torch.from_numpy(model.graph.valid)
    ablated = nodes_of(model, OTHER)
    wanted = [model.split({}).forward(Tokens.of(prompts)).logits for prompts in (CLEAN, OTHER)]
    for keep in (torch.stack([whole, torch.zeros_like(whole)]), whole[None]):
        for got, expected in zip(model.forward_circuit(TOKENS, ablated, keep).logits, wanted, strict=False):
            rounding(model).check(got, expected)


@pytest.mark.parametrize("case", SPLITS)
def test_random_circuits_and_their_gradients_are_the_definitions(case: str) -> None:
    model, ablated = model_of(case), nodes_of(model_of(case), OTHER)
    keep = random_masks(model, 0.1, 0.5, 1.0)
    run = model.forward_circuit(TOKENS, ablated, keep)
    for circuit, logits in zip(keep, run.logits, strict=True):
        slow = AssembledRun(model, CLEAN[0], keep=circuit.double(), ablated=ablated[:, 0, : len(CLEAN[0])])
        rounding(model).check(logits[0], slow.logits)
    dense = torch.from_numpy(model.graph.valid).double().requires_grad_()
    total = torch.zeros(())
    for row, ids in enumerate(CLEAN):
        slow = AssembledRun(model, ids, keep=dense, ablated=ablated[:, row, : len(ids)])
        total = total + values(slow.logits[None])[0]
    (slopes,) = torch.autograd.grad(total, dense)
    gradients = model.circuit_gradients(TOKENS, ablated, keep[2], values)
    rounding(model, passes=3).check(gradients, slopes * torch.from_numpy(model.graph.valid))


def test_edge_gradients_are_finite_differences(tiny64: ResidualModel) -> None:
    model = tiny64.split({1: "neurons"})
    ablated, keep = nodes_of(model, OTHER)[:, :1], random_masks(model, 1.0)[0]
    gradients = model.circuit_gradients(Tokens.of(CLEAN[:1]), ablated, keep, values)
    edges = [("m1.n5", "logits"), ("m1.n23", "a2.h1<q>"), ("a0.h2", "m1"), ("input", "a1.g0<k>"), ("m1.n0", "m2")]
    for sender, receiver in edges:
        edge = model.graph.edge(sender, receiver)
        ends: list[float] = []
        for sign in (1, -1):
            moved = keep.double()
            moved[edge] += sign * 1e-5
            slow = AssembledRun(model, CLEAN[0], keep=moved, ablated=ablated[:, 0])
            ends.append(float(values(slow.logits[None])[0]))
        assert float(gradients[edge]) == rounding(model, passes=3).slope(ends[0], ends[1], 1e-5)


@pytest.mark.parametrize("case", ["gpt2", "gemma2", "olmoe"])
def test_resuming_and_running_in_pieces_change_nothing(case: str) -> None:
    model, ablated = model_of(case), nodes_of(model_of(case), OTHER)
    state = model.forward_circuit(TOKENS, ablated, random_masks(model, 1.0)).state
    keep = random_masks(model, 0.9, 0.6)
    for first in ("a1.h0<q>", "m1", "m2", "logits"):
        keep[:, : model.graph.channel_index[first]] = state.keep[: model.graph.channel_index[first]]
        expected = model.forward_circuit(TOKENS, ablated, keep).logits
        rounding(model).check(model.forward_circuit(TOKENS, ablated, keep, resume=state).logits, expected)
        each, mask = circuit_bytes(model, TOKENS, len(model.graph.nodes))
        rounding(model).check(model.circuit_logits(TOKENS, ablated, keep, budget=each + mask), expected)


@pytest.mark.parametrize("case", ["llama", "olmoe"])
def test_gradients_at_channels_do_not_know_of_the_split(case: str) -> None:
    model = model_of(case)
    run = model.channel_gradients(TOKENS, values, cache=True)
    plain = model.split({}).channel_gradients(TOKENS, values)
    assert run.nodes is not None
    rounding(model).check(run.nodes, nodes_of(model, CLEAN))
    for layer in range(model.graph.layers):
        assert torch.equal(run.at_layer(layer), plain.at_layer(layer))


@pytest.mark.parametrize("case", ["gpt_neox", "gemma2", "mixtral"])
def test_patching_a_part_adds_its_change_to_the_stream(case: str) -> None:
    model = model_of(case)
    plain = model.streams(TOKENS)
    assert torch.equal(plain.nodes, nodes_of(model, CLEAN))
    span = model.graph.mlp_nodes(1)
    change = torch.ones(1, *plain.nodes.shape[1:], dtype=torch.float64)
    patched = [model.patched_logits(plain, [node], change) for node in (span.start, span.stop - 1)]
    whole = model.split({})
    expected = whole.patched_logits(whole.streams(TOKENS), [whole.graph.node_index["m1"]], change)
    for logits in patched:
        rounding(model).check(logits, expected)


@pytest.mark.parametrize("case", ["llama-biased", "gpt_neox", "mixtral"])
def test_all_parts_sending_along_paths_are_their_mlp_sending(case: str) -> None:
    model, whole = model_of(case), model_of(case).split({})
    layer = min(SPLITS[case])

    def run(of: ResidualModel, senders: list[slice], receivers: list[str], mlps: bool) -> Tensor:
        sends = torch.zeros(len(senders), len(of.graph.nodes), dtype=torch.bool)
        for row, nodes in zip(sends, senders, strict=True):
            row[nodes] = True
        sends[1:, 0] = True  # what the parts pass on as nodes between is taken back
        channels = [of.graph.channel_index[name] for name in receivers]
        return of.path_logits(of.streams(TOKENS), nodes_of(of, OTHER), sends, channels, mlps=mlps)

    for receivers in (["logits"], ["a2.h1<q>", "logits"], ["m1", "m2"]):
        for mlps in (False, True):
            both = [run(of, [of.graph.mlp_nodes(layer)] * 2, receivers, mlps) for of in (model, whole)]
            rounding(model).check(both[0], both[1])


@pytest.mark.parametrize("case", ["llama-biased", "gpt_neox", "olmoe"])
@pytest.mark.parametrize("share", [0, 1])
def test_cutting_each_edge_alone_is_the_circuit_without_it(case: str, share: int) -> None:
    model = model_of(case)
    ablated = nodes_of(model, OTHER) * share
    for edges, logits in model.without_each_edge(TOKENS, ablated):
        some = slice(None, None, 29)
        keep = torch.from_numpy(model.graph.valid).repeat(len(edges[some]), 1, 1)
        keep[torch.arange(len(keep)), edges[some, 0], edges[some, 1]] = False
        rounding(model).check(logits[some], model.circuit_logits(TOKENS, ablated, keep))


def test_a_neuron_is_intervened_on_as_in_the_whole_model(tiny64: ResidualModel) -> None:
    model, scaled = tiny64.split({1: "neurons"}), [Scale(at="m1.n5", factor=3.0)]
    rounding(model).check(model.forward_with(TOKENS, scaled).logits, tiny64.forward_with(TOKENS, scaled).logits)
    before, after = nodes_of(model, CLEAN)[:, 0], model.forward_with(TOKENS, scaled, cache=True).nodes
    assert after is not None
    node = model.graph.node_index["m1.n5"]
    rounding(model).check(after[: node + 1, 0], torch.cat([before[:node], 3 * before[node : node + 1]]))
    with pytest.raises(RequestError, match="'m1'"):
        model.forward_with(TOKENS, [KnockOut(at="m1")])


def test_an_expert_is_knocked_out_as_its_weight_is() -> None:
    model = model_of("mixtral")
    experts = model.blocks[1].experts_in

    def without(_module: nn.Module, args: Any) -> Any:
        return (*args[:2], args[2] * (args[1] != 2))

    handle = experts.register_forward_pre_hook(without)
    expected = model.split({}).forward(TOKENS).logits
    handle.remove()
    run = model.forward_with(TOKENS, [KnockOut(at="m1.e2")], cache=True)
    rounding(model).check(run.logits, expected)
    assert run.nodes is not None
    assert not run.nodes[model.graph.node_index["m1.e2"], 0].any()
    assert not torch.allclose(expected, model.forward(TOKENS).logits, atol=1e-3)


def test_an_expert_writes_nothing_for_tokens_that_are_not_routed_to_it() -> None:
    model = model_of("mixtral")
    parts = nodes_of(model, CLEAN)[model.graph.mlp_nodes(1), 0]
    assert ((parts != 0).any(-1).sum(0) == 2).all()  # two experts a token


def test_the_same_weights_are_split_and_joined_again(tiny64: ResidualModel) -> None:
    model = tiny64.split({2: "neurons", 0: "neurons"})
    assert model.graph.split == (Split(0, "neurons", 24), Split(2, "neurons", 24))
    assert model.module is tiny64.module
    assert tiny64.graph.split == ()
    assert model.like(model.graph) is model
    assert model.like(tiny64.graph).graph == tiny64.graph
    assert tiny64.like(model.graph).graph == model.graph


@pytest.mark.parametrize(
    ("case", "layers", "says"),
    [
        ("llama", {3: "neurons"}, "from 0 to 2; got 3"),
        ("llama", {-1: "neurons"}, "from 0 to 2; got -1"),
        ("llama", {1: "experts"}, "a mixture of experts; got a dense MLP in layer 1"),
        ("mixtral", {1: "neurons"}, "an MLP with neurons; got a mixture of experts in layer 1"),
        ("qwen3_moe", {1: "experts"}, "a mixture of experts; got a dense MLP in layer 1"),
    ],
)
def test_what_a_model_cannot_be_split_into_is_refused(case: str, layers: dict[int, MlpParts], says: str) -> None:
    with pytest.raises(RequestError, match=says):
        model_of(case).split(layers)


def test_a_bias_that_a_norm_scales_belongs_to_no_neuron() -> None:
    model = tiny_family("gemma2")
    projection = model.blocks[1].neurons_in
    projection.bias = nn.Parameter(torch.ones(model.d_model), requires_grad=False)
    with pytest.raises(ModelError, match="belongs to no neuron"):
        model.split({1: "neurons"})


def test_names_and_edges_counted_by_hand() -> None:
    graph = Graph(2, 2, 1, split=(Split(0, "neurons", 3),))
    assert graph.nodes == ("input", "a0.h0", "a0.h1", "m0.n0", "m0.n1", "m0.n2", "a1.h0", "a1.h1", "m1")
    assert graph.channels == Graph(2, 2, 1).channels
    # Layer 0: 4 channels read 1 node, m0 reads 3; layer 1: 4 read 6, m1 reads 8; logits reads 9.
    assert graph.edges == 4 * 1 + 3 + 4 * 6 + 8 + 9 == graph.valid.sum()
    assert [graph.channels[at] for at in graph.channels_of(graph.node_index["m0.n2"])] == ["m0"]
    assert [graph.channels[at] for at in graph.channels_of(graph.node_index["a1.h1"])] == [
        "a1.h1<q>", "a1.g0<k>", "a1.g0<v>",
    ]  # fmt: skip
    keep = graph.valid & False
    for edge in [("input", "m0"), ("m0.n1", "a1.h0<q>"), ("a1.h0", "logits"), ("m0.n0", "m1")]:
        keep[graph.edge(*edge)] = True
    live = [name for name, alive in zip(graph.nodes, graph.live_nodes(keep), strict=True) if alive]
    assert live == ["input", "m0.n0", "m0.n1", "m0.n2", "a1.h0", "m1"]
    needed = [name for name, does in zip(graph.nodes, graph.needed_nodes(keep), strict=True) if does]
    assert needed == ["input", "m0.n1", "a1.h0"]
    assert graph.working_edges(keep).sum() == 3
    assert hash(graph) != hash(Graph(2, 2, 1))


@pytest.mark.real_weights
def test_smollm2s_last_mlp_in_its_neurons(smollm2: ResidualModel) -> None:
    model = smollm2.split({29: "neurons"})
    assert model.graph.edges == smollm2.graph.edges + 1535
    whole, experiment = Experiment(smollm2, [FRANCE]), Experiment(model, [FRANCE])
    scores, span = attribute(experiment), model.graph.mlp_nodes(29)
    ranked = scores.top([300])[0]
    assert ranked[:, span].any()
    # A score is linear in what is written: those of the neurons add up to their MLP's.
    expected = attribute(whole).values[smollm2.graph.logits_channel, smollm2.graph.mlp_nodes(29).start]
    assert float(scores.values[model.graph.logits_channel, span].sum()) == rounding(model, passes=3).near(
        float(expected), magnitude=float(whole.clean_logits.abs().max())
    )
    both = ranked.clone()
    both[model.graph.logits_channel, span] = True
    joined = Circuit.of_mask(ModelInfo.of(model), both)
    edges = [edge for edge in joined if not edge.sender.startswith("m29.")]
    same = replace(joined, model=ModelInfo.of(smollm2), edges=(*edges, Edge("m29", "logits")))
    assert experiment.faithfulness(both[None]) == rounding(model).near(whole.faithfulness(same.mask()[None]))
    found = discover_in(experiment, DiscoverySettings(0.6), curve=False).circuit.evaluation
    assert found is not None
    assert found.faithfulness == pytest.approx(1, abs=0.4)
    assert found.total_edges == model.graph.edges
