"""Circuits against the definition, run edge by edge; and the laws that batching and resuming must obey."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from slow import SlowRun
from tolerance import rounding
from torch import Tensor

from wheatstone.models import ResidualModel, Tokens

CLEAN = [[3, 1, 4, 1, 5], [9, 2, 6], [5, 3, 5, 8, 9, 7, 9]]
OTHER = [[3, 2, 4, 1, 5], [9, 8, 6], [5, 3, 0, 8, 1, 7, 9]]
GENTLE = settings(max_examples=12)


def nodes_of(model: ResidualModel, prompts: list[list[int]]) -> Tensor:
    nodes = model.forward(Tokens.of(prompts), cache=True).nodes
    assert nodes is not None
    return nodes


def random_masks(model: ResidualModel, *density: float, seed: int = 0) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    valid = torch.from_numpy(model.graph.valid)
    return torch.stack([valid & (torch.rand(valid.shape, generator=draw) < share) for share in density])


def values(logits: Tensor) -> Tensor:
    """A metric that bends: a log-probability."""
    return logits.log_softmax(-1)[:, 3]


def test_the_whole_graph_is_the_model_and_the_empty_circuit_the_counterfactual_run(tiny: ResidualModel) -> None:
    whole = torch.from_numpy(tiny.graph.valid)
    keep = torch.stack([whole, torch.zeros_like(whole)])
    got = tiny.forward_circuit(Tokens.of(CLEAN), nodes_of(tiny, OTHER), keep).logits
    rounding(tiny).check(got[0], tiny.forward(Tokens.of(CLEAN)).logits)
    rounding(tiny).check(got[1], tiny.forward(Tokens.of(OTHER)).logits)


@pytest.mark.parametrize("ablation", ["counterfactual", "zero"])
def test_random_circuits_are_what_the_definition_says(tiny64: ResidualModel, ablation: str) -> None:
    ablated = nodes_of(tiny64, OTHER) * (ablation == "counterfactual")
    keep = random_masks(tiny64, 0.03, 0.2, 0.5, 0.9)
    for circuit in keep:
        got = tiny64.forward_circuit(Tokens.of(CLEAN), ablated, circuit[None]).logits[0]
        for row, ids in enumerate(CLEAN):
            slow = SlowRun(tiny64, ids, keep=circuit.double(), ablated=ablated[:, row, : len(ids)])
            rounding(tiny64).check(got[row], slow.logits)


def test_the_reference_is_transformers(tiny64: ResidualModel) -> None:
    for ids in CLEAN:
        expected = tiny64.module(torch.tensor([ids])).logits[0, -1]
        rounding(tiny64).check(SlowRun(tiny64, ids).logits, expected)


@pytest.mark.parametrize("ablation", ["counterfactual", "zero"])
def test_many_circuits_at_once_are_one_at_a_time(tiny64: ResidualModel, ablation: str) -> None:
    tokens, ablated = Tokens.of(CLEAN), nodes_of(tiny64, OTHER) * (ablation == "counterfactual")
    keep = random_masks(tiny64, 0.0, 0.05, 0.1, 0.5, 1.0)
    together = tiny64.forward_circuit(tokens, ablated, keep).logits
    for circuit, logits in zip(keep, together, strict=True):
        alone = tiny64.forward_circuit(tokens, ablated, circuit[None]).logits[0]
        rounding(tiny64).check(logits, alone)


@GENTLE
@given(order=st.permutations(range(4)), prompts=st.permutations(range(3)))
def test_the_order_of_circuits_and_prompts_does_not_matter(
    tiny64: ResidualModel, order: list[int], prompts: list[int]
) -> None:
    ablated, keep = nodes_of(tiny64, OTHER), random_masks(tiny64, 0.05, 0.2, 0.5, 0.9)
    straight = tiny64.forward_circuit(Tokens.of(CLEAN), ablated, keep).logits
    shuffled = tiny64.forward_circuit(Tokens.of([CLEAN[row] for row in prompts]), ablated[:, prompts], keep[order])
    rounding(tiny64).check(shuffled.logits, straight[order][:, prompts])


def test_one_prompt_alone_is_the_same_prompt_in_a_padded_batch(tiny64: ResidualModel) -> None:
    keep = random_masks(tiny64, 0.2, 0.6)
    batch = tiny64.forward_circuit(Tokens.of(CLEAN), nodes_of(tiny64, OTHER), keep).logits
    for row, (ids, other) in enumerate(zip(CLEAN, OTHER, strict=True)):
        alone = tiny64.forward_circuit(Tokens.of([ids]), nodes_of(tiny64, [other]), keep).logits
        rounding(tiny64).check(batch[:, row], alone[:, 0])


@GENTLE
@given(seed=st.integers(0, 10_000), density=st.sampled_from([0.1, 0.4, 1.0]), first=st.integers(0, 26))
def test_resuming_from_a_larger_circuit_is_running_from_scratch(
    tiny64: ResidualModel, seed: int, density: float, first: int
) -> None:
    tokens, ablated = Tokens.of(CLEAN), nodes_of(tiny64, OTHER)
    large = random_masks(tiny64, density, seed=seed)
    small = large & random_masks(tiny64, 0.5, 0.8, seed=seed + 1)
    small[:, :first] = large[:, :first]
    state = tiny64.forward_circuit(tokens, ablated, large).state
    resumed = tiny64.forward_circuit(tokens, ablated, small, resume=state)
    scratch = tiny64.forward_circuit(tokens, ablated, small)
    rounding(tiny64).check(resumed.logits, scratch.logits)
    again = tiny64.forward_circuit(tokens, ablated, small[:1] & small[1:], resume=resumed.state)
    rounding(tiny64).check(again.logits, tiny64.forward_circuit(tokens, ablated, small[:1] & small[1:]).logits)


def test_resuming_with_nothing_changed_gives_the_same_circuit(tiny64: ResidualModel) -> None:
    tokens, ablated, keep = Tokens.of(CLEAN), nodes_of(tiny64, OTHER), random_masks(tiny64, 0.3)
    run = tiny64.forward_circuit(tokens, ablated, keep)
    again = tiny64.forward_circuit(tokens, ablated, keep, resume=run.state)
    rounding(tiny64).check(again.logits, run.logits)


@pytest.mark.parametrize("circuits", [1, 5])
@pytest.mark.parametrize("start", [0, 1])
def test_circuits_that_differ_in_the_last_sum_alone_run_no_node_again(
    tiny64: ResidualModel, circuits: int, start: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = [[ids[0], *rest[1:]] for ids, rest in zip(CLEAN, OTHER, strict=True)]
    tokens, ablated = Tokens.of(CLEAN), nodes_of(tiny64, other)
    large = random_masks(tiny64, 0.6)
    state = tiny64.forward_circuit(tokens, ablated, large, start=start).state
    keep = large.repeat(circuits, 1, 1)
    keep[:, -1] &= random_masks(tiny64, *torch.linspace(0, 1, circuits).tolist(), seed=1)[:, -1]
    with monkeypatch.context() as patch:
        patch.setattr(type(tiny64.blocks[0]), "attend", None)  # a layer that ran would fail
        resumed = tiny64.circuit_logits(tokens, ablated, keep, resume=state, start=start)
    rounding(tiny64).check(resumed, tiny64.forward_circuit(tokens, ablated, keep).logits)


def test_a_run_cannot_resume_from_a_circuit_that_lacks_an_edge(tiny64: ResidualModel) -> None:
    tokens, ablated = Tokens.of(CLEAN), nodes_of(tiny64, OTHER)
    whole = torch.from_numpy(tiny64.graph.valid)[None]
    state = tiny64.forward_circuit(tokens, ablated, random_masks(tiny64, 0.5)).state
    with pytest.raises(ValueError, match="contains it"):
        tiny64.forward_circuit(tokens, ablated, whole, resume=state)


@pytest.mark.parametrize("density", [0.3, 1.0])
def test_mask_gradients_are_the_slopes_of_the_mask_made_continuous(tiny64: ResidualModel, density: float) -> None:
    ablated, keep = nodes_of(tiny64, OTHER), random_masks(tiny64, density)[0]
    gradients = tiny64.circuit_gradients(Tokens.of(CLEAN), ablated, keep, values)
    graph = tiny64.graph
    computed = graph.live_nodes(keep.numpy()) & graph.needed_nodes(keep.numpy())
    read = {channel for node in np.flatnonzero(computed) for channel in graph.channels_of(int(node))}
    read.add(graph.logits_channel)
    edges = [(r, w) for r in sorted(read) for w in np.flatnonzero(computed[: graph.senders[r]]).tolist()]
    assert set(map(tuple, gradients.nonzero().tolist())) <= set(edges)
    draw = torch.Generator().manual_seed(0)
    step = 1e-5
    for index in torch.randperm(len(edges), generator=draw)[:16].tolist():
        ends = [0.0, 0.0]
        for end, sign in enumerate((1, -1)):
            moved = keep.double()
            moved[edges[index]] += sign * step
            for row, ids in enumerate(CLEAN):
                slow = SlowRun(tiny64, ids, keep=moved, ablated=ablated[:, row, : len(ids)])
                ends[end] += float(values(slow.logits[None])[0])
        assert float(gradients[edges[index]]) == rounding(tiny64, passes=3).slope(ends[0], ends[1], step)
