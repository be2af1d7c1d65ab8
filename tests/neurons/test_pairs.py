"""Mutually exclusive pairs: by hand, against the whole matrix, whatever the tiles, within bounded memory."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from needs import require
from tiny import make_tiny
from tolerance import rounding
from transformers import LlamaConfig, LlamaForCausalLM

from wheatstone import ResidualModel
from wheatstone.neurons import Congruence, Pair, exclusive_pairs, shuffled_z

_MODEL = make_tiny("llama", torch.float64)


def _whole(congruence: Congruence) -> dict[tuple[str, int, int], tuple[float, float]]:
    """Every pair from the whole matrix: (neuron, token, sign) -> (token's gap, neuron's gap)."""
    matrix = congruence.tokens @ torch.cat([congruence.directions(layer) for layer in range(3)]).T
    found: dict[tuple[str, int, int], tuple[float, float]] = {}
    for sign in (1, -1):
        rows, columns = (sign * matrix).topk(2, dim=1), (sign * matrix).topk(2, dim=0)
        for token in range(len(matrix)):
            neuron = int(rows.indices[token, 0])
            if int(columns.indices[0, neuron]) == token:
                gaps = rows.values[token].diff(), columns.values[:, neuron].diff()
                found[f"m{neuron // 24}.n{neuron % 24}", token, sign] = (-float(gaps[0]), -float(gaps[1]))
    return found


@pytest.mark.parametrize("reading", ["readout", "embedding"])
def test_against_the_whole_matrix(tiny64: ResidualModel, reading: str) -> None:
    congruence = Congruence(tiny64, reading)
    expected, found = _whole(congruence), exclusive_pairs(congruence, top=1000)
    assert found.mutual == len(expected) == len(found.best) > 10
    assert found.entries == 40 * 72
    for pair in found.best:
        gaps = expected[pair.neuron, pair.token, pair.sign]
        assert (pair.token_gap, pair.neuron_gap) == rounding(tiny64).near(gaps)
        assert pair.score == rounding(tiny64).near(gaps[0] * gaps[1])
        assert pair.text == f"w{pair.token}"
    scores = [pair.score for pair in found.best]
    assert scores == sorted(scores, reverse=True)


@pytest.fixture(scope="module")
def every() -> tuple[Pair, ...]:
    return exclusive_pairs(Congruence(_MODEL, "embedding"), top=1000).best


@settings(max_examples=10, deadline=None)
@given(st.integers(4, 50), st.integers(5, 30), st.integers(1, 6))
def test_tiles_change_nothing(every: tuple[Pair, ...], tokens: int, neurons: int, top: int) -> None:
    whole = every[:top]
    found = exclusive_pairs(Congruence(_MODEL, "embedding"), top=top, tile=(tokens, neurons)).best
    assert [_name(pair) for pair in found] == [_name(pair) for pair in whole]
    assert [pair.score for pair in found] == pytest.approx([pair.score for pair in whole])


def _name(pair: Pair) -> tuple[str, int, int]:
    return pair.neuron, pair.token, pair.sign


def test_half_precision_is_looked_at_in_single() -> None:
    half = make_tiny("llama", torch.bfloat16)
    found = exclusive_pairs(Congruence(half, "embedding"), top=1000)
    single = ResidualModel(half.module.float(), half.tokenizer, id="single")
    assert found == exclusive_pairs(Congruence(single, "embedding"), top=1000)


def test_a_planted_pair_is_found_and_lost_in_the_shuffle() -> None:
    model = make_tiny("llama", torch.float64)
    with torch.no_grad():
        model.blocks[1].neurons_in.get_parameter("weight")[:, 6] = -8 * model.unembedding.weight[11]
    best = exclusive_pairs(Congruence(model, "readout"), top=1).best[0]
    assert _name(best) == ("m1.n6", 11, -1)
    assert best.congruence < 0 < best.z
    shuffled = exclusive_pairs(Congruence(model), top=1, shuffled=0).best[0]
    assert shuffled.score < best.score / 2
    assert shuffled == exclusive_pairs(Congruence(model), top=1, shuffled=0).best[0]


def test_z_is_that_of_all_shuffles() -> None:
    token, neuron = torch.tensor([1.0, 2.0, 4.0]), torch.tensor([1.0, -1.0, 3.0])
    orders = [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)]
    products = torch.stack([token @ neuron[list(order)] for order in orders])
    expected = (11 - products.mean()) / products.std(correction=0)
    assert shuffled_z(11.0, token, neuron) == pytest.approx(float(expected))
    assert shuffled_z(0.0, token, torch.zeros(3)) == 0


@pytest.fixture
def peak() -> Callable[[], int]:
    """Reads how much the process has grown at its largest since the test began, in MB."""
    status = Path("/proc/self/status")
    require("peak")

    def read(name: str) -> int:
        found = re.search(rf"{name}:\s+(\d+) kB", status.read_text())
        assert found is not None
        return int(found[1]) // 1024

    Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from what there is now
    before = read("VmRSS")
    return lambda: read("VmHWM") - before


def test_memory_does_not_grow_with_the_vocabulary(peak: Callable[[], int]) -> None:
    config = LlamaConfig(
        vocab_size=400_000,
        hidden_size=8,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        tie_word_embeddings=True,
    )
    model = ResidualModel(LlamaForCausalLM(config), _MODEL.tokenizer, id="wide")
    started = peak()
    found = exclusive_pairs(Congruence(model, "embedding"), top=3)
    assert found.entries == 102_400_000  # 410 MB, were it there as a whole
    assert len(found.best) == 3
    assert peak() - started < 120


def _by_definition(entries: torch.Tensor) -> set[tuple[str, int, int, float]]:
    """(neuron, token, sign, score): the first of equal entries is a row's or a column's largest."""
    found: set[tuple[str, int, int, float]] = set()
    for sign in (1, -1):
        rows = (sign * entries).tolist()
        columns = list(map(list, zip(*rows, strict=True)))
        for token, row in enumerate(rows):
            neuron = row.index(max(row))
            if columns[neuron].index(max(columns[neuron])) == token:
                gaps = [one[0] - one[1] for one in (sorted(row)[::-1], sorted(columns[neuron])[::-1])]
                found.add((f"m{neuron // 24}.n{neuron % 24}", token, sign, gaps[0] * gaps[1]))
    return found


def _of_whole_numbers(seed: int, largest: int) -> Congruence:
    """A model whose congruences are small whole numbers: exact, and equal to many others all over the matrix."""
    model, draw = make_tiny("llama", torch.float32), torch.Generator().manual_seed(seed)
    for weight in (model.module.get_input_embeddings().weight, *(b.neurons_in.weight for b in model.blocks)):
        assert isinstance(weight, torch.Tensor)
        numbers = torch.randint(-largest, largest + 1, weight.shape, generator=draw)
        weight.data = torch.where(torch.rand(weight.shape, generator=draw) < 0.3, numbers, 0).to(weight.dtype)
    return Congruence(model, "embedding")


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 4), st.integers(1, 50), st.integers(1, 30))
def test_equal_entries_are_counted_by_where_they_are(seed: int, largest: int, tokens: int, neurons: int) -> None:
    """Values repeat, in pairs and elsewhere: a value does not say which entry it is."""
    congruence = _of_whole_numbers(seed, largest)
    expected = _by_definition(congruence.tokens @ torch.cat([congruence.directions(layer) for layer in range(3)]).T)
    found = exclusive_pairs(congruence, top=1000, tile=(tokens, neurons))
    assert {(pair.neuron, pair.token, pair.sign, pair.score) for pair in found.best} == expected
    assert found.mutual == len(found.best) == len(expected)


def test_pairs_of_one_value_are_all_counted() -> None:
    """Three pairs of congruence 9. By value they were one."""
    congruence = _of_whole_numbers(0, 1)
    with torch.no_grad():
        for layer in range(3):
            congruence.model.blocks[layer].neurons_in.get_parameter("weight")[:, 5] = 9 * torch.eye(16)[layer]
            congruence.tokens[10 + layer] = torch.eye(16)[layer]
            congruence.tokens[torch.arange(40) != 10 + layer, layer] = 0
    found = exclusive_pairs(congruence, top=1000)
    planted = {(f"m{layer}.n5", 10 + layer, 1) for layer in range(3)}
    assert planted < {_name(pair) for pair in found.best}
    assert found.mutual == len(found.best)
