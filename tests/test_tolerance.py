"""The rounding bound holds for sums in any order, and real faults are far above it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from prompts import FRANCE
from tiny import make_tiny
from tiny_families import tiny_family
from tolerance import Rounding, is_numerical, rounding

from wheatstone.models import ResidualModel, Scale, Tokens

TOKENS = Tokens.of([[3, 1, 4, 1, 5], [9, 2, 6]])


@given(terms=st.integers(2, 3000), seed=st.integers(0, 1000), dtype=st.sampled_from([torch.float32, torch.bfloat16]))
def test_a_sum_in_any_order_stays_within_the_bound(terms: int, seed: int, dtype: torch.dtype) -> None:
    draw = torch.Generator().manual_seed(seed)
    values = torch.randn(terms, generator=draw).to(dtype)
    orders = [values, values.flip(0), values[torch.randperm(terms, generator=draw)], values.sort().values]
    sums = [float(order.cumsum(0)[-1]) for order in orders]
    magnitude = float(max(order.double().cumsum(0).abs().max() for order in orders))
    assert max(sums) - min(sums) <= Rounding(terms, dtype).bound(magnitude)


def test_the_bound_by_hand() -> None:
    assert Rounding(1, torch.float64).bound() == 8 * 2**-52
    assert Rounding(4, torch.float32).bound(10) == 8 * 2 * 2**-23 * 10
    assert Rounding(4, torch.float32).times(4).bound() == 8 * 4 * 2**-23
    assert Rounding(1, torch.float64).near([3.0, -5.0]) == [3.0, -5.0 + 8 * 2**-50]
    assert Rounding(1, torch.float64).near([3.0, -5.0]) != [3.0, -5.0 + 8 * 2**-49]
    with pytest.raises(AssertionError, match="logits"):
        Rounding(1, torch.float32).check(torch.tensor([1.0]), torch.tensor([1.00001]), say="logits")


def test_a_model_that_rounds_to_float32_on_its_way_is_no_better_than_float32() -> None:
    assert rounding(tiny_family("gemma2", torch.float64)).dtype == torch.float32
    assert rounding(tiny_family("gpt2", torch.float64)).dtype == torch.float64
    assert rounding(make_tiny("llama", torch.float64)).dtype == torch.float64
    assert rounding(make_tiny("llama", torch.bfloat16)).dtype == torch.bfloat16


def larger_by_a_thousandth(model: ResidualModel) -> None:
    """One head in one layer."""
    model.blocks[1].attention.get_parameter("o_proj.weight").data[:, :4] *= 1.001


def another_groups_values(model: ResidualModel) -> None:
    """Heads read the values of the other group."""
    weight = model.blocks[1].attention.get_parameter("v_proj.weight")
    weight.data = weight.data.roll(4, 0)


def another_epsilon(model: ResidualModel) -> None:
    """The final norm adds ten times as much under its root."""
    norm: Any = model.module.get_submodule("model.norm")
    norm.variance_epsilon *= 10


def a_token_more(model: ResidualModel) -> None:
    """The mask lets the second token see the third."""
    attention: Any = model.blocks[0].attention
    forward = attention.forward

    def seeing(*args: Any, **kwargs: Any) -> Any:
        mask = torch.full((5, 5), -torch.inf, dtype=model.dtype).triu(1)
        mask[1, 2] = 0
        return forward(*args, **kwargs | {"attention_mask": mask.expand(2, 1, 5, 5)})

    attention.forward = seeing


@pytest.mark.parametrize(
    ("fault", "dtype", "times"),
    [
        (larger_by_a_thousandth, torch.float32, 5),
        (another_groups_values, torch.float32, 1000),
        (a_token_more, torch.float32, 1000),
        (another_epsilon, torch.float64, 1e6),
        (larger_by_a_thousandth, torch.float64, 1e9),
    ],
)
def test_a_fault_of_a_tiny_model_is_far_above_the_bound(
    fault: Callable[[ResidualModel], None], dtype: torch.dtype, times: float
) -> None:
    right = make_tiny("llama", dtype)
    wrong = copy.deepcopy(right)
    fault(wrong)
    expected = right.forward(TOKENS).logits
    apart = float((wrong.forward(TOKENS).logits - expected).abs().max())
    assert apart > times * rounding(right).bound(float(expected.abs().max()))


@pytest.mark.real_weights
def test_a_fault_of_the_real_model_is_far_above_the_bound(smollm2: ResidualModel) -> None:
    tokens = smollm2.tokens([FRANCE.prompt])
    expected = smollm2.forward(tokens).logits
    tenth = smollm2.forward_with(tokens, [Scale(at="a23.h4", factor=1.1)]).logits
    assert float((tenth - expected).abs().max()) > 10 * rounding(smollm2).bound(float(expected.abs().max()))


def test_numerical_tests_are_recognised_through_the_functions_they_call() -> None:
    assert is_numerical(test_a_fault_of_a_tiny_model_is_far_above_the_bound)
    assert is_numerical(test_a_sum_in_any_order_stays_within_the_bound)
    assert not is_numerical(larger_by_a_thousandth)
