"""What would mix better: ideas of paq8, cmix and their like, each added to `Mixer`, on the same text in one pass.

Each class adds one idea and leaves the rest as it is, so that they can be stacked. None gains enough to be in the
library (docs/results/compression.md).
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from typing import Any

import numpy as np
from compression_parts import ahead, english

from wheatstone.compression import Chunking
from wheatstone.compression._alphabet import Alphabet
from wheatstone.compression._blocks import stretches
from wheatstone.compression._container import cut_by_size
from wheatstone.compression._mixing import ORDERS, Mixer
from wheatstone.models import ResidualModel

Row = dict[str, Any]
Hint = tuple[tuple[int, int], np.ndarray, np.ndarray]
SIZE = 24_000
"""Bytes of each text."""
REPEATED = 6
"""Fewest tokens of a repeat."""
NATS = 0.7
"""Of entropy in a bucket."""


class Rows(Mixer):
    """A mixer that can be given more weights."""

    def rows(self, count: int, weight: float) -> int:
        """Adds rows of weights; the first one's number."""
        first = len(self.orders)
        self.orders = np.vstack((self.orders, np.full((count, self.orders.shape[1]), weight)))
        return first

    def bucket(self, value: float) -> int:
        """The weight for a value of 0 and more."""
        return min(int(value), self.orders.shape[1] - 1)


class Repeats(Rows):
    """The latest repeat of 6 tokens or more, in any lane, predicts one token; how surely is learnt by its length."""

    def __init__(self, tokens: int, lanes: int) -> None:
        super().__init__(tokens, lanes)
        self.repeats = self.rows(1, 0.3)
        self.right = np.ones((self.orders.shape[1], 2))
        self.text: list[list[int]] = [[] for _ in range(lanes)]
        self.ends: dict[tuple[int, ...], tuple[int, int]] = {}
        self.found: list[tuple[int, int, int] | None] = [None] * lanes

    def _hints(self, lane: int) -> Generator[Hint]:
        yield from super()._hints(lane)
        if found := self.found[lane]:
            other, at, length = found
            token, bucket = self.text[other][at], self.bucket(2 * np.log2(length / REPEATED))
            share = self.right[bucket, 1] / self.right[bucket].sum()
            hint = np.log(np.float32(share) / self.p[lane, [token]])
            yield (self.repeats, bucket), np.array([token]), hint

    def learn(self, symbols: np.ndarray) -> None:
        super().learn(symbols)
        for lane, symbol in enumerate(symbols.tolist()):
            self.text[lane].append(symbol)
        for lane, symbol in enumerate(symbols.tolist()):
            if found := self.found[lane]:
                other, at, length = found
                goes_on = self.text[other][at] == symbol
                self.right[self.bucket(2 * np.log2(length / REPEATED)), int(goes_on)] += 1
                self.found[lane] = (other, at + 1, length + 1) if goes_on else None
            if not self.found[lane] and (start := self.ends.get(tuple(self.text[lane][-REPEATED:]))):
                self.found[lane] = (*start, REPEATED)
            if (found := self.found[lane]) and found[1] >= len(self.text[found[0]]):
                self.found[lane] = None
        for lane in range(len(symbols)):
            if len(self.text[lane]) >= REPEATED:
                self.ends[tuple(self.text[lane][-REPEATED:])] = (lane, len(self.text[lane]))


class ByEntropy(Rows):
    """The model's weight is learnt apart for each entropy of its prediction."""

    def __init__(self, tokens: int, lanes: int) -> None:
        super().__init__(tokens, lanes)
        self.entropies, self.every = self.rows(1, 0.0), np.arange(tokens)

    def _hints(self, lane: int) -> Generator[Hint]:
        yield from super()._hints(lane)
        entropy = -float(self.p[lane] @ self.log_p[lane])
        yield (self.entropies, self.bucket(entropy / NATS)), self.every, self.log_p[lane]


class Alone(Rows):
    """Contexts that one token alone has followed have weights of their own."""

    def __init__(self, tokens: int, lanes: int) -> None:
        super().__init__(tokens, lanes)
        self.alone = self.rows(len(ORDERS), 0.3)

    def _hints(self, lane: int) -> Generator[Hint]:
        for (row, bucket), tokens, hint in super()._hints(lane):
            own = row < len(ORDERS) and len(tokens) == 1
            yield (row + self.alone if own else row, bucket), tokens, hint


class Foreseen(Rows):
    """What came where the last token and the likeliest next one were the same."""

    def __init__(self, tokens: int, lanes: int) -> None:
        super().__init__(tokens, lanes)
        self.foreseen, self.came_after = self.rows(1, 0.3), dict[tuple[int, int], dict[int, int]]()

    def _context(self, lane: int) -> tuple[int, int]:
        return (self.past[lane][-1] if self.past[lane] else -1), int(self.p[lane].argmax())

    def _hints(self, lane: int) -> Generator[Hint]:
        yield from super()._hints(lane)
        if known := self.came_after.get(self._context(lane)):
            tokens, counts = np.array(list(known)), np.array(list(known.values()), np.float32)
            total = int(counts.sum())
            hint = np.log(counts / np.float32(total + 1) / self.p[lane, tokens])
            yield (self.foreseen, self.bucket(total.bit_length() - 1)), tokens, hint

    def learn(self, symbols: np.ndarray) -> None:
        contexts = [self._context(lane) for lane in range(len(symbols))]
        super().learn(symbols)
        for context, symbol in zip(contexts, symbols.tolist(), strict=True):
            known = self.came_after.setdefault(context, {})
            known[symbol] = known.get(symbol, 0) + 1


class Corrected(Rows):
    """How often a token came over how often it was expected, after each last token apart."""

    def __init__(self, tokens: int, lanes: int) -> None:
        super().__init__(tokens, lanes)
        self.corrected, self.after = self.rows(1, 0.5), dict[int, dict[int, list[float]]]()

    def _hints(self, lane: int) -> Generator[Hint]:
        yield from super()._hints(lane)
        if self.past[lane] and (known := self.after.get(self.past[lane][-1])):
            came, expected = np.array(list(known.values()), np.float32).T
            hint = np.log((came + np.float32(0.5)) / (expected + np.float32(0.5)))
            yield (self.corrected, self.bucket(int(came.sum()).bit_length() - 1)), np.array(list(known)), hint

    def learn(self, symbols: np.ndarray) -> None:
        contexts = [past[-1] if past else None for past in self.past]
        super().learn(symbols)
        for lane, symbol in enumerate(symbols.tolist()):
            if (context := contexts[lane]) is not None:
                known = self.after.setdefault(context, {})
                known.setdefault(symbol, [0, 0])[0] += 1
                for token, counts in known.items():
                    counts[1] += float(self.p[lane, token])


class Stage(Rows):
    """How often the likeliest token came when it was as likely as now, averaged with its probability (SSE, APM)."""

    def __init__(self, tokens: int, lanes: int) -> None:
        super().__init__(tokens, lanes)
        self.edges = np.linspace(-8, 8, 33)
        self.came_so_often = 1 / (1 + np.exp(-self.edges))

    def mix(self, probabilities: np.ndarray) -> np.ndarray:
        q = super().mix(probabilities)
        self.top, lanes = q.argmax(-1), np.arange(len(q))
        self.sure = q[lanes, self.top].clip(1e-6, 1 - 1e-6)
        said = (self.sure + np.interp(self._logit(), self.edges, self.came_so_often)) / 2
        staged = q * ((1 - said) / (1 - self.sure))[:, None]
        staged[lanes, self.top] = said
        return staged.astype(np.float32)

    def learn(self, symbols: np.ndarray) -> None:
        super().learn(symbols)
        at = np.abs(self._logit()[:, None] - self.edges).argmin(1)
        for lane, symbol in enumerate(symbols.tolist()):
            self.came_so_often[at[lane]] += 0.02 * (float(self.top[lane] == symbol) - self.came_so_often[at[lane]])

    def _logit(self) -> np.ndarray:
        return np.log(self.sure / (1 - self.sure))


class Fast(Mixer):
    """Weights learnt three times as fast."""

    def learn(self, symbols: np.ndarray) -> None:
        model, calibration, orders = self.model, self.calibration, self.orders.copy()
        super().learn(symbols)
        self.model += 2 * (self.model - model)
        self.calibration += 2 * (self.calibration - calibration)
        self.orders += 2 * (self.orders - orders)


class TwoRates(Mixer):
    """The mean of two mixers that learn at different rates."""

    def __init__(self, tokens: int, lanes: int) -> None:
        self.both = (Mixer(tokens, lanes), Fast(tokens, lanes))

    def mix(self, probabilities: np.ndarray) -> np.ndarray:
        one, other = (mixer.mix(probabilities) for mixer in self.both)
        return (one + other) / 2

    def learn(self, symbols: np.ndarray) -> None:
        for mixer in self.both:
            mixer.learn(symbols)


class Together(Stage, Corrected, Foreseen, Alone, ByEntropy, Repeats):
    """All but the two rates."""


MIXERS: dict[str, type[Mixer]] = {
    "as it is": Mixer,
    "the longest repeat": Repeats,
    "a weight for each entropy": ByEntropy,
    "weights for lone followers": Alone,
    "the likeliest token as context": Foreseen,
    "calibration after each token": Corrected,
    "a last stage (SSE)": Stage,
    "two rates, averaged": TwoRates,
    "all but the two rates": Together,
}


def mixers(model: ResidualModel, done: set[str]) -> Iterator[Row]:
    """−Σ log₂ p of the first bytes of both texts by each."""
    yield from (_of_text(model, text) for text in ("books", "docs") if f"{text}/{SIZE}" not in done)


def _of_text(model: ResidualModel, text: str) -> Row:
    alphabet, chunking = Alphabet(model.reader, model.vocabulary), Chunking()
    symbols = np.array(alphabet.symbols(english(text, SIZE)).symbols, np.int32)
    group = stretches(len(symbols), *cut_by_size(len(symbols), chunking))[0]
    table = np.stack([np.pad(symbols[at], (0, len(group[0]) - len(at))) for at in group])
    made = {name: mixer(alphabet.tokens, len(group)) for name, mixer in MIXERS.items()}
    bits, seconds, lanes = dict.fromkeys(["the model", *made], 0.0), dict.fromkeys(made, 0.0), np.arange(len(group))
    for step, probabilities in enumerate(ahead(model, table, chunking)):
        there = lanes[[step < len(at) for at in group]]
        now, p = table[there, step], np.ascontiguousarray(probabilities)
        bits["the model"] -= float(np.log2(p[there, now]).sum())
        for name, mixer in made.items():
            started = time.process_time()
            bits[name] -= float(np.log2(mixer.mix(p)[there, now]).sum())
            mixer.learn(now)
            seconds[name] += time.process_time() - started
    return {
        "key": f"{text}/{SIZE}",
        "bytes": sum(len(alphabet.join(symbols[at].tolist())) for at in group),
        "symbols": int(sum(len(at) for at in group)),
        "bits": bits,
        "cpu_s": seconds,
    }
