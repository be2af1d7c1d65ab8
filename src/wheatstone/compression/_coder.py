"""Arithmetic coding of a model's symbols.

The coder's probabilities are integers of 24 bits, and each of them at least 1: over a vocabulary of 50,000 that
floor alone would take 0.3% of the code space. So a symbol is coded in two steps, which block of 256 tokens, then
which token of the block; the floor then costs less than 0.00005 bits. One more block holds escaped bytes. Its
probability follows how many there were, so that text pays almost nothing for it.

The range coder is `constriction`'s (Bamler 2022, arXiv 2201.01741), which turns probabilities into integers the same
way everywhere.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from constriction import stream  # pyright: ignore[reportAttributeAccessIssue,reportUnknownVariableType]
from jaxtyping import Bool, Float, Int

BLOCK = 256
_FLOOR = 1e-30
_ESCAPES_AT_FIRST = 1 / 64

Probabilities = Float[np.ndarray, "lane vocab"]
Symbols = Int[np.ndarray, " lane"]


class _Steps:
    """The two steps of each symbol as probabilities.

    Args:
        tokens: size of the vocabulary.
        lanes: how many symbols there are at a time.
    """

    def __init__(self, tokens: int, lanes: int) -> None:
        self.tokens, self.blocks = tokens, -(-tokens // BLOCK)
        self.escaped = np.zeros(lanes)
        self.coded = 0
        self.family = stream.model.Categorical(perfect=False)

    def first(self, probabilities: Probabilities) -> Float[np.ndarray, "lane choice"]:
        """Of each block, the last one being the escaped bytes."""
        lanes = len(probabilities)
        padded = np.zeros((lanes, self.blocks * BLOCK), np.float32)
        padded[:, : self.tokens] = probabilities
        self.within = np.maximum(padded.reshape(lanes, self.blocks, BLOCK), np.float32(_FLOOR))
        escape = _share_of(self.escaped[:lanes, None], self.coded).astype(np.float32)
        return np.concatenate((self.within.sum(-1) * (1 - escape), escape), axis=1)

    def second(self, block: Symbols) -> Float[np.ndarray, "lane choice"]:
        """Of each token of the blocks chosen."""
        bytes_ = np.full((len(block), 1, BLOCK), 1 / BLOCK, np.float32)
        choices = np.concatenate((self.within, bytes_), axis=1)
        return np.ascontiguousarray(choices[np.arange(len(block)), block])

    def count(self, block: Symbols) -> None:
        """Notes what was coded."""
        self.escaped[: len(block)] += block == self.blocks
        self.coded += 1

    def split(self, symbols: Symbols) -> tuple[Symbols, Symbols]:
        """Block of each symbol, and its place there."""
        escaped = symbols >= self.tokens
        return (
            np.where(escaped, self.blocks, symbols // BLOCK).astype(np.int32),
            np.where(escaped, symbols - self.tokens, symbols % BLOCK).astype(np.int32),
        )

    def join(self, block: Symbols, place: Symbols) -> Symbols:
        """The inverse of `split`."""
        return np.where(block == self.blocks, self.tokens + place, block * BLOCK + place).astype(np.int32)


class Encoder:
    """Symbols to code, several at a time.

    Args:
        tokens: size of the vocabulary.
        lanes: most symbols at a time.
    """

    def __init__(self, tokens: int, lanes: int) -> None:
        self.steps = _Steps(tokens, lanes)
        self.coder = stream.queue.RangeEncoder()
        self.bits = 0.0

    def put(self, symbols: Symbols, probabilities: Probabilities) -> None:
        """Codes one symbol of each lane; `bits` grows by −Σ log₂ p."""
        block, place = self.steps.split(symbols)
        choices = self.steps.first(probabilities)
        inside = self.steps.second(block)
        self.coder.encode(block, self.steps.family, choices)
        self.coder.encode(place, self.steps.family, inside)
        lanes = np.arange(len(symbols))
        share = inside[lanes, place] / inside.sum(-1)
        self.bits -= float(np.log2(choices[lanes, block] / choices.sum(-1)).sum() + np.log2(share).sum())
        self.steps.count(block)

    def finish(self) -> bytes:
        """The code."""
        return self.coder.get_compressed().astype("<u4").tobytes()


class Decoder:
    """Code to symbols, in the order and with the probabilities they were coded with.

    Args:
        code: what `Encoder.finish` gave.
        tokens: size of the vocabulary.
        lanes: most symbols at a time.
    """

    def __init__(self, code: bytes, tokens: int, lanes: int) -> None:
        self.steps = _Steps(tokens, lanes)
        self.coder = stream.queue.RangeDecoder(np.frombuffer(code, "<u4").astype(np.uint32))

    def take(self, probabilities: Probabilities) -> Symbols:
        """One symbol of each lane."""
        block = self.coder.decode(self.steps.family, self.steps.first(probabilities))
        place = self.coder.decode(self.steps.family, self.steps.second(block))
        self.steps.count(block)
        return self.steps.join(block, place)


def escape_share(escaped: Bool[np.ndarray, " symbol"]) -> Float[np.ndarray, " symbol"]:
    """The probability that each symbol of one lane is an escaped byte, by those before it."""
    return _share_of(np.cumsum(escaped) - escaped, np.arange(len(escaped)))


def _share_of(escaped: Any, coded: Any) -> Any:
    return (escaped + _ESCAPES_AT_FIRST) / (coded + 1)
