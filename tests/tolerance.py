"""How far two computations of one value may differ by rounding alone.

Two ways to compute a number that are equal in exact arithmetic differ in floating point: kernels add in other orders,
with other widths, on other numbers of threads. A bound on that difference follows from three things:

* `eps`, the spacing of the dtype's numbers at 1;
* the *magnitude* of the values that the computation passes through (not of its result: a difference of two logits is
  as inexact as the logits);
* the number of *additions* in a row between the inputs and the result.

Each addition rounds by at most eps/2 of the magnitude. n roundings that are independent and unbiased add up to at most
λ √n eps/2, except with a probability of 2 exp(−λ²/2) (Higham and Mary, "A new approach to probabilistic rounding error
analysis", SIAM J. Sci. Comput. 41, 2019, theorem 2.4). Both computations round, so their difference is at most

    λ √n eps magnitude,    with λ = 8: a probability of 3e-14 for each number compared.

The worst case, n eps magnitude, is never reached by sums of more than a few dozen terms, and would hide real faults.

Only use it where rounding is the only difference. A bound that has another reason (a sample, an optimiser that stops
early, digits that were written to a file) is written as a number with its reason next to it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import CodeType, FunctionType
from typing import Any

import numpy as np
import pytest
import torch
from tiny import DoubleRMSNorm
from torch import Tensor

from wheatstone.models import ResidualModel

DEVIATIONS = 8
"""λ above."""
POSITIONS = 32
"""Tokens of a prompt in these tests, at most: attention adds over them."""


@dataclass(frozen=True)
class Rounding:
    """The rounding of one computation.

    Args:
        additions: that follow each other, from the inputs to the result.
        dtype: the least precise one on the way.
    """

    additions: int
    dtype: torch.dtype = torch.float64

    def times(self, passes: int) -> Rounding:
        """A computation that is `passes` times as long."""
        return replace(self, additions=passes * self.additions)

    def bound(self, magnitude: float = 1.0) -> float:
        """The largest difference that rounding explains.

        Args:
            magnitude: of the largest value that the computation passes through; where the result is divided by a
                small number at the end, divide the magnitude by it too.
        """
        return DEVIATIONS * self.additions**0.5 * torch.finfo(self.dtype).eps * magnitude

    def near(self, expected: Any, *, magnitude: float | None = None) -> Any:
        """`expected`, a number or a list, tuple or dictionary of numbers, as `pytest.approx` compares it.

        Args:
            expected: the right value.
            magnitude: see `bound`; the largest expected value by default, and at least 1.
        """
        return pytest.approx(expected, rel=0, abs=self.bound(_magnitude(expected) if magnitude is None else magnitude))

    def slope(self, up: float, down: float, step: float) -> Any:
        """The slope between two values of a function, as `near` gives a number: the step divides their rounding.

        Args:
            up: the value one step up.
            down: the value one step down.
            step: so small that what it leaves out, of the order of its square, is less than the rounding: in float64
                1e-5 for one number, 1e-6 for all at once.
        """
        return self.near((up - down) / (2 * step), magnitude=_magnitude((up, down)) / step)

    def check(self, got: Tensor, expected: Tensor, *, magnitude: float | None = None, say: str = "") -> None:
        """Fails where two tensors differ by more than rounding.

        Args:
            got: what was computed.
            expected: the same by another way.
            magnitude: see `bound`; the largest expected value by default, and at least 1.
            say: what was compared, for the message.
        """
        atol = self.bound(_magnitude(expected) if magnitude is None else magnitude)
        torch.testing.assert_close(got, expected, atol=atol, rtol=0, msg=lambda text: f"{say} {text}".strip())


def rounding(
    model: ResidualModel, *, passes: int = 1, positions: int = POSITIONS, dtype: torch.dtype | None = None
) -> Rounding:
    """The rounding from a model's embeddings to its logits.

    Args:
        model: whose layers add: over the width in each norm and projection, over the MLP's inputs, over positions.
        passes: how many times as long the computation is: 3 for a gradient (forward, then back through both factors
            of each product).
        positions: tokens of a prompt, at most.
        dtype: where a step is less precise than the model's parameters and norms: transformers' eager attention takes
            its softmax in float32.
    """
    config = model.module.config.get_text_config()
    width = config.hidden_size
    sizes = [getattr(config, name, None) or 0 for name in ("intermediate_size", "n_inner", "ffn_dim")]
    inner = max(sizes) or 4 * width  # as GPT-2's configuration means no size
    # norm, q/k/v, attention's scores and values, its output, norm, the MLP's input and its output, two residual sums
    layer = width + width + 2 * positions + width + width + width + inner + 2
    return Rounding(passes * (model.graph.layers * layer + 2 * width), dtype or _dtype_of(model))


def is_numerical(test: Callable[..., object]) -> bool:
    """Whether a test, or a function of its module that it calls, compares with a rounding bound."""
    made_by_hypothesis = getattr(test, "hypothesis", None)
    function = inspect.unwrap(made_by_hypothesis.inner_test if made_by_hypothesis else test)
    seen: list[CodeType] = [function.__code__]
    for code in seen:
        if {"rounding", "Rounding"} & set(code.co_names):
            return True
        called = map(function.__globals__.get, code.co_names)
        helpers = [other.__code__ for other in called if isinstance(other, FunctionType)]
        inside = [other for other in code.co_consts if isinstance(other, CodeType)]
        seen += [other for other in (*helpers, *inside) if other not in seen and other.co_filename == code.co_filename]
    return False


def _magnitude(expected: Any) -> float:
    """The largest of some values; at least 1, the scale of a normalised stream."""
    if isinstance(expected, Tensor):
        return max(1.0, float(expected.detach().abs().max())) if expected.numel() else 1.0
    if isinstance(expected, Mapping):
        return max(1.0, *map(_magnitude, expected.values()))
    if isinstance(expected, Sequence | np.ndarray):
        return max([1.0, *map(_magnitude, expected)])
    return max(1.0, abs(float(expected)))


def _dtype_of(model: ResidualModel) -> torch.dtype:
    """Of the least precise step: the norms of transformers pass through float32 whatever the parameters are."""
    dtype = next(model.module.parameters()).dtype
    kinds = {type(module) for module in model.module.modules()} - {torch.nn.LayerNorm, DoubleRMSNorm}
    through_float32 = any("Norm" in kind.__name__ for kind in kinds)
    return torch.float32 if dtype == torch.float64 and through_float32 else dtype
