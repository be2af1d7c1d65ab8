"""One block of bytes to code and back, in groups of lanes."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Event

import numpy as np
import torch
from jaxtyping import Float, Int

from wheatstone._errors import ComputationError, RequestError
from wheatstone.compression._alphabet import Alphabet
from wheatstone.compression._bits import bits
from wheatstone.compression._coder import Decoder, Encoder
from wheatstone.compression._container import CODED, PREFIXED, Block, Chunking, cut_by_size
from wheatstone.compression._lanes import Lanes, Start
from wheatstone.compression._mixing import Mixer
from wheatstone.compression._step import Llama, LlamaLanes
from wheatstone.models import ResidualModel

_SAMPLE = 1024
"""Bytes of a sample."""
_SURELY = 0.8
"""A sample lacks the text before it, so that it costs the model more than the same bytes inside a block."""
_MOST_GROUPS = 255
"""Of a block: their number is one byte."""
_TWO_GROUPS = 4
"""Lanes from which on they are two groups, for two cores: a step of half as many takes less time."""
Advance = Callable[[int], None]
"""A callback that receives how many symbols have just been done."""
Stretch = Int[np.ndarray, " _"]
"""Which symbols of a block are in one lane, in order."""
Exchange = Callable[[Stretch, Float[np.ndarray, "lane vocab"]], Int[np.ndarray, " lane"]]
"""What a coder does in one step: (which symbols, their probabilities) -> the symbols."""


@dataclass(frozen=True, eq=False)
class BlockCoder:
    """A model that codes blocks.

    Args:
        model: the model.
        alphabet: its symbols.
        start: what is read before a stretch.
        chunking: how a block is cut up.
        mixing: whether an adaptive model is mixed in.
        pool: where groups are worked on, each on one thread.
        llama: the model in 8 bits, which codes in its place; None where the model itself does.
        lanes: stretches that a block is cut into, over all groups; by its size by default.
        stopped: once set, groups that are being worked on are given up at their next step.
    """

    model: ResidualModel
    alphabet: Alphabet
    start: Start
    chunking: Chunking
    mixing: bool
    pool: ThreadPoolExecutor
    llama: Llama | None = None
    lanes: int | None = None
    stopped: Event = field(default_factory=Event)

    def encode(self, data: bytes, advance: Advance) -> tuple[Block, float]:
        """A block, and −Σ log₂ p of its symbols; without the model where that makes it no larger.

        The model is not run where LZMA needs less than `_SURELY` of what some samples of the block cost the model.
        """
        plain = Block.plain(data)
        cost = 8.0 * len(plain.codes[0])
        if cost < _SURELY * self.pool.submit(self._guessed, data).result():
            return plain, cost
        coded, ideal = self.coded(data, advance)
        return (coded, ideal) if len(coded) < len(plain) else (plain, cost)

    def _guessed(self, data: bytes) -> float:
        """About how many bits the model needs, by samples from the block's start, middle and end."""
        torch.set_num_threads(1)  # in this thread: the choice does not depend on how many there are
        starts = {0, (len(data) - _SAMPLE) // 2, len(data) - _SAMPLE}
        samples = [data[at : at + _SAMPLE] for at in sorted(starts)] if len(data) > 3 * _SAMPLE else [data]
        return sum(bits(self.model, sample).total for sample in samples) / sum(map(len, samples)) * len(data)

    def coded(self, data: bytes, advance: Advance) -> tuple[Block, float]:
        """A block coded by the model, and −Σ log₂ p of its symbols."""
        found = self.alphabet.symbols(data)
        symbols = np.array(found.symbols, dtype=np.int32)

        def code(group: list[Stretch]) -> tuple[bytes, float]:
            coder = Encoder(self.alphabet.tokens, len(group))

            def put(at: Stretch, probabilities: Float[np.ndarray, "lane vocab"]) -> Int[np.ndarray, " lane"]:
                coder.put(symbols[at], probabilities)
                return symbols[at]

            self._read(group, put, advance)
            return coder.finish(), coder.bits

        together, groups = self.cut(len(symbols))
        codes = list(self.pool.map(code, stretches(len(symbols), together, groups)))
        kind = PREFIXED if found.prefixed else CODED
        block = Block(kind, len(data), zlib.crc32(data), len(symbols), tuple(code for code, _ in codes), together)
        return block, sum(cost for _, cost in codes)

    def cut(self, symbols: int) -> tuple[int, int]:
        """Lanes of each group, and groups, for a block of `symbols` symbols; several cores share the groups."""
        lanes, groups = cut_by_size(symbols, self.chunking)
        if self.lanes is not None:
            lanes, groups = min(self.lanes, symbols), -(-min(self.lanes, symbols) // self.chunking.lanes)
            groups = min(groups, _MOST_GROUPS)
            lanes = -(-lanes // max(1, groups))
        if groups == 1 and lanes >= _TWO_GROUPS:
            lanes, groups = -(-lanes // 2), 2
        return max(1, min(lanes, symbols // max(1, groups))), groups

    def predictions(self, count: int, steps: int, window: int, overlap: int) -> Lanes | LlamaLanes:
        """Lanes at their start.

        Raises:
            ComputationError: there is no room for their keys and values.
        """
        if self.llama is None:
            return Lanes(self.model, count, window=window, overlap=overlap, start=self.start)
        try:
            start = self.start.token
            return LlamaLanes(self.llama, count, steps, window=window, overlap=overlap, start=start)
        except RuntimeError as error:  # of torch's allocator
            size = self.llama.cache_bytes(count, min(window, steps)) / 1e9
            raise ComputationError(
                expected=f"{size:,.1f} GB for the keys and values of {count} lanes",
                got="less",
                do="use fewer --threads",
            ) from error

    def decode(self, block: Block, advance: Advance) -> bytes:
        """What a block was made of.

        Raises:
            ComputationError: this machine computes other probabilities than the one that coded it.
        """
        by_model = block.kind in (CODED, PREFIXED)
        data = self._decode(block, advance) if by_model else _unpacked(block)
        if len(data) != block.size or zlib.crc32(data) != block.crc:
            if not by_model:
                raise _undecodable("its checksum differs")
            raise ComputationError(
                expected="the bytes that were compressed",
                got="others: this machine, or its release of torch, computes other probabilities",
                do="decompress where it was compressed",
            )
        return data

    def _decode(self, block: Block, advance: Advance) -> bytes:
        symbols = np.empty(block.symbols, dtype=np.int32)

        def restore(code: bytes, group: list[Stretch]) -> None:
            coder = Decoder(code, self.alphabet.tokens, len(group))

            def take(at: Stretch, probabilities: Float[np.ndarray, "lane vocab"]) -> Int[np.ndarray, " lane"]:
                symbols[at] = coder.take(probabilities)
                return symbols[at]

            self._read(group, take, advance)

        groups = stretches(block.symbols, block.lanes, len(block.codes))
        try:
            list(self.pool.map(restore, block.codes, groups))
            return self.alphabet.join(symbols.tolist(), prefixed=block.kind == PREFIXED)
        except (ValueError, LookupError, AssertionError, OverflowError) as error:  # a code without a meaning
            raise _undecodable(error) from error

    def _read(self, group: list[Stretch], exchange: Exchange, advance: Advance) -> None:
        """Goes through the lanes of a group side by side; encoder and decoder differ only in `exchange`."""
        torch.set_num_threads(1)  # in this thread: how many share a sum decides its last bits
        tokens, start, chunking = self.alphabet.tokens, self.start.token, self.chunking
        lanes = self.predictions(len(group), len(group[0]), chunking.window, chunking.overlap)
        mixer = Mixer(tokens, len(group)) if self.mixing else None
        for step in range(len(group[0])):
            if self.stopped.is_set():
                raise CancelledError
            at = np.array([stretch[step] for stretch in group if len(stretch) > step])
            probabilities = lanes.probabilities().cpu().numpy()
            if mixer:
                probabilities = mixer.mix(probabilities)
            symbols = exchange(at, probabilities[: len(at)])
            if mixer:
                mixer.learn(symbols)
            seen = np.full(len(group), start)
            seen[: len(at)] = np.where(symbols < tokens, symbols, start)
            lanes.see(torch.from_numpy(seen).to(self.model.device))
            advance(len(at))


def _unpacked(block: Block) -> bytes:
    try:
        return block.unpacked()
    except ValueError as error:
        raise _undecodable(error) from error


def _undecodable(error: object) -> RequestError:
    return RequestError(
        expected="a file that `wheatstone compress` made",
        got=f"a block that cannot be decoded ({error})",
        do="decompress where it was compressed; if that was here, compress it again",
    )


def stretches(symbols: int, lanes: int, groups: int) -> list[list[Stretch]]:
    """Cuts a block into stretches of consecutive symbols, and these into groups that are read side by side.

    Stretches of a group differ by one symbol at most, the longer ones first.

    Args:
        symbols: of the block.
        lanes: stretches of each group.
        groups: that are worked on apart, each on one thread.
    """
    parts = np.array_split(np.arange(symbols), groups) if groups else []
    return [np.array_split(part, lanes) for part in parts]
