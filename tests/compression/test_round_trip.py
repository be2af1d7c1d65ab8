"""Compressed and restored: the same bytes, whatever they are and however many threads work."""

from __future__ import annotations

import io
import lzma
import signal
import struct
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from random import Random
from threading import main_thread

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import make_tiny
from tiny_families import tiny_family
from tokenizers import Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from transformers import PreTrainedTokenizerFast

import wheatstone as ws
from wheatstone.compression import Chunking, Compressed, compress, decompress
from wheatstone.compression._alphabet import Alphabet
from wheatstone.compression._blocks import BlockCoder, stretches
from wheatstone.compression._compress import coder_of
from wheatstone.compression._container import LZMA, STORED, Block, Header, Writer, open_checked, read_blocks
from wheatstone.compression._lanes import Start
from wheatstone.models import ResidualModel

SMALL = Chunking(window=8, overlap=3, lanes=3, stretch=10, block=100)


@pytest.fixture(scope="module", params=["words", "bytes"])
def worded(request: pytest.FixtureRequest) -> ResidualModel:
    """A tiny model. One tokenizer knows words and drops spaces, the other all bytes but a few."""
    model = make_tiny("llama", torch.float32)
    if request.param == "words":
        return model
    vocabulary = {letter: index for index, letter in enumerate("Ġthewabcdfgiklmnoprsuy.,0123456789ÿÃ")} | {
        "th": 36,
        "Ġw": 37,
        "<end>": 38,
        "the": 39,
    }
    bpe = Tokenizer(BPE(vocabulary, [("t", "h"), ("Ġ", "w"), ("th", "e")]))
    bpe.pre_tokenizer, bpe.decoder = ByteLevel(add_prefix_space=False), ByteLevelDecoder()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=bpe, eos_token="<end>")
    return ResidualModel(model.module, tokenizer, id="tiny-bytes")


def coded(model: ResidualModel, data: bytes, **options: object) -> tuple[bytes, Compressed]:
    out = io.BytesIO()
    done = compress(model, io.BytesIO(data), out, **{"chunking": SMALL, "general": False, **options})  # pyright: ignore[reportArgumentType]
    return out.getvalue(), done


def restored(model: ResidualModel, code: bytes, threads: int | None = None) -> bytes:
    out = io.BytesIO()
    decompress(model, io.BytesIO(code), out, threads=threads)
    return out.getvalue()


@settings(max_examples=25)
@given(data=st.one_of(st.binary(max_size=400), st.text(max_size=200).map(str.encode)), mixing=st.booleans())
def test_any_bytes_come_back(worded: ResidualModel, data: bytes, mixing: bool) -> None:
    code, done = coded(worded, data, mixing=mixing)
    assert restored(worded, code) == data
    assert done.bytes_in == len(data)
    assert done.bytes_out == len(code)


def kinds(code: bytes) -> list[int]:
    source = io.BytesIO(code)
    open_checked(source)
    return [block.kind for block in read_blocks(source, Header.read(source))]


@pytest.mark.parametrize(
    ("data", "kind"),
    [(b"w1 w2 w3 w4 " * 400, LZMA), (Random(1).randbytes(3000), STORED), (b"", None)],
    ids=["repeats", "noise", "nothing"],
)
def test_what_the_model_foresees_badly_is_left_to_a_general_compressor(
    worded: ResidualModel, data: bytes, kind: int | None
) -> None:
    code, done = coded(worded, data, general=True, chunking=Chunking())
    assert kinds(code) == [kind] * bool(data)
    assert restored(worded, code) == data
    header = len(coded(worded, b"", chunking=Chunking())[0])
    assert len(code) - header <= min(len(data), len(lzma.compress(data, preset=9 | lzma.PRESET_EXTREME))) + 20
    assert done.ideal_bits <= 8 * len(data)


def test_a_block_s_samples_decide_whether_the_model_is_run(
    worded: ResidualModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BlockCoder, "coded", lambda *_: pytest.fail("the model is run on the whole block"))
    coded(worded, b"w1 w2 w3 w4 " * 400, general=True, chunking=Chunking())


@settings(max_examples=25)
@given(data=st.binary(max_size=2000))
def test_no_block_is_larger_than_xz_makes_it_or_than_it_is(data: bytes) -> None:
    assert len(Block.plain(data).codes[0]) <= min(len(data), len(lzma.compress(data, preset=9 | lzma.PRESET_EXTREME)))
    assert Block.plain(data).unpacked() == data


def test_a_bomb_in_a_block_stays_as_small_as_the_block_says(worded: ResidualModel) -> None:
    out = io.BytesIO()
    code, _ = coded(worded, b"w1 w2", chunking=Chunking())
    source = io.BytesIO(code)
    open_checked(source)
    writer = Writer(out, Header.read(source))
    writer.put(replace(Block.plain(bytes(1 << 26)), size=100))
    writer.close()
    tracemalloc.start()
    try:
        with pytest.raises(ws.RequestError, match="a block of 100 bytes coded in 9,839"):
            restored(worded, out.getvalue())
        assert tracemalloc.get_traced_memory()[1] < 1 << 24
    finally:
        tracemalloc.stop()


def test_a_block_that_claims_gigabytes_of_code_is_refused(worded: ResidualModel) -> None:
    code, _ = coded(worded, b"w1 w2", chunking=Chunking())
    source = io.BytesIO(code)
    open_checked(source)
    header = Header.read(source)
    at = source.tell() + struct.calcsize("<BIIIHB")  # the length of the first part of the first block
    with pytest.raises(ws.RequestError, match="coded in 4,294,967,295"):
        list(read_blocks(io.BytesIO(code[source.tell() : at] + b"\xff" * 4 + code[at + 4 :]), header))


def test_an_interrupt_waits_for_no_group(worded: ResidualModel) -> None:
    steps: list[int] = []

    def code() -> None:
        with coder_of(worded, SMALL, mixing=False, threads=1, start=Start.of(worded)) as coder:

            def advance(step: int) -> None:
                steps.append(step)
                signal.pthread_kill(main_thread().ident or 0, signal.SIGINT)
                coder.stopped.wait(60)

            coder.coded(b"w1 w2 w3 w4 " * 40, advance)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in jobs of a shell's background
    try:
        with pytest.raises(KeyboardInterrupt):
            code()
    finally:
        signal.signal(signal.SIGINT, before)
    assert len(steps) == 1


@settings(max_examples=25)
@given(symbols=st.integers(0, 3000), lanes=st.one_of(st.none(), st.integers(1, 1024)))
def test_every_symbol_is_in_one_lane(worded: ResidualModel, symbols: int, lanes: int | None) -> None:
    with coder_of(worded, SMALL, mixing=False, threads=1, start=Start.of(worded), lanes=lanes) as coder:
        together, groups = coder.cut(symbols)
    found = stretches(symbols, together, groups)
    assert [at for group in found for stretch in group for at in stretch.tolist()] == list(range(symbols))
    assert all(len(stretch) for group in found for stretch in group)
    if lanes is not None and symbols:
        assert min(lanes, symbols) - groups < together * groups <= min(lanes, symbols) + groups


def test_a_block_in_more_lanes_than_symbols_is_refused(worded: ResidualModel) -> None:
    out = io.BytesIO()
    source = io.BytesIO(coded(worded, b"w1 w2")[0])
    open_checked(source)
    header = Header.read(source)
    (block,) = read_blocks(source, header)
    for lanes in (0, block.symbols + 1, 65_535):
        out = io.BytesIO()
        writer = Writer(out, header)
        writer.put(replace(block, lanes=lanes))
        writer.close()
        with pytest.raises(ws.RequestError, match="lane"):
            restored(worded, out.getvalue())


@pytest.mark.parametrize("lanes", [1, 2, 5, 1024])
def test_any_number_of_lanes_is_restored_and_more_than_there_are_is_refused(worded: ResidualModel, lanes: int) -> None:
    data = b"w1 w2 w3 w4 " * 10
    assert restored(worded, coded(worded, data, lanes=lanes)[0]) == data
    with pytest.raises(ws.RequestError, match="lanes from 1 to 1,024"):
        coded(worded, data, lanes=0)


def test_threads_change_nothing(worded: ResidualModel) -> None:
    data = b"w1 w2 w3 w4 " * 40
    one, two = (coded(worded, data, threads=threads)[0] for threads in (1, 2))
    assert one == two
    assert restored(worded, one, threads=3) == data


@pytest.mark.parametrize("case", ["gpt2", "phi3-longrope", "llama-dynamic"])
def test_the_window_is_no_longer_than_what_the_model_reads_in_one_way(case: str) -> None:
    """gpt2 has 64 positions; the rotary tables of the others switch after 6 tokens. The default window has 1,024."""
    model = tiny_family(case)
    data = " ".join(f"w{index % 40}" for index in range(30)).encode()
    code, _ = coded(model, data, chunking=Chunking(lanes=2, stretch=20))
    assert restored(model, code) == data
    source = io.BytesIO(code)
    open_checked(source)
    assert Header.read(source).chunking.window == model.causal_context


def test_bytes_that_are_not_text_are_stored_where_coding_gains_nothing(worded: ResidualModel) -> None:
    data = bytes(range(256)) * 2
    code, _ = coded(worded, data, general=True)
    assert len(code) < len(data) + 250  # header, checksum and six blocks


@pytest.mark.parametrize("at", [0, 4, 60, 130, -1])
def test_a_flipped_bit_is_refused_before_a_byte_is_written(worded: ResidualModel, at: int) -> None:
    code = bytearray(coded(worded, b"w1 w2 w3 w4 " * 20)[0])
    code[at] ^= 1
    out = io.BytesIO()
    with pytest.raises(ws.RequestError):
        decompress(worded, io.BytesIO(bytes(code)), out)
    assert out.getvalue() == b""


@pytest.mark.parametrize("length", [0, 3, 20, 100, -1])
def test_a_truncated_file_is_refused_before_a_byte_is_written(worded: ResidualModel, length: int) -> None:
    code, out = coded(worded, b"w1 w2 w3 w4 " * 20)[0], io.BytesIO()
    with pytest.raises(ws.RequestError):
        decompress(worded, io.BytesIO(code[:length]), out)
    assert out.getvalue() == b""


def test_another_model_is_refused(worded: ResidualModel) -> None:
    import copy

    code, out = coded(worded, b"w1 w2")[0], io.BytesIO()
    other = copy.copy(worded)
    other.sha256 = "ab" * 32
    with pytest.raises(ws.ModelError, match="the model that compressed this"):
        decompress(other, io.BytesIO(code), out)
    assert out.getvalue() == b""


@settings(max_examples=15)
@given(data=st.binary(max_size=300), mixing=st.booleans())
def test_bytes_that_would_be_stored_come_back_from_their_code_too(
    worded: ResidualModel, data: bytes, mixing: bool
) -> None:
    with ThreadPoolExecutor(1) as pool:
        coder = BlockCoder(worded, Alphabet(worded.reader, worded.vocabulary), Start.of(worded), SMALL, mixing, pool)
        assert coder.decode(coder.coded(data, lambda _: None)[0], lambda _: None) == data
