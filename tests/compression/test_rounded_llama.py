"""A llama in 8 bits, a token at a time, beside transformers' own module."""

from __future__ import annotations

import copy
import io
from random import Random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import Float
from tiny import make_tiny
from tiny_families import tiny_family
from torch import Tensor, nn

import wheatstone as ws
from wheatstone.compression import Chunking, _step, bits, compress, decompress, estimate, estimate_seconds
from wheatstone.compression._lanes import Lanes, Start
from wheatstone.compression._step import Llama, LlamaLanes, Rounded
from wheatstone.models import ResidualModel

EPS = torch.finfo(torch.float32).eps


@pytest.fixture(scope="module")
def tiny() -> ResidualModel:
    return make_tiny("llama", torch.float32)


def exactly_rounded(model: ResidualModel) -> ResidualModel:
    """A copy whose modules compute with the same whole numbers, in float64."""
    module = copy.deepcopy(model.module)

    def replaced(matrix: nn.Linear) -> None:
        rounded = Rounded.of(matrix)
        weight = rounded.weight.double() * rounded.scale.double()[:, None]

        def forward(input: Tensor) -> Tensor:
            scale = input.abs().amax(-1, keepdim=True) / 127 + 1e-30
            return ((input / scale * 254).round().double() / 254 @ weight.T * scale.double()).float()

        matrix.forward = forward

    for part in module.modules():
        if isinstance(part, nn.Linear):
            replaced(part)
    return ResidualModel(module, model.tokenizer, id="rounded")


@settings(max_examples=30)
@given(seed=st.integers(0, 2**32 - 1), lanes=st.integers(1, 9))
def test_a_rounded_product_is_within_half_a_step_of_each_number(seed: int, lanes: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    matrix, x = nn.Linear(24, 7, bias=False), torch.randn(lanes, 24, generator=draw)
    matrix.weight.data = torch.randn(7, 24, generator=draw)
    weight = matrix.weight.detach()
    steps = weight.abs().amax(1) / 127, x.abs().amax(1) / 127 / 254
    # (x + a)(w + b) - x w = x b + a w + a b, each of 24 products; a and b are half a step at most.
    each = (x.abs().sum(1)[:, None] * steps[0] + weight.abs().sum(1) * steps[1][:, None]) / 2
    bound = each + 24 * steps[0] * steps[1][:, None] / 4
    error = (Rounded.of(matrix)(x) - x @ weight.T).abs()
    assert (error <= bound * (1 + 24 * EPS) + 24 * EPS).all()
    alone = torch.cat([Rounded.of(matrix)(row[None]) for row in x])
    assert torch.equal(Rounded.of(matrix)(x), alone)  # whole numbers: no sum depends on who shares it


def test_it_predicts_what_the_module_with_the_same_whole_numbers_does(tiny: ResidualModel) -> None:
    llama = Llama.of(tiny)
    assert llama is not None
    ours = LlamaLanes(llama, 3, 20, window=31, overlap=4, start=1)
    theirs = Lanes(exactly_rounded(tiny), 3, window=31, overlap=4, start=Start(1))
    for step in range(20):
        found: Float[Tensor, "lane vocab"] = ours.probabilities()
        # A number between two steps may go either way where the last bit differs: one of 127 · 254 steps.
        assert torch.allclose(found, theirs.probabilities(), rtol=0, atol=16 / 127 / 254), step
        tokens = torch.tensor([step, 2 * step + 1, 7]) % tiny.vocabulary
        ours.see(tokens)
        theirs.see(tokens)


def test_a_window_that_slides_sees_its_last_tokens_and_the_start_alone(tiny: ResidualModel) -> None:
    """In one layer, what was forgotten leaves nothing behind."""
    one = make_tiny("llama", torch.float32, layers=1)
    llama = Llama.of(one)
    assert llama is not None
    texts = [[5, 6, 7, 8, 9, 10, 11, 12, 13], [30, 31, 32, 33, 34, 10, 11, 12, 13]]
    lanes = LlamaLanes(llama, 2, 10, window=4, overlap=2, start=1)
    for tokens in zip(*texts, strict=True):
        lanes.probabilities()
        lanes.see(torch.tensor(tokens))
    assert texts[0][:5] != texts[1][:5]
    last = lanes.probabilities()
    # Rows of one product: equal up to the order in which attention adds five keys.
    assert torch.allclose(last[0], last[1], rtol=0, atol=64 * EPS)


@pytest.mark.parametrize("context", [12, 13])
def test_where_positions_end_the_overlap_is_read_again(context: int) -> None:
    model = make_tiny("llama", torch.float32)
    model.module.config.max_position_embeddings = context
    data, code, out = b"w1 w2 w3 w4 w5 w6 " * 6, io.BytesIO(), io.BytesIO()
    done = compress(model, io.BytesIO(data), code, general=False, lanes=1, chunking=Chunking(window=8, overlap=3))
    decompress(model, code, out)
    assert out.getvalue() == data
    assert done.bytes_in == len(data) > 4 * context


def test_it_costs_about_as_many_bits_as_the_weights_as_they_are(tiny: ResidualModel) -> None:
    data = b"w1 w2 w3 w4 " * 9
    rounded, exact = (
        compress(tiny, io.BytesIO(data), io.BytesIO(), mixing=False, general=False, exact=exact, lanes=1).ideal_bits
        for exact in (False, True)
    )
    assert rounded != exact
    assert rounded == pytest.approx(exact, rel=0.02)  # a random model of width 16; SmolLM2: docs/results/compression.md


@pytest.mark.parametrize("model", ["gpt2", "qwen2", "biased", "double"])
def test_other_models_are_coded_as_they_are(model: str, tiny: ResidualModel) -> None:
    models = {
        "gpt2": lambda: make_tiny("gpt2", torch.float32),
        "qwen2": lambda: tiny_family("qwen2"),
        "biased": lambda: make_tiny("llama-biased", torch.float32),
        "double": lambda: make_tiny("llama", torch.float64),
    }
    assert Llama.of(models[model]()) is None
    assert Llama.of(tiny) is not None


def test_a_file_of_rounded_weights_is_refused_where_they_cannot_be_rounded_alike(tiny: ResidualModel) -> None:
    code, out = io.BytesIO(), io.BytesIO()
    compress(tiny, io.BytesIO(b"w1 w2"), code, general=False)
    double = make_tiny("llama", torch.float64)
    with pytest.raises(ws.ModelError, match="in float32 on the CPU, where it can be rounded to 8 bits"):
        decompress(double, code, out)
    assert out.getvalue() == b""


@pytest.mark.parametrize("exact", [False, True])
def test_an_estimate_of_what_the_model_foresees_badly_is_what_lzma_makes(tiny: ResidualModel, exact: bool) -> None:
    draw = Random(0)
    data = " ".join(f"w{draw.randrange(40)}" for _ in range(4000)).encode()
    found, out = estimate(tiny, io.BytesIO(data), exact=exact, threads=1), io.BytesIO()
    done = compress(tiny, io.BytesIO(data), out, exact=exact, threads=1)
    assert (found.bytes_in, found.by_model, found.seconds) == (len(data), False, 0.0)
    assert abs(found.bytes_out - done.bytes_out) < 32  # a name of another length, and the frame of one block


@pytest.mark.real_weights
def test_an_estimate_of_english_is_near_what_comes_of_it(smollm2: ResidualModel) -> None:
    data = " ".join(
        f"The capital of {country} is {capital}, and its people have lived there since the year {1500 + 7 * at}."
        for at, (country, capital) in enumerate((("France", "Paris"), ("Peru", "Lima"), ("Cuba", "Havana")) * 2)
    ).encode()
    found, out = estimate(smollm2, io.BytesIO(data), lanes=2), io.BytesIO()
    done = compress(smollm2, io.BytesIO(data), out, mixing=False, lanes=2)
    assert found.by_model
    assert (found.lanes, found.bytes_in) == (2, done.bytes_in)
    assert found.seconds > 0
    assert found.bytes_out == pytest.approx(
        done.bytes_out, rel=0.2
    )  # the second lane sees none of what the first repeats
    back = io.BytesIO()
    decompress(smollm2, out, back)
    assert back.getvalue() == data


@pytest.mark.parametrize("depth", [24, 1024, 1025, 3000])
def test_products_are_exact_with_and_without_instructions_for_them(depth: int, monkeypatch: pytest.MonkeyPatch) -> None:
    left, right = torch.full((3, depth), -127, dtype=torch.int8), torch.full((9, depth), 127, dtype=torch.int8)
    monkeypatch.setattr(_step, "exact_products", lambda: False)
    assert (_step._product(left, right) == -depth * 127 * 127).all()
    monkeypatch.undo()
    assert (_step._product(left, right) == -depth * 127 * 127).all()


@pytest.mark.parametrize("size", [1, 3, 8, 30])
def test_the_time_of_a_few_symbols_is_estimated(tiny: ResidualModel, size: int) -> None:
    assert estimate_seconds(tiny, size, 1, lanes=1) > 0 or size < 4


def test_nothing_is_estimated_to_become_little(tiny: ResidualModel) -> None:
    found = estimate(tiny, io.BytesIO(b""))
    assert (found.bytes_in, found.seconds, found.by_model) == (0, 0.0, False)
    assert found.bytes_out < 200
    assert bits(tiny, b"").total == 0
