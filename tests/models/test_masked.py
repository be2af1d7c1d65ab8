"""Runs under a mask of real shares, and their gradients, against the definition and finite differences."""

from __future__ import annotations

import pytest
import torch
from slow import SlowRun
from tiny_families import tiny_family
from tolerance import rounding
from torch import Tensor

from wheatstone.models import ResidualModel, Tokens
from wheatstone.models._masked import mask_gradient_bytes

CLEAN = [[3, 1, 4, 1, 5], [9, 2, 6], [5, 3, 5, 8, 9, 7, 9]]
OTHER = [[3, 2, 4, 1, 5], [9, 8, 6], [5, 3, 0, 8, 1, 7, 9]]


def values(logits: Tensor, rows: slice = slice(0, 3)) -> Tensor:
    """They bend and differ from prompt to prompt."""
    return torch.tensor([1.0, -2.0, 0.5])[rows] * logits.log_softmax(-1)[:, 3]


def loss(logits: Tensor, rows: slice) -> Tensor:
    return values(logits, rows).sum()


def random_mask(model: ResidualModel, *, sparse: bool = False) -> Tensor:
    draw = torch.Generator().manual_seed(0)
    mask = torch.rand(model.graph.valid.shape, generator=draw, dtype=torch.float64)
    return mask * torch.from_numpy(model.graph.valid) * (mask > 0.8 if sparse else 1)


@pytest.mark.parametrize("ablation", ["counterfactual", "zero"])
@pytest.mark.parametrize("sparse", [False, True])
def test_loss_and_gradient_are_the_definitions(tiny64: ResidualModel, ablation: str, sparse: bool) -> None:
    ablated = tiny64.streams(Tokens.of(OTHER)).nodes * (ablation == "counterfactual")
    mask = random_mask(tiny64, sparse=sparse)

    def slow(mask: Tensor) -> float:
        runs = [
            SlowRun(tiny64, ids, keep=mask, ablated=ablated[:, row, : len(ids)]).logits for row, ids in enumerate(CLEAN)
        ]
        return float(loss(torch.stack(runs), slice(0, 3)))

    value, gradient = tiny64.mask_gradients(Tokens.of(CLEAN), ablated, mask, loss)
    assert value == rounding(tiny64).near(slow(mask))
    assert (gradient[~torch.from_numpy(tiny64.graph.valid)] == 0).all()
    draw = torch.Generator().manual_seed(1)
    edges = torch.from_numpy(tiny64.graph.valid).nonzero()  # closed ones too: the mask may open them
    step = 1e-5
    for edge in edges[torch.randperm(len(edges), generator=draw)[:8]].tolist():
        move = torch.zeros_like(mask)
        move[tuple(edge)] = step
        expected = rounding(tiny64, passes=3).slope(slow(mask + move), slow(mask - move), step)
        assert float(gradient[tuple(edge)]) == expected


def test_a_start_that_prompts_share_is_left_out(tiny64: ResidualModel) -> None:
    """The first tokens are the same in the prompts and in those that the ablated outputs come from."""
    tokens, ablated = Tokens.of(CLEAN), tiny64.streams(Tokens.of(OTHER)).nodes
    value, gradient = tiny64.mask_gradients(tokens, ablated, random_mask(tiny64), loss)
    part, same = tiny64.mask_gradients(tokens, ablated, random_mask(tiny64), loss, start=1)
    assert part == rounding(tiny64).near(value)
    rounding(tiny64, passes=3).check(same, gradient)


@pytest.mark.parametrize("case", ["gpt2", "gptj", "opt", "gpt_neox", "gemma2", "olmo2", "granite", "cohere"])
def test_a_mask_of_zeros_and_ones_is_a_circuit(case: str) -> None:
    model = tiny_family(case, torch.float64)
    tokens, ablated = Tokens.of(CLEAN), model.streams(Tokens.of(OTHER)).nodes
    keep = random_mask(model) > 0.4
    for written in (ablated, torch.zeros_like(ablated)):
        value, gradient = model.mask_gradients(tokens, written, keep.double(), loss)
        logits = model.forward_circuit(tokens, written, keep[None]).logits[0]
        assert value == rounding(model).near(float(loss(logits, slice(0, 3))))
        slopes = model.circuit_gradients(tokens, written, keep, values)
        rounding(model, passes=3).check(gradient[keep], slopes[keep].double())


def test_prompts_in_pieces_give_the_same(tiny64: ResidualModel) -> None:
    tokens, ablated, mask = Tokens.of(CLEAN), tiny64.streams(Tokens.of(OTHER)).nodes, random_mask(tiny64)
    value, gradient = tiny64.mask_gradients(tokens, ablated, mask, loss)
    each = mask_gradient_bytes(tiny64, tokens)
    for budget in (1, 2 * each):
        part, pieces = tiny64.mask_gradients(tokens, ablated, mask, loss, budget=budget)
        assert part == rounding(tiny64).near(value)
        rounding(tiny64, passes=3).check(pieces, gradient)


def test_a_split_mlps_parts_have_gates_of_their_own(tiny64: ResidualModel) -> None:
    model = tiny64.split({1: "neurons"})
    tokens, ablated = Tokens.of(CLEAN), model.streams(Tokens.of(OTHER)).nodes
    keep = random_mask(model) > 0.4
    value, gradient = model.mask_gradients(tokens, ablated, keep.double(), loss)
    logits = model.forward_circuit(tokens, ablated, keep[None]).logits[0]
    assert value == rounding(model).near(float(loss(logits, slice(0, 3))))
    slopes = model.circuit_gradients(tokens, ablated, keep, values)
    rounding(model, passes=3).check(gradient[keep], slopes[keep])


@pytest.mark.parametrize("budget", [None, 1])
def test_each_prompt_can_have_a_mask_of_its_own(tiny64: ResidualModel, budget: int | None) -> None:
    tokens, ablated = Tokens.of(CLEAN), tiny64.streams(Tokens.of(OTHER)).nodes
    masks = torch.stack([random_mask(tiny64, sparse=True), random_mask(tiny64), torch.zeros(tiny64.graph.valid.shape)])
    value, gradient = tiny64.mask_gradients(tokens, ablated, masks, loss, budget=budget)
    alone = [
        tiny64.mask_gradients(tokens, ablated, mask, lambda logits, rows, row=row: values(logits, rows)[row])
        for row, mask in enumerate(masks)
    ]
    assert value == rounding(tiny64).near(sum(part for part, _ in alone))
    rounding(tiny64, passes=3).check(gradient, torch.stack([slope for _, slope in alone]))
