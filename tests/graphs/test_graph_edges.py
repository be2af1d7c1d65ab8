"""Edges of graphs: they add up in every family, and are what an assembled sum says."""

from __future__ import annotations

import functools

import pytest
import torch
from tiny_families import FAMILY_CONFIGS, tiny_family
from tolerance import rounding
from torch import Tensor

from wheatstone.graphs import Baseline, Node, NodeAxis, edges_of
from wheatstone.models import LINEAR, NodeRun, ResidualModel, Tokens, run_nodes

ROUTED = ("mixtral", "olmoe", "qwen3_moe")
CASES = [case for case in FAMILY_CONFIGS if not case.startswith(ROUTED)]
CLAMPED = ("olmo",)
"""Values that are clamped have no gradient, and what they do is no sum."""
PROMPT, OTHER = [7, 3, 1, 4, 1, 5], [7, 3, 6, 4, 1, 5]

model_of = functools.cache(tiny_family)


def difference(logits: Tensor) -> Tensor:
    return logits[:, 3] - logits[:, 5]


def every_node(model: ResidualModel) -> list[Node]:
    axis = NodeAxis.of(model, len(PROMPT))
    tokens = [Node(-1, "token", 0, position) for position in range(len(PROMPT))]
    return [*tokens, *sorted(axis.node(place) for place in range(axis.size))]


def runs_of(model: ResidualModel) -> tuple[Tokens, NodeRun, Baseline]:
    tokens = Tokens.of([PROMPT])
    other = run_nodes(model, Tokens.of([OTHER]))
    run = run_nodes(model, tokens, loss=difference, rules=LINEAR)
    return tokens, run, Baseline("counterfactual", other.input, other.values)


@pytest.mark.parametrize("case", CASES)
def test_edges_into_a_node_add_up(case: str) -> None:
    """With all nodes of a model as senders nothing is left over, and what is read is what the node does."""
    model = model_of(case)
    tokens, run, baseline = runs_of(model)
    nodes = every_node(model)
    for reference in (None, baseline):
        edges = edges_of(model, tokens, run, reference, nodes)
        if case not in CLAMPED:
            assert edges.rounding < rounding(model).times(4).bound(1.0)
        scale = edges.weights.abs().sum(1).max()
        rounding(model).times(4).check(edges.weights.sum(1) / scale, edges.totals / scale)


@pytest.mark.parametrize("case", CASES)
def test_edges_out_of_a_node_add_up(case: str) -> None:
    """What a node sends to all others and the target is its gradient times its change."""
    model = model_of(case)
    tokens, run, baseline = runs_of(model)
    nodes = every_node(model)
    edges = edges_of(model, tokens, run, baseline, nodes)
    scale = edges.weights.abs().sum(0).max()
    rounding(model).times(4).check(edges.weights.sum(0) / scale, edges.sent / scale)


def test_the_target_reads_the_last_position_alone() -> None:
    model = model_of("llama")
    tokens, run, baseline = runs_of(model)
    nodes = every_node(model)
    into = edges_of(model, tokens, run, baseline, nodes).weights[-1]
    elsewhere = torch.tensor([node.position != len(PROMPT) - 1 for node in nodes])
    assert not into[elsewhere].any()
    assert into[~elsewhere].any()


def test_nothing_is_sent_backwards() -> None:
    for case in ("llama", "gpt_neox"):  # one after another, and in parallel layers
        model = model_of(case)
        tokens, run, baseline = runs_of(model)
        nodes = every_node(model)
        weights = edges_of(model, tokens, run, baseline, nodes).weights
        for row, node in enumerate(nodes):
            senders = weights[row].nonzero()[:, 0].tolist()
            assert all(nodes[sender].depth < node.depth for sender in senders)
            if node.kind == "neuron" and model.graph.parallel:
                assert all(nodes[sender].layer < node.layer for sender in senders)
            if node.kind == "neuron":
                assert all(nodes[sender].position == node.position for sender in senders)
            if node.kind == "head":
                assert all(nodes[sender].position <= node.position for sender in senders)
