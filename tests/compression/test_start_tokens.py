"""Texts begin after the model's own start token: what they cost, and files of before that was recorded."""

from __future__ import annotations

import base64
import io
from contextlib import nullcontext, suppress
from itertools import pairwise

import numpy as np
import pytest
import torch
from exact import BOS, EOS, exact_model
from hypothesis import given, settings
from hypothesis import strategies as st
from sentencepiece import KINDS, make_model, make_tokenizer
from tolerance import rounding

import wheatstone as ws
from wheatstone._errors import ComputationError
from wheatstone.compression import Chunking, bits, compress, decompress, open_checked
from wheatstone.compression._coder import escape_share
from wheatstone.compression._container import Header
from wheatstone.models import ResidualModel

VERSION_1 = (
    "V0hTVAEIAAMAAgAAEAAAABAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAKM8FNkGfKKOBWV4YWN0ATwAAAA/+Eh8PAAAAAEo"
    "AAAAGrz0UNMf3odxuHCMu+BkTaapUhjrxAEx5VpAqHd+KqRosZK5Z/csKAA8AAAAAAAAAMANmPTBWxVJYdrC+TeuL2xR0mS4sEePYujMMgYt1s5V"
)
"""What `compress` wrote of `TEXT` with `exact_model` and chunking `SMALL`, before it recorded start tokens."""
VERSION_3 = (
    "V0hTVAMIAAMAAgAIAAAAABAAAAEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAENs14ZlmUdsBWV4YWN0AAEAAAE8AAAAP/hIfDwAAAADJAAA"
    "APN8RVVkAnRjosbsorpUMGCXf/TUUFO4RVP6PqfOS9/sNAhCUyQAAABBAQQ+zn5mpERW1b0BCHpAJux1wFs0/ck0hV52ozaE+InSLdgcAAAAMgODLq5w"
    "ssB+IoLK8OBmvnpnDu1HQdbholSZHwA8AAAAAAAAAHVEX0ezNu88nS1iAPQtGLwgZNU37pgRc15IsgZT4EDE"
)
"""The same, with mixing, in three groups of two lanes, before blocks recorded how they are cut."""
SUMS_OF_VERSION_3 = ["0x1.5b6eac0000000p+5", "0x1.77166c0000000p+7", "0x1.7f53de0000000p+8"]
"""`sums` where that file was made: OpenBLAS's kernels for Skylake-X. Mixing codes with such sums."""
TEXT = b"wjsT5NgxSteVOPcDeFw8ctefoHK4EvohSdENWhclUfWxsde6w03lunw0cTmF"
SMALL = Chunking(window=8, overlap=3, lanes=2, stretch=4096, block=4096)


@pytest.fixture(scope="module", params=KINDS)
def pieces(request: pytest.FixtureRequest) -> ResidualModel:
    return make_model(make_tokenizer(request.param))


@pytest.mark.parametrize(("code", "start"), [(VERSION_1, None), (VERSION_3, BOS)], ids=["1", "3"])
def test_a_file_of_an_earlier_version_is_still_restored(code: str, start: int | None) -> None:
    model, out = exact_model(), io.BytesIO()
    source = io.BytesIO(base64.b64decode(code))
    open_checked(source)
    header = Header.read(source)
    assert (header.start, header.rounded) == (start, False)
    # Where sums are rounded otherwise, a file that was coded with them is refused; it never gives other bytes.
    other = code == VERSION_3 and sums() != SUMS_OF_VERSION_3
    with suppress(ComputationError) if other else nullcontext():
        assert decompress(model, source, out) == len(TEXT)
        assert out.getvalue() == TEXT


def sums() -> list[str]:
    """Three sums of products in float32, whose last bits say in what order this machine's BLAS adds."""
    parts = [np.sqrt(np.arange(1, size, dtype=np.float32)) for size in (33, 130, 259)]
    return [float(part @ (1 / part[::-1])).hex() for part in parts]


def test_a_new_file_records_its_start_token_and_the_end_token_gives_another(monkeypatch: pytest.MonkeyPatch) -> None:
    model, code = exact_model(), io.BytesIO()
    text = b"The town."
    compress(model, io.BytesIO(text), code, chunking=SMALL)
    code.seek(0)
    open_checked(code)
    assert Header.read(code).start == BOS
    # What is restored depends on the header alone, not on what would be chosen today.
    monkeypatch.setattr("wheatstone.compression._lanes.start_token", lambda _: EOS)
    out = io.BytesIO()
    assert decompress(model, code, out) == len(text)
    assert out.getvalue() == text


def test_a_start_token_beyond_the_vocabulary_is_refused() -> None:
    import hashlib

    model, code = exact_model(), io.BytesIO()
    compress(model, io.BytesIO(b""), code, chunking=SMALL)
    changed = bytearray(code.getvalue()[:-32])
    changed[-14:-10] = (999).to_bytes(4, "little")  # before rounding, the end's kind and the 8 bytes of the size
    data = bytes(changed) + hashlib.sha256(changed).digest()
    with pytest.raises(ws.RequestError, match="a start token of exact, below 258; got 999"):
        decompress(model, io.BytesIO(data), io.BytesIO())


@torch.no_grad()
def independently(model: ResidualModel, text: str) -> float:
    """−log₂ p of a text after its start token, by transformers alone."""
    ids = model.tokenizer(text, return_tensors="pt")["input_ids"]
    scores = model.module(ids).logits[0].double().log_softmax(-1)
    return -sum(float(scores[at, after]) for at, after in enumerate(ids[0, 1:])) / np.log(2)


@pytest.mark.parametrize("text", ["The capital of France is Paris", " The capital", "in 1952", "中国 的", "é\n  x"])
def test_bits_are_what_transformers_gives_the_text(pieces: ResidualModel, text: str) -> None:
    found = bits(pieces, text)
    # Beside each token's own price stands the share kept for bytes, which is known without the model.
    kept = -np.log2(1 - escape_share(np.zeros(len(found.tokens), dtype=bool))).sum()
    expected = independently(pieces, text)
    additions = pieces.vocabulary + 2 * 64 * 16  # of a softmax, and of a residual stream in two layers
    assert found.total - kept == pytest.approx(expected, rel=additions * torch.finfo(torch.float32).eps)
    assert found.escaped == 0
    assert "".join(found.tokens).replace("<C3><A9>", "é") == text
    assert found.to_dict()["start_token"] == "<s>"
    assert found.to_dict()["start_token_id"] == 1


def test_bytes_that_no_token_gives_back_are_counted() -> None:
    from tiny import make_tiny

    found = bits(make_tiny("llama", torch.float32), "w1 w2\n")
    assert found.escaped == len("w1 w2\n") - len("".join(token for token in found.tokens if len(token) > 1))
    assert found.to_dict()["bytes_escaped"] == found.escaped > 0


@settings(max_examples=15)
@given(
    data=st.one_of(
        st.binary(max_size=60),
        st.text("The capital of is Paris 1952\n中京é<s>", max_size=60).map(str.encode),
    )
)
def test_any_bytes_come_back(pieces: ResidualModel, data: bytes) -> None:
    code, out = io.BytesIO(), io.BytesIO()
    done = compress(pieces, io.BytesIO(data), code, general=False, chunking=SMALL, threads=1)
    decompress(pieces, code, out, threads=1)
    assert out.getvalue() == data
    assert done.bytes_in == len(data)


@torch.no_grad()
def test_every_window_begins_with_the_start_token(pieces: ResidualModel) -> None:
    text = "The capital of France is Paris, the capital of Peru is Lima, the town of Cuba is Havana."
    window, overlap = 8, 3
    ids = pieces.tokenizer(text)["input_ids"][1:]
    expected: list[float] = []
    for first in range(0, max(1, len(ids) - overlap), window - overlap):
        piece = ids[first : first + window]
        logits = pieces.module(torch.tensor([[1, *piece[:-1]]])).logits[0].double().log_softmax(-1)
        prices = [-float(logits[at, token]) / np.log(2) for at, token in enumerate(piece)]
        expected += prices if first == 0 else prices[overlap:]
    found = bits(pieces, text, window=window, overlap=overlap)
    kept = np.log2(1 - escape_share(np.zeros(len(ids), dtype=bool)))
    # of a softmax and two layers, on logits of a size of about ten
    tolerance = 10 * (pieces.vocabulary + 2 * 64 * 16) * torch.finfo(torch.float32).eps
    assert np.array(found.surprise) + kept == pytest.approx(expected, abs=tolerance)
    assert found.escaped == 0
    chunking = Chunking(window, overlap, 1, 4096, 4096)
    source = io.BytesIO(text.encode())
    done = compress(pieces, source, io.BytesIO(), mixing=False, general=False, exact=True, chunking=chunking, threads=1)
    assert done.ideal_bits == rounding(pieces).near(found.total)
    assert len(found.surprise) == len(ids) > window
    assert all(one > 0 for one, _ in pairwise(found.surprise))
