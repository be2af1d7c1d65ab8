"""Years foreseen: two digits whole, by hand and against one prompt at a time."""

from __future__ import annotations

import pytest
import torch
from tolerance import rounding

from wheatstone import RequestError, ResidualModel
from wheatstone.mechanisms import year_cells, year_pairs, year_probabilities, year_sums


def test_sums_by_hand() -> None:
    found = torch.zeros(2, 100, dtype=torch.float64)
    found[0, [39, 40, 41, 60]] = torch.tensor([0.1, 0.05, 0.4, 0.3], dtype=torch.float64)
    found[1, [2, 4, 50]] = torch.tensor([0.2, 0.5, 0.1], dtype=torch.float64)
    sums = year_sums(found, [40, 3])
    assert sums.mass == pytest.approx((0.85 + 0.8) / 2)
    assert sums.later == pytest.approx((0.7 + 0.6) / 2)
    assert sums.difference == pytest.approx((0.55 + 0.4) / 2)
    assert sums.sharpness == pytest.approx((0.3 + 0.3) / 2)
    assert sums.difference_low is sums.difference_high is None  # two prompts are too few
    four = year_sums(found.repeat(2, 1), [40, 3, 40, 3])
    reach = 3.18244631 * (1 + 9 / 64) * 0.075 / 3**0.5  # t(3), widened for four values, times s / √n
    assert (four.difference_low, four.difference_high) == pytest.approx((0.475 - reach, 0.475 + reach))


def test_prompts_of_one_start_are_averaged() -> None:
    found = torch.eye(100, dtype=torch.float64)[[7, 9, 9]]
    cells = {(cell.start, cell.year): cell for cell in year_cells(found, [5, 5, 6])}
    assert len(cells) == 200
    assert (cells[5, 7].probability, cells[5, 9].probability, cells[5, 9].n) == (0.5, 0.5, 2)
    assert (cells[6, 9].probability, cells[6, 7].probability, cells[6, 9].n) == (1.0, 0.0, 1)


@pytest.mark.real_weights
def test_digit_by_digit_is_the_product(smollm2: ResidualModel) -> None:
    prompt = "The war lasted from the year 1732 to the year 17"
    (found,) = year_probabilities(smollm2, [prompt])
    assert 0.99 < found.sum() <= 1 + 1e-9
    ids = smollm2.encode(f"{prompt}58")
    logits = smollm2.forward(smollm2.tokens([f"{prompt}58"]), all_positions=True).logits[0].double().log_softmax(-1)
    expected = float((logits[-3, ids[-2]] + logits[-2, ids[-1]]).exp())
    # A logit's error, about 20 roundings of 1, is a probability's relative error.
    assert found[58] == rounding(smollm2).near(expected, magnitude=20 * expected)
    pairs = year_pairs(smollm2, "The {noun} lasted from {century}{year:02d} to {century}", nouns=["war"], count=3)
    assert all(pair.counterfactual.split(" to ")[0].endswith("01") for pair in pairs)
    assert {len(pair.answers) + len(pair.distractors) for pair in pairs} == {9}  # all digits but the same


def test_a_prompt_that_digits_do_not_follow_is_refused(tiny: ResidualModel) -> None:
    with pytest.raises(RequestError, match="two digits follow"):
        year_probabilities(tiny, ["w1 w2"])
