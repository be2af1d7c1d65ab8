"""Runs with gates at all nodes: the model itself with all open, another run with all closed, slopes as differences."""

from __future__ import annotations

import functools

import pytest
import torch
from tiny import make_tiny
from tiny_families import FAMILY_CONFIGS, tiny_family
from tolerance import rounding
from torch import Tensor

from wheatstone._errors import ModelError
from wheatstone.models import LINEAR, NodeValues, ResidualModel, Tokens, run_nodes

ROUTED = ("mixtral", "olmoe", "qwen3_moe")
CASES = [case for case in FAMILY_CONFIGS if not case.startswith(ROUTED)]
PROMPT, OTHER = [7, 3, 1, 4, 1, 5, 9, 2], [7, 3, 6, 4, 1, 5, 8, 2]

model_of = functools.cache(tiny_family)


def gates_of(model: ResidualModel, value: float, batch: int = 1) -> NodeValues:
    """In float64, in which a small step is exact enough."""
    width = len(PROMPT)
    return NodeValues(
        tuple(torch.full((batch, width, block.heads), value, dtype=torch.float64) for block in model.blocks),
        tuple(torch.full((batch, width, block.neurons), value, dtype=torch.float64) for block in model.blocks),
    )


def difference(logits: Tensor) -> Tensor:
    return logits[:, 3] - logits[:, 5]


@pytest.mark.parametrize("case", CASES)
def test_open_gates_are_the_model_and_closed_ones_the_other_run(case: str) -> None:
    model = model_of(case)
    tokens, others = Tokens.of([PROMPT]), Tokens.of([OTHER])
    ablated = run_nodes(model, others)
    plain = model.forward(tokens).logits
    rounding(model).check(run_nodes(model, tokens).logits, plain)
    rounding(model).check(run_nodes(model, tokens, gates=gates_of(model, 1.0), ablated=ablated.values).logits, plain)
    closed = run_nodes(model, tokens, gates=gates_of(model, 0.0), ablated=ablated.values).logits
    # The last token is the same in both prompts, and so is what the embeddings write there.
    rounding(model).check(closed, model.forward(others).logits)


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_slopes_are_differences(kind: str) -> None:
    """The slope by a gate is the change of the metric with it, to first order."""
    model = make_tiny(kind, torch.float64)
    tokens, others = Tokens.of([PROMPT]), Tokens.of([OTHER])
    ablated = run_nodes(model, others).values
    run = run_nodes(model, tokens, gates=gates_of(model, 0.5), ablated=ablated, loss=difference)
    assert run.gradients is not None
    slopes = run.gradients.slopes(run.values, ablated)
    step = 1e-5
    for part, layer, position, index in (("heads", 1, 5, 2), ("neurons", 0, 7, 3), ("neurons", 2, 2, 1)):
        up, down = (
            float(difference(run_nodes(model, tokens, gates=moved, ablated=ablated).logits))
            for moved in (moved_gate(model, part, layer, position, index, sign * step) for sign in (1, -1))
        )
        found = float(getattr(slopes, part)[layer][0, position, index])
        assert found == rounding(model).slope(up, down, step)


def moved_gate(model: ResidualModel, part: str, layer: int, position: int, index: int, by: float) -> NodeValues:
    gates = gates_of(model, 0.5)
    getattr(gates, part)[layer][0, position, index] += by
    return gates


def test_prompts_of_a_batch_have_gates_of_their_own() -> None:
    model = model_of("llama")
    tokens = Tokens.of([PROMPT, PROMPT])
    ablated = run_nodes(model, Tokens.of([OTHER])).values
    gates = gates_of(model, 1.0, batch=2)
    gates.heads[0][1] = 0
    both = run_nodes(model, tokens, gates=gates, ablated=ablated).logits
    rounding(model).check(both[0], model.forward(tokens).logits[0])
    alone = run_nodes(model, tokens.rows(slice(1, 2)), gates=gates.rows(slice(1, 2)), ablated=ablated).logits
    rounding(model).check(both[1], alone[0])
    assert not torch.allclose(both[0], both[1])


def test_relevance_of_the_embeddings_is_the_metric() -> None:
    """Without biases, and under linear rules, gradient times input adds up to the metric."""
    model = model_of("llama")
    run = run_nodes(model, Tokens.of([PROMPT]), loss=difference, rules=LINEAR)
    assert run.input_gradient is not None
    found = (run.input_gradient * run.input).sum()
    rounding(model).times(2).check(found, difference(run.logits)[0])


@pytest.mark.parametrize("case", ROUTED)
def test_experts_have_no_neurons(case: str) -> None:
    with pytest.raises(ModelError, match="an MLP with neurons"):
        run_nodes(model_of(case), Tokens.of([PROMPT]))
