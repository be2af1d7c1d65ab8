"""Patched runs of every kind of layer against single interventions."""

from __future__ import annotations

import pytest
import torch
from tiny_families import tiny_family
from tolerance import rounding

from wheatstone.models import Replace, Tokens

FAMILIES = ["gpt2", "gptj", "opt", "gpt_neox", "gemma2", "olmo2", "granite", "cohere", "mixtral"]


@pytest.mark.parametrize("case", FAMILIES)
def test_each_run_is_the_intervention_on_its_node(case: str) -> None:
    double = case != "mixtral"  # whose experts are not run in float64
    model = tiny_family(case, torch.float64 if double else torch.float32)
    tokens, other = Tokens.of([[3, 1, 4, 1, 5], [9, 2]]), Tokens.of([[3, 2, 4, 1, 5], [8, 2]])
    plain, others = model.streams(tokens), model.streams(other).nodes
    recorded = model.forward(tokens, cache=True)
    assert recorded.nodes is not None
    rounding(model).check(plain.nodes, recorded.nodes)
    nodes = [0, 1, 4, 5, 7, 10, 14, 15]
    got = model.patched_logits(plain, nodes, others[nodes] - plain.nodes[nodes])
    for node, logits in zip(nodes, got, strict=True):
        replaced = Replace(at=model.graph.nodes[node], value=others[node])
        expected = model.forward_with(tokens, [replaced]).logits
        rounding(model).check(logits, expected)


def test_no_change_is_the_plain_run() -> None:
    model = tiny_family("llama", torch.float64)
    plain = model.streams(Tokens.of([[3, 1, 4], [1, 5]]))
    nodes = [0, 3, 5, 12]
    got = model.patched_logits(plain, nodes, torch.zeros_like(plain.nodes[nodes]))
    rounding(model).check(got, model.forward(plain.tokens).logits.expand_as(got))


def test_the_stream_is_what_the_nodes_add_up_to() -> None:
    model = tiny_family("gpt2", torch.float64)
    plain = model.streams(Tokens.of([[3, 1, 4], [1, 5]]))
    rounding(model).check(plain.stream[::2], model.after_layers(plain.nodes))
    last = plain.last(plain.stream[-1])
    rounding(model).check(model.unembed(last[:, 0]), model.forward(plain.tokens).logits)
