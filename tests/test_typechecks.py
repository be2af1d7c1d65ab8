"""Shapes and types are checked while the tests run."""

from __future__ import annotations

from functools import partial
from typing import Any, cast

import pytest
import torch
import typechecks
from beartype import BeartypeConf, beartype
from jaxtyping import Float
from torch import Tensor

from wheatstone.models import wide

CHECKER = partial(beartype, conf=BeartypeConf(is_pep484_tower=True))
Rows = Float[Tensor, "row column"]


def _product(left: Float[Tensor, "row inner"], right: Float[Tensor, "inner column"]) -> Rows:
    return left @ right


def _first(rows: Rows) -> Float[Tensor, " column"]:
    return rows[:, 0]


def _half(number: float) -> float:
    return number / 2


product, first, half = (typechecks.checked(function, typechecker=CHECKER) for function in (_product, _first, _half))


def test_what_agrees_passes() -> None:
    assert product(torch.ones(2, 3), torch.ones(3, 4)).shape == (2, 4)
    assert half(3) == 1.5


@pytest.mark.parametrize(
    "call",
    [
        lambda: product(torch.ones(2, 3), torch.ones(4, 5)),  # dimensions of one name
        lambda: product(torch.ones(2, 3), torch.ones(3)),  # their number
        lambda: product(torch.ones(2, 3, dtype=torch.long), torch.ones(3, 4)),
        lambda: first(torch.ones(2, 3)),  # what is returned, against what was given
        lambda: half("3"),
        lambda: wide(cast("Any", "no tensor")),  # a function of the package itself
    ],
)
def test_what_does_not_is_an_error(call: Any) -> None:
    with pytest.raises(Exception, match=r"violates type hint|Type-check error"):
        call()


def test_calls_in_a_call_have_dimensions_of_their_own() -> None:
    @partial(typechecks.checked, typechecker=CHECKER)
    def outer(rows: Rows) -> Rows:
        return product(rows.T, rows)

    assert outer(torch.ones(2, 2)).shape == (2, 2)
    with pytest.raises(Exception, match="violates type hint"):
        outer(torch.ones(2, 3))  # the product is three by three, its own dimensions agree


def test_the_first_calls_of_each_test_are_checked() -> None:
    typechecks.test_begins()
    for _ in range(typechecks._CALLS):
        half(3)
    with pytest.raises(TypeError):  # Python's own
        half(cast("Any", "3"))
    typechecks.test_begins()
    with pytest.raises(Exception, match="violates type hint"):
        half(cast("Any", "3"))
