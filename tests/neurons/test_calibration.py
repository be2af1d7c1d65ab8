"""Bins by hand, observations against single runs."""

from __future__ import annotations

import math

import pytest
import torch
from tolerance import rounding

from wheatstone import RequestError, ResidualModel
from wheatstone.models import KnockOut, Neuron, Tokens
from wheatstone.neurons import Observations, calibrate, doses, observe


def _seen(*rows: tuple[float, float, bool, float, int]) -> Observations:
    activations, probabilities, first, changed, texts = zip(*rows, strict=True)
    return Observations(
        torch.tensor(activations), torch.tensor(probabilities), torch.tensor(first), torch.tensor(changed),
        torch.tensor(texts),
    )  # fmt: skip


_ROWS = (
    (0.0, 0.1, False, 0.1, 0),
    (1.0, 0.2, False, 0.3, 1),
    (1.5, 0.0, False, 0.2, 1),
    (2.0, 0.6, True, 0.2, 0),
    (4.0, 0.8, True, 0.1, 1),
    (4.0, 1.0, False, math.nan, 1),
)


def test_bins_by_hand() -> None:
    found = calibrate(_seen(*_ROWS), edges=[0, 2, 3, 4])
    low, middle, high = found.bins
    assert found.places == 6
    assert found.base == pytest.approx(2.7 / 6)
    assert (low.places, low.texts, low.activation) == (3, 2, pytest.approx(2.5 / 3))
    assert low.probability.mean == pytest.approx(0.1)
    assert low.first.mean == 0
    assert low.effect is not None
    assert low.effect.mean == pytest.approx(-0.1)
    assert (middle.low, middle.places, middle.texts) == (2, 1, 1)  # an end belongs to the bin above it
    assert (high.places, high.first.mean) == (2, 0.5)


def test_the_last_bin_holds_its_end_and_what_was_not_run_is_left_out() -> None:
    found = calibrate(_seen(*_ROWS), bins=4)
    assert [(row.low, row.places) for row in found.bins] == [(0, 1), (1, 2), (2, 1), (3, 2)]
    last = found.bins[-1]
    assert last.probability.mean == pytest.approx(0.9)
    assert last.first.mean == 0.5
    assert last.effect is not None
    assert last.effect.mean == pytest.approx(0.7)
    assert (last.texts, last.probability.low) == (1, None)


def test_intervals_are_over_texts() -> None:
    rows = [(1.0, text / 10, False, 0.0, text) for text in range(10) for _ in range(text + 1)]
    (found,) = calibrate(_seen(*rows), bins=1).bins
    assert found.probability.mean == pytest.approx(0.6)
    low, high = found.probability.low, found.probability.high
    assert low is not None
    assert high is not None
    # As independent observations these would be 0.07 wide to either side.
    assert 0.3 < low < 0.5
    assert 0.68 < high < 0.85


def test_parts_are_joined_as_other_texts() -> None:
    part = _seen(*_ROWS)
    both = Observations.join([part, part])
    assert both.texts.tolist() == [0, 1, 1, 0, 1, 1, 2, 3, 3, 2, 3, 3]
    assert calibrate(both, bins=1).bins[0].texts == 4


def test_nothing_to_calibrate() -> None:
    none = torch.zeros(0)
    nothing = Observations(none, none, none.bool(), none, none.long())
    with pytest.raises(RequestError, match="at least one observation"):
        calibrate(nothing)
    with pytest.raises(RequestError, match="ends of bins that rise"):
        calibrate(_seen(*_ROWS), edges=[0, 2, 2])


def test_observations_are_what_single_runs_give(tiny: ResidualModel) -> None:
    texts = [[3, 1, 4, 1, 5], [9, 2]]
    seen = observe(tiny, Neuron(1, 6), 7, Tokens.of(texts))
    assert seen.texts.tolist() == [0] * 5 + [1] * 2
    for text, (ids, length, at) in enumerate(((texts[0], 5, 4), (texts[1], 2, 6))):
        tokens = Tokens.of([ids])
        run = tiny.neurons(tokens)
        assert seen.texts[at] == text
        rounding(tiny).check(seen.activations[at], run.activations[1][0, length - 1, 6])
        rounding(tiny).check(seen.probabilities[at], run.logits.softmax(-1)[0, 7])
        assert bool(seen.first[at]) == (int(run.logits.argmax()) == 7)
        without = tiny.forward_with(tokens, [KnockOut(at="m1.n6")]).logits.softmax(-1)[0, 7]
        rounding(tiny).check(seen.changed[at], without)
    assert observe(tiny, Neuron(1, 6), 7, Tokens.of(texts), set_to=None).changed.isnan().all()


def test_a_dose_is_the_neuron_set_at_the_last_position(tiny: ResidualModel) -> None:
    tokens = Tokens.of([[3, 1, 4], [1, 5, 9]])
    own = float(tiny.neurons(tokens).activations[2][1, -1, 3])
    found = doses(tiny, Neuron(2, 3), tokens, [0.0, own, 5.0])
    assert found.shape == (3, 2, 40)
    rounding(tiny).check(found[1, 1], tiny.forward(tokens).logits.softmax(-1)[1])
    without = tiny.forward_with(tokens, [KnockOut(at="m2.n3", positions=(-1,))]).logits.softmax(-1)
    rounding(tiny).check(found[0], without)
