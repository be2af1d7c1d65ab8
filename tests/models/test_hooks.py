from __future__ import annotations

import pytest
import torch

from wheatstone.models import Graph, KnockOut, ResidualModel

GRAPH = Graph(layers=6, heads=6, kv_groups=2)


@pytest.mark.parametrize(
    ("hook", "name"),
    [
        ("hook_embed", "input"),
        ("blocks.5.attn.hook_result[3]", "a5.h3"),
        ("blocks.5.attn.hook_z[3]", "a5.h3"),
        ("blocks.5.hook_q_input[3]", "a5.h3<q>"),
        ("blocks.5.attn.hook_k_input[3]", "a5.g1<k>"),
        ("blocks.5.hook_v_input[2]", "a5.g0<v>"),
        ("blocks.5.hook_mlp_out", "m5"),
        ("blocks.5.hook_mlp_in", "m5"),
        ("blocks.5.hook_resid_post", "logits"),
        ("blocks.4.hook_resid_post", "blocks.4.hook_resid_post"),
        ("a5.h3", "a5.h3"),
    ],
)
def test_hooks_stand_for_nodes_and_channels(hook: str, name: str) -> None:
    assert GRAPH.named(hook) == name


def test_an_edge_may_be_named_by_hooks() -> None:
    assert GRAPH.edge("blocks.1.attn.hook_z[3]", "blocks.4.hook_k_input[5]") == GRAPH.edge("a1.h3", "a4.g1<k>")


def test_an_intervention_may_name_a_hook(tiny: ResidualModel) -> None:
    tokens = tiny.tokens(["w1 w2 w3"])
    by_hook, by_name = (
        tiny.forward_with(tokens, [KnockOut(at=at)]).logits for at in ("blocks.1.attn.hook_result[2]", "a1.h2")
    )
    assert torch.equal(by_hook, by_name)
