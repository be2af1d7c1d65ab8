"""What a text costs: by hand, through windows, and as the coder has it."""

from __future__ import annotations

import io
import math

import pytest
import torch
from tiny import make_tiny
from tolerance import rounding

import wheatstone as ws
from wheatstone.compression import bits, compress
from wheatstone.compression._coder import Decoder, Encoder
from wheatstone.models import ResidualModel


@pytest.fixture(scope="module")
def llama() -> ResidualModel:
    return make_tiny("llama", torch.float32)


def test_each_token_costs_its_own_log_probability(llama: ResidualModel) -> None:
    found = bits(llama, "w7")
    escape = 1 / 64
    logits = llama.module(torch.tensor([[0]])).logits[0, -1].log_softmax(-1)
    expected = -logits[7] / torch.log(torch.tensor(2.0)) - torch.log2(torch.tensor(1 - escape))
    assert found.tokens == ("w7",)
    assert found.surprise[0] == rounding(llama).near(float(expected))
    model_alone = float(-logits[7] / torch.log(torch.tensor(2.0)))
    assert found.escapes == pytest.approx((-math.log2(1 - escape),))
    assert found.total - found.escape_bits == rounding(llama).near(model_alone)


def test_a_byte_without_a_token_costs_its_eight_bits_and_the_escape(llama: ResidualModel) -> None:
    found = bits(llama, b"w7\xff")
    # Of one symbol before it none was escaped: the share is 1/64 spread over the symbols so far.
    assert found.surprise[1] == pytest.approx(8 - math.log2(1 / 64 / 2))
    assert found.escapes[1] == found.surprise[1]
    assert found.to_dict()["escape_bits"] == pytest.approx(found.escapes[0] + found.escapes[1])


def test_windows_see_what_stands_before(llama: ResidualModel) -> None:
    text = "".join(f"w{(7 * at) % 40}" for at in range(23))
    whole = bits(llama, text, window=31, overlap=1)
    cut = bits(llama, text, window=12, overlap=11, batch=3)
    assert len(cut.surprise) == len(whole.surprise)
    assert cut.surprise[:12] == rounding(llama).near(whole.surprise[:12])
    assert all(cost > 0 for cost in cut.surprise)


@pytest.mark.real_weights
def test_the_coder_needs_what_bits_says(smollm2: ResidualModel) -> None:
    text = "The official language of France is French. The official language of Japan is"
    done = compress(smollm2, io.BytesIO(text.encode()), out := io.BytesIO(), mixing=False, exact=True, lanes=1)
    found = bits(smollm2, text)
    assert done.ideal_bits == rounding(smollm2).near(found.total)
    assert 8 * len(out.getvalue()) < found.total + 8 * 160  # header, checksums, the end of the code
    assert found.per_byte < 1.5


def test_nothing_costs_nothing(llama: ResidualModel) -> None:
    assert bits(llama, "").total == 0
    assert bits(llama, "").per_byte == 0


def test_an_overlap_that_leaves_nothing_new_is_refused(llama: ResidualModel) -> None:
    with pytest.raises(ws.RequestError, match="an overlap"):
        bits(llama, "w1", window=8, overlap=8)


def test_the_coder_s_overhead_is_small() -> None:
    import numpy as np

    draw = np.random.default_rng(0)
    vocabulary, steps, lanes = 49_152, 40, 4
    logits = draw.normal(size=(steps, lanes, vocabulary)).astype(np.float32) * 4
    probabilities = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    symbols = (logits + draw.gumbel(size=logits.shape)).argmax(-1).astype(np.int32)
    coder = Encoder(vocabulary, lanes)
    for row, probability in zip(symbols, probabilities, strict=True):
        coder.put(row, probability)
    code = coder.finish()
    assert 8 * len(code) <= coder.bits * 1.0005 + 64
    decoder = Decoder(code, vocabulary, lanes)
    for row, probability in zip(symbols, probabilities, strict=True):
        assert decoder.take(probability).tolist() == row.tolist()
