"""What compressing a file would take and give, from samples of it."""

from __future__ import annotations

import os
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass
from io import BufferedIOBase

import numpy as np
import torch

from wheatstone._progress import Reporter, silent
from wheatstone.compression._bits import bits
from wheatstone.compression._blocks import BlockCoder
from wheatstone.compression._compress import coder_of
from wheatstone.compression._container import Block, Chunking
from wheatstone.compression._lanes import Start
from wheatstone.compression._step import Llama, LlamaLanes
from wheatstone.models import ResidualModel

_SAMPLES, _BYTES = 3, 2048
_BEGINNING = 128
"""Tokens of a sample that cost more than they would inside a lane, as those at a lane's start do."""
_STEPS = 3
_FRAME = 138
"""Bytes of header and checksums."""


@dataclass(frozen=True)
class Estimate:
    """What `compress` would do with a file.

    Args:
        bytes_in: its size.
        bytes_out: about how large the compressed file would be, without mixing, which makes it smaller.
        seconds: about how long it would take; restoring takes as long.
        lanes: stretches of a block that are read side by side, over all groups.
        by_model: whether the model would code it, not a general compressor.
    """

    bytes_in: int
    bytes_out: int
    seconds: float
    lanes: int
    by_model: bool


def estimate(
    model: ResidualModel,
    source: BufferedIOBase,
    *,
    chunking: Chunking | None = None,
    exact: bool = False,
    lanes: int | None = None,
    threads: int | None = None,
    report: Reporter = silent,
) -> Estimate:
    """How long `compress` would take and how small a file would become; nothing is written.

    Three samples of 2 kB are priced in plain forward passes, and a few steps are run as `compress` runs them.

    Args:
        model: the model.
        source: what would be compressed.
        chunking: as in `compress`.
        exact: as in `compress`.
        lanes: as in `compress`.
        threads: as in `compress`.
        report: progress callback, in samples.

    When this misleads: three samples say little of a file whose parts differ. A machine that is busy now is not
    always busy.
    """
    chunking = (chunking or Chunking()).within(model.causal_context)
    size = source.seek(0, 2)
    source.seek(0)
    first = source.read(min(size, chunking.block))
    places = np.linspace(0, max(0, size - _BYTES), _SAMPLES if size > _SAMPLES * _BYTES else 1).astype(int).tolist()
    symbols, steady, beginning = 0, 0.0, 0.0
    for done, at in enumerate(places):
        report("sampling", done, len(places))
        source.seek(at)
        costs = np.array(bits(model, source.read(_BYTES if len(places) > 1 else size)).surprise)
        inside = costs[_BEGINNING:] if len(costs) > 2 * _BEGINNING else costs
        symbols, steady = symbols + len(costs), steady + float(inside.mean() if len(inside) else 0) / len(places)
        beginning += float((costs - inside.mean())[:_BEGINNING].sum() if len(inside) else 0) / len(places)
    report("sampling", len(places), len(places))
    sampled = size if len(places) == 1 else _BYTES * len(places)
    tokens = round(symbols * len(first) / max(1, sampled))
    blocks = size / max(1, len(first))
    with _coder(model, chunking, exact, lanes, threads) as coder:
        together, groups = coder.cut(tokens)
        coded = (tokens * steady + together * groups * beginning) / 8 + len(Block(0, 0, 0, 0, (b"",) * groups))
        general = len(Block.plain(first)) if size else 0
        seconds = blocks * _block_seconds(coder, tokens, threads) if coded < general else 0.0
    return Estimate(size, round(blocks * min(coded, general)) + _FRAME, seconds, together * groups, coded < general)


def estimate_seconds(
    model: ResidualModel,
    size: int,
    threads: int | None = None,
    *,
    exact: bool = False,
    lanes: int | None = None,
    chunking: Chunking | None = None,
) -> float:
    """About how long `compress` takes: the pace of a short run, and 4 bytes a token as in English text.

    Args:
        model: the model.
        size: of the file, in bytes.
        threads: as in `compress`.
        exact: as in `compress`.
        lanes: as in `compress`.
        chunking: as in `compress`.
    """
    chunking = chunking or Chunking()
    block = min(size, chunking.block)
    with _coder(model, chunking, exact, lanes, threads) as coder:
        return size / max(1, block) * _block_seconds(coder, block // 4, threads)


def _coder(
    model: ResidualModel, chunking: Chunking, exact: bool, lanes: int | None, threads: int | None
) -> AbstractContextManager[BlockCoder]:
    llama = None if exact else Llama.of(model)
    return coder_of(model, chunking.within(model.causal_context), False, threads, Start.of(model), llama, lanes)


def _block_seconds(coder: BlockCoder, symbols: int, threads: int | None) -> float:
    """How long a block of `symbols` symbols takes, by some steps in the middle of a lane."""
    lanes, groups = coder.cut(symbols)
    if not groups:
        return 0.0
    steps = -(-symbols // (lanes * groups))

    def a_step() -> float:
        torch.set_num_threads(1)
        room = max(steps, 2 * (_STEPS + 1))  # for the steps that are timed, from the middle on
        predictions = coder.predictions(lanes, room, coder.chunking.window, coder.chunking.overlap)
        if isinstance(predictions, LlamaLanes):
            predictions.position = min(coder.chunking.window, room) // 2
        token = torch.full((lanes,), coder.start.token, device=coder.model.device)
        times = list[float]()
        for _ in range(_STEPS + 1):
            times.append(time.perf_counter())
            predictions.probabilities()
            predictions.see(token)
        return (time.perf_counter() - times[1]) / _STEPS  # the first is slower

    rounds = -(-groups // min(groups, threads or os.cpu_count() or 1))
    return steps * rounds * coder.pool.submit(a_step).result()
