"""Files to code and back."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedIOBase

import torch

from wheatstone._bounds import LANES
from wheatstone._errors import ModelError, RequestError
from wheatstone._progress import Reporter, silent
from wheatstone.compression._alphabet import Alphabet
from wheatstone.compression._blocks import BlockCoder
from wheatstone.compression._container import Chunking, Header, Writer, open_checked, read_blocks
from wheatstone.compression._lanes import Start
from wheatstone.compression._step import Llama
from wheatstone.models import ResidualModel

_PROBE = 4
"""Steps of the run that an arithmetic fingerprint is made of."""


@dataclass(frozen=True)
class Compressed:
    """What came of a file.

    Args:
        bytes_in: its size.
        bytes_out: of the compressed file, header and checksums included.
        ideal_bits: −Σ log₂ p over its symbols: what a perfect coder would need.
        seconds: how long it took.
    """

    bytes_in: int
    bytes_out: int
    ideal_bits: float
    seconds: float


def compress(
    model: ResidualModel,
    source: BufferedIOBase,
    out: BufferedIOBase,
    *,
    mixing: bool = True,
    chunking: Chunking | None = None,
    general: bool = True,
    exact: bool = False,
    lanes: int | None = None,
    threads: int | None = None,
    report: Reporter = silent,
) -> Compressed:
    """Codes a file by the model's predictions of its next token (arithmetic coding), without loss.

    The file is read in blocks; memory does not grow with it. Any bytes will do: what the model foresees badly is left
    to LZMA, which samples of a block decide before the model is run on all of it, or stored as it is. The same file
    gives the same code however many threads work.

    Args:
        model: the model; `decompress` needs the same.
        source: what to compress.
        out: where to write.
        mixing: mix in what the text itself has shown so far (`Mixer`): smaller, at no measurable cost of time.
        chunking: how text is cut up; the window is no longer than the model's `causal_context`.
        general: whether LZMA may code a block instead of the model.
        exact: use the weights as they are. By default a llama in float32 on the CPU is rounded to 8 bits (`Llama`),
            which is faster and costs next to no bits; other models are always exact.
        lanes: stretches that each block is cut into and that are read side by side, from 1 to 1,024; by default by the
            block's size. More are faster, and larger: each begins without the text before it.
        threads: groups of lanes that are worked on at once; as many as there are cores by default.
        report: progress callback, in bytes.

    When this misleads: probabilities are floating-point numbers. On another kind of processor or with another release
    of torch they may differ in the last bits, and then the file cannot be restored; a fingerprint in the header makes
    `decompress` refuse it there. Weights are not in the file: see `wheatstone.compression.bits` for both accounts.

    Raises:
        RequestError: a number of lanes that is out of range.

    Source: Delétang et al. 2024, Language Modeling Is Compression (arXiv 2309.10668), section 2.
    """
    LANES.check("lanes", lanes)
    started, chunking = time.perf_counter(), (chunking or Chunking()).within(model.causal_context)
    total = source.seek(0, 2)
    source.seek(0)
    start, llama = Start.of(model), None if exact else Llama.of(model)
    with coder_of(model, chunking, mixing, threads, start, llama, lanes) as coder:
        rounded = llama is not None
        header = Header(chunking, mixing, _weights(model), _fingerprint(coder), model.id, start.token, rounded)
        writer = Writer(out, header)
        ideal = 0.0
        while data := source.read(chunking.block):
            advance = _share(report, "compressing", writer.restored, len(data), total)
            block, bits = coder.encode(data, advance) if general else coder.coded(data, advance)
            writer.put(block)
            ideal += bits
            report("compressing", writer.restored, total)
        writer.close()
    return Compressed(total, writer.written, ideal, time.perf_counter() - started)


def decompress(
    model: ResidualModel,
    source: BufferedIOBase,
    out: BufferedIOBase,
    *,
    threads: int | None = None,
    report: Reporter = silent,
) -> int:
    """Restores what `compress` coded, byte for byte.

    Args:
        model: the model it was compressed with.
        source: the compressed file; read twice, first to see that it is whole.
        out: where to write.
        threads: as in `compress`.
        report: progress callback, in bytes.

    Returns:
        How many bytes were restored.

    Raises:
        RequestError: it is not such a file, or not whole; nothing was written.
        ModelError: another model made it, or a machine that computes otherwise; nothing was written.
        ComputationError: this machine computes otherwise after all; what was written is not the file.
    """
    total = open_checked(source)
    header = Header.read(source)
    if header.sha256 != _weights(model):
        raise ModelError(
            expected=f"the model that compressed this, {header.model} with weights {header.sha256[:12]}",
            got=f"{model.id} with weights {_weights(model)[:12]}",
            do=f"name it: --model {header.model}",
        )
    if header.start is not None and header.start >= model.vocabulary:
        raise RequestError(
            expected=f"a start token of {model.id}, below {model.vocabulary:,}",
            got=f"{header.start:,}",
            do="do not use what sent the file",
        )
    start = Start.of_version_1(model) if header.start is None else Start(header.start)
    llama, done = Llama.of(model) if header.rounded else None, 0
    if header.rounded and llama is None:
        raise ModelError(
            expected=f"{header.model} in float32 on the CPU, where it can be rounded to 8 bits as it was for this file",
            got=f"{model.id} in {model.precision} on {model.device}",
            do="decompress with --device cpu --dtype float32",
        )
    with coder_of(model, header.chunking, header.mixing, threads, start, llama) as coder:
        if _fingerprint(coder) != header.arithmetic:
            raise ModelError(
                expected="a machine, precision and release of torch that compute as where this was compressed",
                got=f"other last bits with {model.dtype} and torch {torch.__version__}",
                do="decompress where it was compressed, or with that processor, --dtype and release",
            )
        for block in read_blocks(source, header):
            out.write(coder.decode(block, _share(report, "decompressing", done, block.size, total)))
            done += block.size
            report("decompressing", done, total)
    return done


@contextmanager
def coder_of(
    model: ResidualModel,
    chunking: Chunking,
    mixing: bool,
    threads: int | None,
    start: Start,
    llama: Llama | None = None,
    lanes: int | None = None,
) -> Generator[BlockCoder]:
    """A coder of blocks and the threads it works on, which end with it."""
    before = torch.get_num_threads()
    pool = ThreadPoolExecutor(threads or os.cpu_count() or 1)
    alphabet = Alphabet(model.reader, model.vocabulary)
    coder = BlockCoder(model, alphabet, start, chunking, mixing, pool, llama, lanes)
    try:
        yield coder
    finally:
        coder.stopped.set()  # or leaving would wait for minutes until a group is done that is not needed any more
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(before)


def _fingerprint(coder: BlockCoder) -> bytes:
    """A hash of some probabilities, to the last bit, computed as blocks are."""

    def probe() -> bytes:
        torch.set_num_threads(1)
        lanes = coder.predictions(coder.chunking.lanes, _PROBE + 1, _PROBE, 2)
        digest = hashlib.sha256()
        for step in range(_PROBE + 1):
            digest.update(lanes.probabilities().cpu().numpy().tobytes())
            seen = torch.arange(step, step + coder.chunking.lanes, device=coder.model.device)
            lanes.see(seen % coder.model.vocabulary)
        return digest.digest()[:8]

    return coder.pool.submit(probe).result()


def _weights(model: ResidualModel) -> str:
    return model.sha256 or "0" * 64


def _share(report: Reporter, stage: str, before: int, size: int, total: int) -> Callable[[int], None]:
    """Reports bytes by symbols done; how many symbols a block has is known only to the coder, about 4 bytes each."""
    done = 0

    def advance(symbols: int) -> None:
        nonlocal done
        done += symbols
        report(stage, before + min(size, 4 * done), total)

    return advance
