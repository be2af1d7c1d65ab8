"""Path patching against the tree of paths, evaluated one prompt and one receiver at a time."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from slow import SlowRun
from tiny_families import tiny_family
from tolerance import rounding
from torch import Tensor

from wheatstone.models import ResidualModel, Tokens

CLEAN = [[3, 1, 4, 1, 5], [9, 2, 6], [5, 3, 5, 8, 9, 7, 9]]
OTHER = [[3, 2, 4, 1, 5], [9, 8, 6], [5, 3, 0, 8, 1, 7, 9]]


class WatchedRun(SlowRun):
    """A slow run that remembers what every channel read."""

    def read(self, channel: str) -> Tensor:
        self.reads = {**getattr(self, "reads", {}), channel: super().read(channel)}
        return self.reads[channel]


def tree_logits(
    model: ResidualModel, ids: list[int], ablated: Tensor, senders: list[str], receivers: list[str], mlps: bool
) -> Tensor:
    """Finds out what each receiver should read besides, given what earlier receivers changed; then runs with that."""
    graph, module = model.graph, model.module
    layers: Any = module.get_submodule("transformer.h" if model.family.name == "gpt2" else "model.layers")
    changes: dict[str, Tensor] = {}
    for receiver in receivers:
        run = WatchedRun(model, ids, leaves=changes)
        readable = graph.nodes[: graph.senders[graph.channel_index[receiver]]]
        change = torch.zeros_like(ablated[0])
        for name in readable:
            if name in senders:
                change = change + ablated[graph.node_index[name]] - run.written[name]
            elif mlps and name.startswith("m") and name not in receivers:
                layer = layers[int(name[1:])]
                norm = layer.ln_2 if model.family.name == "gpt2" else layer.post_attention_layernorm
                change = change + layer.mlp(norm(run.reads[name] + change)) - run.written[name]
        changes[receiver] = change
    return WatchedRun(model, ids, leaves=changes).logits


RECEIVERS = [
    ["logits"],
    ["a1.h1<q>", "a1.g0<v>", "a2.h2<q>"],
    ["a0.h0<q>", "m0", "a1.g1<k>", "logits"],
    ["m1", "m2"],
]


@pytest.mark.parametrize("mlps", [True, False])
@pytest.mark.parametrize("receivers", RECEIVERS, ids=" ".join)
def test_runs_follow_the_tree_of_paths(tiny64: ResidualModel, receivers: list[str], mlps: bool) -> None:
    graph = tiny64.graph
    groups = [["input"], ["a0.h1"], ["m0"], ["m0", "a0.h3", "a1.h0"], ["a1.h2"], ["m1", "a0.h0"]]
    senders = torch.zeros(len(groups), len(graph.nodes), dtype=torch.bool)
    for row, group in zip(senders, groups, strict=True):
        row[[graph.node_index[name] for name in group]] = True
    ablated = tiny64.streams(Tokens.of(OTHER)).nodes
    plain = tiny64.streams(Tokens.of(CLEAN))
    got = tiny64.path_logits(plain, ablated, senders, [graph.channel_index[name] for name in receivers], mlps=mlps)
    for row, ids in enumerate(CLEAN):
        for group, logits in zip(groups, got, strict=True):
            expected = tree_logits(tiny64, ids, ablated[:, row, : len(ids)], group, receivers, mlps)
            rounding(tiny64).check(logits[row], expected)


@pytest.mark.parametrize("case", ["gptj", "opt", "gpt_neox", "gemma2", "olmo2", "granite", "cohere"])
def test_direct_paths_are_removed_edges_in_every_kind_of_layer(case: str) -> None:
    model = tiny_family(case, torch.float64)
    graph = model.graph
    ablated = model.streams(Tokens.of(OTHER)).nodes
    plain = model.streams(Tokens.of(CLEAN))
    senders = torch.eye(len(graph.nodes), dtype=torch.bool)
    receivers = [graph.channel_index[name] for name in ("a1.h1<q>", "a1.g1<v>", "m1", "a2.h0<q>", "logits")]
    keep = torch.from_numpy(graph.valid).repeat(len(senders), 1, 1)
    for node, circuit in enumerate(keep):
        circuit[receivers, node] = False
    got = model.path_logits(plain, ablated, senders, receivers, mlps=False)
    expected = model.forward_circuit(plain.tokens, ablated, keep).logits
    rounding(model).check(got, expected)  # some families' norms pass through float32
