"""Pairs of senders: a case by hand, then what ranking and sums must be for any senders."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tolerance import Rounding
from torch.overrides import TorchFunctionMode

from wheatstone import RequestError
from wheatstone.lenses import Pairs, ScoreTerm, SenderTerm, _score_pairs

D_HEAD = 3


def by_hand() -> Pairs:
    """Two nodes and a bias: pairs are [[2, 0, 1], [-6, 0, -3], [0, 4, 0]]."""
    q = torch.tensor([[1.0, 0.0], [-3.0, 0.0], [0.0, 4.0]], dtype=torch.float64)
    k = torch.tensor([[2.0, 0.0], [0.0, 1.0], [1.0, 0.0]], dtype=torch.float64)
    return Pairs(("input", "m0", "bias.norm"), 2, q, k)


def random_pairs(seed: int, count: int) -> Pairs:
    draw = torch.Generator().manual_seed(seed)
    sizes = torch.rand(count, 1, generator=draw, dtype=torch.float64) ** 4  # some senders are far larger than others
    q, k = (torch.randn(count, D_HEAD, generator=draw, dtype=torch.float64) * sizes for _ in range(2))
    return Pairs(tuple(f"s{index}" for index in range(count)), count - 1, q, k)


def test_pairs_by_hand() -> None:
    pairs = by_hand()
    assert pairs.top(3) == (
        ScoreTerm("m0", "input", -6.0),
        ScoreTerm("bias.norm", "m0", 4.0),
        ScoreTerm("m0", "bias.norm", -3.0),
    )
    assert len(pairs.top(100)) == 5  # the others are 0
    assert pairs.total == -2.0
    assert pairs.by_query() == (SenderTerm("m0", -9.0), SenderTerm("bias.norm", 4.0), SenderTerm("input", 3.0))
    assert pairs.by_key() == (SenderTerm("input", -4.0), SenderTerm("m0", 4.0), SenderTerm("bias.norm", -2.0))
    assert pairs.term("m0", "bias.norm") == ScoreTerm("m0", "bias.norm", -3.0)


def test_a_score_is_dominated_by_bias_where_pairs_with_one_add_more() -> None:
    pairs = by_hand()
    assert pairs.bias == 2.0  # 4 − 3 + 1, next to 2 − 6 of the nodes
    assert not pairs.dominated_by_bias
    assert Pairs(pairs.senders, 1, pairs.q, pairs.k).dominated_by_bias  # −4, next to 2


@given(seed=st.integers(0, 1000), count=st.integers(1, 60), n=st.integers(1, 80), rows=st.integers(1, 9))
def test_top_is_what_sorting_all_pairs_gives(seed: int, count: int, n: int, rows: int) -> None:
    pairs = random_pairs(seed, count)
    every = (pairs.q @ pairs.k.T).flatten()
    expected = every[every.abs().argsort(descending=True, stable=True)][:n].tolist()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_score_pairs, "_ROWS", rows)
        found = pairs.top(n)
    assert [term.value for term in found] == Rounding(D_HEAD).near(expected)
    assert list(found) == [pairs.term(term.query_sender, term.key_sender)._replace(value=term.value) for term in found]


@given(seed=st.integers(0, 1000), count=st.integers(1, 30))
def test_sums_by_sender_add_up_to_the_total(seed: int, count: int) -> None:
    pairs = random_pairs(seed, count)
    additions = Rounding(D_HEAD * count * count)
    for terms in (pairs.by_query(), pairs.by_key(), pairs.top(count * count)):
        assert sum(term.value for term in terms) == additions.near(pairs.total, magnitude=count)


def test_pairs_that_cannot_be_among_the_strongest_are_not_formed(monkeypatch: pytest.MonkeyPatch) -> None:
    q, k = (torch.full((50, D_HEAD), 1e-3, dtype=torch.float64) for _ in range(2))
    q[30] = k[7] = 1.0
    products: list[torch.Size] = []

    class Counting(TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if "matmul" in func.__name__:
                products.append(args[0].shape)
            return func(*args, **(kwargs or {}))

    monkeypatch.setattr(_score_pairs, "_ROWS", 5)
    with Counting():
        assert Pairs(tuple(map(str, range(50))), 50, q, k).top(1) == (ScoreTerm("30", "7", 3.0),)
    assert products == [(5, D_HEAD)]


def test_bad_requests_are_refused() -> None:
    with pytest.raises(RequestError, match="at least 1 pair to show; got 0"):
        by_hand().top(0)
    with pytest.raises(RequestError, match=r"a sender that the head reads, from input to m0, or out of bias.norm; got"):
        by_hand().term("m9", "input")
