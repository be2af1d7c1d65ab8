"""Channel gradients against autograd with a leaf at every channel, and against finite differences."""

from __future__ import annotations

import pytest
import torch
from slow import SlowRun
from tolerance import rounding
from torch import Tensor

from wheatstone.models import ResidualModel, Tokens

PROMPTS = [[3, 1, 4, 1, 5], [9, 2], [6, 5, 3, 5]]


def values(logits: Tensor) -> Tensor:
    """A metric that bends: a log-probability."""
    return logits.log_softmax(-1)[:, 3]


def gradients_of(model: ResidualModel, prompts: list[list[int]], inputs: Tensor | None = None) -> Tensor:
    """[channel, batch, pos, d_model]."""
    run = model.channel_gradients(Tokens.of(prompts), values, inputs=inputs)
    return torch.cat([*(run.at_layer(layer) for layer in range(model.graph.layers)), run.at_logits()])


def test_they_are_autograds_with_one_leaf_per_channel(tiny64: ResidualModel) -> None:
    got = gradients_of(tiny64, PROMPTS)
    for row, ids in enumerate(PROMPTS):
        leaves = {
            channel: torch.zeros(len(ids), tiny64.d_model, dtype=torch.float64, requires_grad=True)
            for channel in tiny64.graph.channels
        }
        values(SlowRun(tiny64, ids, leaves=leaves).logits[None]).sum().backward()
        for index, leaf in enumerate(leaves.values()):
            assert leaf.grad is not None
            rounding(tiny64, passes=3).check(got[index, row, : len(ids)], leaf.grad)


@pytest.mark.parametrize("channel", ["a0.h1<q>", "a1.g0<k>", "a2.g1<v>", "m1", "logits"])
def test_they_are_finite_differences(tiny64: ResidualModel, channel: str) -> None:
    ids = PROMPTS[0]
    draw = torch.Generator().manual_seed(0)
    direction = torch.randn(len(ids), tiny64.d_model, dtype=torch.float64, generator=draw)
    step = 1e-6
    up, down = (
        float(values(SlowRun(tiny64, ids, leaves={channel: sign * step * direction}).logits[None])[0])
        for sign in (1, -1)
    )
    slope = (gradients_of(tiny64, [ids])[tiny64.graph.channel_index[channel], 0] * direction).sum()
    assert float(slope) == rounding(tiny64, passes=3).slope(up, down, step)


def test_one_prompt_alone_is_the_same_prompt_in_a_padded_batch(tiny64: ResidualModel) -> None:
    batch = gradients_of(tiny64, PROMPTS)
    for row, ids in enumerate(PROMPTS):
        alone = gradients_of(tiny64, [ids])[:, 0]
        rounding(tiny64, passes=3).check(batch[:, row, : len(ids)], alone)
        assert (batch[:, row, len(ids) :] == 0).all()


def test_integration_steps_together_are_the_sum_of_single_steps(tiny64: ResidualModel) -> None:
    nodes = tiny64.forward(Tokens.of(PROMPTS), cache=True).nodes
    assert nodes is not None
    path = torch.stack([share * nodes[0] for share in (0.25, 0.5, 1.0)])
    singles = [gradients_of(tiny64, PROMPTS, inputs=step[None]) for step in path]
    rounding(tiny64, passes=3).check(gradients_of(tiny64, PROMPTS, inputs=path), torch.stack(singles).sum(0))
    rounding(tiny64, passes=3).check(singles[-1], gradients_of(tiny64, PROMPTS))


def test_nodes_and_logits_are_those_of_the_last_step(tiny64: ResidualModel) -> None:
    tokens = Tokens.of(PROMPTS)
    plain = tiny64.forward(tokens, cache=True)
    assert plain.nodes is not None
    path = torch.stack([plain.nodes[0] * 0.5, plain.nodes[0]])
    run = tiny64.channel_gradients(tokens, values, inputs=path, cache=True)
    rounding(tiny64).check(run.logits[len(PROMPTS) :], plain.logits)
    assert run.nodes is not None
    rounding(tiny64).check(run.nodes, plain.nodes)
