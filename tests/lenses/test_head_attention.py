from __future__ import annotations

import pytest

from wheatstone import Experiment, RequestError
from wheatstone.lenses import head_attention


def test_rows_are_the_patterns_up_to_each_query(tiny_experiment: Experiment) -> None:
    rows = head_attention(tiny_experiment, ["a2.h3", "a0.h1"])
    weights = tiny_experiment.model.attention(tiny_experiment.encoded.clean)
    assert len(rows) == 2 * (10 + 21 + 3)  # heads times the triangles of prompts of 4, 6 and 2 tokens
    for row in rows:
        layer, head = {"a2.h3": (2, 3), "a0.h1": (0, 1)}[row.head]
        assert row.weight == float(weights[layer, row.prompt, head, row.query, row.key])
    sums: dict[tuple[int, str, int], float] = {}
    for row in rows:
        assert row.key <= row.query
        where = (row.prompt, row.head, row.query)
        sums[where] = sums.get(where, 0.0) + row.weight
    assert list(sums.values()) == pytest.approx([1] * 24)


def test_no_heads_no_rows(tiny_experiment: Experiment) -> None:
    assert head_attention(tiny_experiment, []) == []


@pytest.mark.parametrize("name", ["m0", "a3.h0", "a0.g0", "input"])
def test_what_is_not_a_head_is_refused(tiny_experiment: Experiment, name: str) -> None:
    with pytest.raises(RequestError, match=r"from a0\.h0 to a2\.h3"):
        head_attention(tiny_experiment, [name])


@pytest.mark.real_weights
def test_the_mover_looks_at_france(france: Experiment) -> None:
    rows = head_attention(france, ["a23.h4"])
    assert next(row.weight for row in rows if (row.query, row.key) == (5, 4)) > 0.7
