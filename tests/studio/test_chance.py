"""What two circuits share by chance: by counting all sets, and as the API says it."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient
from tolerance import Rounding

from wheatstone.studio._chance import overlap_by_chance


@given(data=st.data())
def test_every_set_of_a_size_is_as_likely_as_another(data: st.DataObject) -> None:
    total = data.draw(st.integers(1, 7))
    a, b = (data.draw(st.integers(0, total)) for _ in range(2))
    ours, sets = set(range(a)), [set(each) for each in combinations(range(total), b)]
    shared = [len(ours & theirs) for theirs in sets]
    both = data.draw(st.sampled_from(shared))
    found = overlap_by_chance(a, b, both, total)
    overlaps = [Fraction(k, len(ours | theirs)) if k else Fraction(0) for k, theirs in zip(shared, sets, strict=True)]
    # Logarithms of factorials up to 7! add some ten roundings to each of at most eight terms.
    near = Rounding(80).near
    assert found.overlap == near(float(sum(overlaps) / len(sets)), magnitude=1.0)
    assert found.shared == near(sum(shared) / len(sets), magnitude=7.0)
    assert found.at_least == near(sum(k >= both for k in shared) / len(sets), magnitude=1.0)


def test_the_api_says_it_and_refuses_what_cannot_be(client: TestClient) -> None:
    found = client.get("/api/v1/chance", params={"a": 14, "b": 1413, "both": 9, "total": 70651}).json()
    assert found["shared"] == 14 * 1413 / 70651
    assert 0 < found["overlap"] < 0.001
    assert 0 < found["at_least"] < 1e-9
    for wrong in ({"both": 15}, {"a": 70652}, {"a": -1}, {"a": 10**6}, {"total": 0}, {"b": "x"}):
        params = {"a": 14, "b": 1413, "both": 9, "total": 70651} | wrong
        assert client.get("/api/v1/chance", params=params).status_code == 422, wrong


@pytest.mark.parametrize(("a", "b"), [(100_000, 100_000), (0, 100_000)])
def test_large_circuits_are_no_work(a: int, b: int) -> None:
    found = overlap_by_chance(a, b, 0, 6_400_000)
    # Each of nine logarithms of factorials is at most ln(6,400,000!), below 6,400,000 · 16, and rounded to that.
    assert found.at_least == Rounding(9).near(1.0, magnitude=16 * 6_400_000)
    assert found.shared == a * b / 6_400_000
