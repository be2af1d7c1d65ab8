"""Node outputs kept as they are computed: the same numbers as node by node, and circuits that run with them."""

from __future__ import annotations

import functools

import pytest
import torch
from tiny_families import FAMILY_CONFIGS, tiny_family
from tolerance import rounding
from torch import Tensor

from wheatstone.models import MlpParts, NodeOutputs, ResidualModel, Tokens

TOKENS = Tokens.of([[7, 3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5], [7, 3, 9, 7], [7, 3, 1, 8, 2, 8, 1, 8]])
"""The first is longer than the tiny models' sliding window of 5; all begin with the same two tokens."""
OTHERS = Tokens.of([[7, 3, 1, 40, 1, 5, 9, 2, 6, 35, 3, 5], [7, 3, 19, 7], [7, 3, 1, 8, 2, 28, 1, 8]])
SPLITS: dict[str, dict[int, MlpParts]] = {"opt": {1: "neurons"}, "gemma2": {1: "neurons"}, "olmoe": {0: "experts"}}

model_of = functools.cache(tiny_family)


def values(logits: Tensor) -> Tensor:
    """A metric that bends: a log-probability."""
    return logits.log_softmax(-1)[:, 3]


@pytest.mark.parametrize("case", [*FAMILY_CONFIGS, *(f"{case} in parts" for case in SPLITS)])
def test_they_are_what_a_run_records_node_by_node(case: str) -> None:
    name, _, parts = case.partition(" ")
    model = model_of(name)
    model = model.split(SPLITS[name]) if parts else model
    plain = model.forward(TOKENS, cache=True)
    logits, outputs = model.outputs(TOKENS)
    nodes = plain.nodes
    assert nodes is not None
    rounding(model).check(logits, plain.logits)
    magnitude = max(1.0, *(float(value.abs().max()) for value in (nodes, *outputs.values)))
    rounding(model).check(outputs.nodes(), nodes, magnitude=magnitude)
    first = model.graph.mlp_nodes(0).stop
    assert torch.equal(outputs.nodes(first), outputs.nodes()[:first])
    assert torch.equal(outputs.some([first, 0, 2]), outputs.nodes()[[first, 0, 2]])
    assert torch.equal(outputs.rows(slice(1, 3)).after(2).nodes(), outputs.map(lambda value: value[1:3, 2:]).nodes())
    difference = outputs.minus(model.outputs(OTHERS)[1]).nodes()
    others = model.forward(OTHERS, cache=True).nodes
    assert others is not None
    rounding(model).check(difference, nodes - others, magnitude=magnitude)


@pytest.mark.parametrize("case", ["llama", "gpt2", "gemma2", "gpt_neox"])
def test_circuits_run_with_them_as_with_what_each_node_writes(case: str) -> None:
    model = model_of(case)
    outputs = model.outputs(OTHERS)[1]
    valid = torch.from_numpy(model.graph.valid)
    keep = valid & (torch.rand(3, *valid.shape, generator=torch.Generator().manual_seed(0)) < 0.7)
    for start in (0, 2):
        logits = [
            model.circuit_logits(TOKENS, ablated, keep, start=start, budget=budget)
            for ablated, budget in ((outputs.nodes(), 1 << 30), (outputs, 1 << 30), (outputs, 1))
        ]
        for found in logits[1:]:
            rounding(model).check(found, logits[0])


@pytest.mark.parametrize("case", list(FAMILY_CONFIGS))
def test_gradients_are_the_same_with_layers_run_again_and_with_the_beginning_run_once(case: str) -> None:
    model = model_of(case)
    path = torch.stack([share * model.outputs(TOKENS)[1].values[0] for share in (0.5, 0.75, 1.0)])
    path[:, :, :2] = path[-1, :, :2]  # as where prompt and counterfactual are the same
    plain = model.channel_gradients(TOKENS, values, inputs=path, cache=True)
    assert plain.outputs is not None
    for budget in (1 << 30, 1):
        seen: list[tuple[int, Tensor, NodeOutputs]] = []

        def use(rows: slice, found: object, seen: list[tuple[int, Tensor, NodeOutputs]] = seen) -> Tensor:
            del rows
            assert isinstance(found, type(plain))
            assert found.outputs is not None
            every = torch.cat([*(gradient for _, gradient in found.each()), found.at_logits()])
            seen.append((found.start, every, found.outputs))
            return every

        model.channel_gradients_in_pieces(TOKENS, values, use, inputs=path, cache=True, start=2, budget=budget)
        layers = [plain.at_layer(layer) for layer in reversed(range(model.graph.layers))]
        expected = torch.cat([*layers, plain.at_logits()])
        found = torch.cat([gradient for _, gradient, _ in seen], 1)
        rounding(model, passes=3).check(found, expected[:, :, seen[0][0] :])
        written = torch.cat([outputs.nodes() for _, _, outputs in seen], 1)
        magnitude = max(1.0, *(float(value.abs().max()) for value in plain.outputs.values))
        rounding(model).check(written, plain.outputs.after(seen[0][0]).nodes(), magnitude=magnitude)


def test_the_beginning_is_not_run_again(tiny64: ResidualModel) -> None:
    path = tiny64.outputs(TOKENS)[1].values[0][None]
    run = tiny64.channel_gradients(TOKENS, values, inputs=path, cache=True)
    assert run.start == 0

    def use(rows: slice, found: object) -> Tensor:
        assert isinstance(found, type(run))
        assert found.start == 2
        assert found.at_logits().shape[2] == TOKENS.width - 2
        return torch.cat([gradient for _, gradient in found.each()])

    found = tiny64.channel_gradients_in_pieces(TOKENS, values, use, inputs=path, start=2)
    assert all(part.shape[2] == TOKENS.width - 2 for part in found)
