"""What a scan keeps of a layer: by hand on a few numbers, then beside numpy on all of them at once."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from tolerance import rounding

from wheatstone.models import ResidualModel, Tokens
from wheatstone.neurons import (
    BINS,
    PLACE_BITS,
    LayerStatistics,
    NeuronScan,
    Window,
    batches_of,
    bin_edges,
    bins_of,
    ranks,
    windows_of,
)


def test_bins_by_hand() -> None:
    edges = bin_edges()
    assert len(edges) == BINS + 1
    assert sorted(edges) == list(edges)
    assert edges[BINS // 2 : BINS // 2 + 2] == (-(2.0**-7), 2.0**-7)
    values = torch.tensor([0.0, -0.0, 0.007, 2.0**-7, -(2.0**-7), 1.0, 1.49, 1.5, -1.5, 1e9, -1e9])
    middle, one = BINS // 2, BINS // 2 + 15
    assert bins_of(values).tolist() == [
        *(middle, middle, middle, middle + 1, middle - 1),
        *(one, one, one + 1, BINS - 1 - (one + 1), BINS - 1, 0),
    ]
    assert edges[one : one + 3] == (1.0, 1.5, 2.0)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=50))
def test_a_value_lies_between_the_edges_of_its_bin(values: list[float]) -> None:
    edges = bin_edges()
    for value, place in zip(values, bins_of(torch.tensor(values)).tolist(), strict=True):
        inside = edges[place] <= value < edges[place + 1] if value > 0 else edges[place] < value <= edges[place + 1]
        assert inside or place == BINS // 2


@pytest.mark.parametrize("cuts", [(1,), (1, 1, 4), (3, 3), (6,)])
def test_statistics_do_not_depend_on_the_pieces(cuts: tuple[int, ...]) -> None:
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(sum(cuts), 7, 5, generator=draw) * torch.tensor([0.1, 1.0, 3.0, 10.0, 0.0]) + 2.0
    places = torch.arange(sum(cuts) * 7).view(-1, 7)
    keys = torch.from_numpy(ranks(places.numpy(), 3, 23) << PLACE_BITS) | places
    found = LayerStatistics(5, 4)
    start = 0
    for cut in cuts:
        found.see(x[start : start + cut], keys[start : start + cut])
        start += cut
    flat = x.flatten(0, 1).double().numpy()
    mean, m2, m3, m4 = (row.numpy() for row in found.arrays["moments"])
    n = found.count
    assert n == len(flat)
    np.testing.assert_allclose(mean, flat.mean(0), rtol=1e-6)
    np.testing.assert_allclose(m2 / n, flat.var(0), rtol=1e-5, atol=1e-12)
    varied = slice(0, 4)  # the fifth never varies
    m2, m3, m4, flat = m2[varied], m3[varied], m4[varied], flat[:, varied]
    np.testing.assert_allclose(m3 / n / (m2 / n) ** 1.5, stats.skew(flat), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(m4 / n / (m2 / n) ** 2, stats.kurtosis(flat, fisher=False), rtol=1e-4)
    for neuron in range(5):
        counts = np.bincount(bins_of(x[..., neuron].flatten()).numpy(), minlength=BINS)
        assert found.arrays["histogram"][:, neuron].tolist() == counts.tolist()
        _one_of_each_bin(found, x, keys, neuron)
        _strongest_of_windows(found, x, neuron)


def _one_of_each_bin(found: LayerStatistics, x: torch.Tensor, keys: torch.Tensor, neuron: int) -> None:
    bins, own = bins_of(x[..., neuron].flatten()), keys.flatten()
    for bin_ in bins.unique().tolist():
        key = int(own[bins == bin_].min())
        assert int(found.arrays["drawn_key"][bin_, neuron]) == key
        place = key & (1 << PLACE_BITS) - 1
        assert float(found.arrays["drawn"][bin_, neuron]) == float(x[place // 7, place % 7, neuron])


def _strongest_of_windows(found: LayerStatistics, x: torch.Tensor, neuron: int) -> None:
    for end, sign in ((0, 1), (1, -1)):
        best = (sign * x[..., neuron]).amax(1).sort(descending=True).values[:4]
        held, keys = found.arrays["end"][end, :, neuron], found.arrays["end_key"][end, :, neuron]
        assert held[: len(best)].tolist() == best.tolist()
        assert held[len(best) :].tolist() == [-math.inf] * (4 - len(best))
        for value, key in zip(best.tolist(), keys.tolist(), strict=False):
            place = key & (1 << PLACE_BITS) - 1
            assert sign * float(x[place // 7, place % 7, neuron]) == value


def test_ranks_are_spread_and_repeat() -> None:
    places = np.arange(20_000)
    found = ranks(places, 0, 23)
    assert (found == ranks(places, 0, 23)).all()
    assert (found != ranks(places, 1, 23)).any()
    assert found.min() >= 0
    assert found.max() < 2**23
    assert stats.kstest(found / 2**23, "uniform").pvalue > 0.001


def test_windows_cover_a_document(tiny: ResidualModel) -> None:
    text = " ".join(f"w{at % 40}" for at in range(21))
    found = list(windows_of(tiny, text, 4, 5))
    assert [window.start for window in found] == [0, 5, 10, 15]  # the one token left says nothing
    assert [token for window in found for token in window.ids] == tiny.encode(text)[:20]
    assert {window.document for window in found} == {4}
    assert [len(batch) for batch in batches_of(found, 8)] == [2, 2]


def test_long_documents_are_tokenised_in_parts(tiny: ResidualModel) -> None:
    text = "w1 w22\nw3 " * 4000
    tokens = [token for window in windows_of(tiny, text, 0, 32) for token in window.ids]
    assert tokens == tiny.encode(text)
    assert list(windows_of(tiny, "w" * 40_000, 0, 32)) == [Window(0, 0, (0, 0, 0))]  # no blank to cut at


def test_a_scan_sees_what_a_recording_has(tiny: ResidualModel) -> None:
    draw = torch.Generator().manual_seed(0)
    windows = [
        Window(0, 0, tuple(torch.randint(40, (length,), generator=draw).tolist())) for length in (6, 3, 6, 2, 6, 6)
    ]
    scan = NeuronScan(tiny, top=3, width=6)
    scan.see(windows[:4])
    scan.see(windows[4:])
    tokens = Tokens.of([window.ids for window in windows])
    recorded = tiny.neurons(tokens).activations
    inside = torch.arange(6) < tokens.lengths[:, None]
    inside[:, 0] = False
    for layer, found in scan.layers.items():
        assert found.count == int(inside.sum())
        values = recorded[layer][inside]
        rounding(tiny).check(found.arrays["moments"][0].float(), values.mean(0))
        best = recorded[layer].masked_fill(~inside[..., None], -math.inf).amax(1).topk(3, dim=0).values
        rounding(tiny).check(found.arrays["end"][0], best)
        places = found.arrays["end_key"][0] & (1 << PLACE_BITS) - 1
        there = recorded[layer][places // 6, places % 6, torch.arange(24)]
        rounding(tiny).check(there, best)


@pytest.mark.parametrize("layers", [[1], [0, 2]])
def test_layers_can_be_chosen(tiny: ResidualModel, layers: list[int]) -> None:
    scan, every = (NeuronScan(tiny, layers=chosen, width=4) for chosen in (layers, None))
    for one in (scan, every):
        one.see([Window(0, 0, (1, 2, 3, 4))])
    assert list(scan.layers) == layers
    for name, array in scan.state().items():
        assert torch.equal(array, every.state()[name])
