"""An adaptive model of the text at hand, mixed with the language model's predictions in the logistic domain.

    q(t) ∝ exp( w · log p(t) + b · calibration(t) + Σ over orders k of v[k, n] · log( c_k(t) / (n + 1) / p(t) ) )

p is the language model's. `calibration` is log of how often token t came over how often p expected it. The sum runs
over what has followed the last k tokens so far: c_k(t) of n times t. All weights are learnt as the text goes by, one
gradient step of −log q a token; those of the orders apart for few and for many n.

The idea is that of paq8 and cmix (Knoll & de Freitas 2012, arXiv 1108.3298), on tokens instead of bits.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator

import numpy as np
from jaxtyping import Float, Int

ORDERS = (2, 3, 5)
_BUCKETS = 6
_RATE = 0.004
_PRIOR = 2.0
_SMALLEST = 1e-30

Followers = dict[int, int]
"""How often each token came after a context."""


class Mixer:
    """Mixes what one group of lanes has shown so far into its predictions.

    Args:
        tokens: size of the vocabulary.
        lanes: how many lanes the group has.
    """

    def __init__(self, tokens: int, lanes: int) -> None:
        self.model, self.calibration = 1.0, 0.5
        self.orders = np.full((len(ORDERS), _BUCKETS), 0.3)
        self.came = np.full(tokens, _PRIOR, np.float32)
        self.expected = np.full(tokens, _PRIOR, np.float32)
        self.followers: list[dict[tuple[int, ...], Followers]] = [{} for _ in ORDERS]
        self.past: list[deque[int]] = [deque(maxlen=max(ORDERS)) for _ in range(lanes)]

    def mix(self, probabilities: Float[np.ndarray, "lane vocab"]) -> Float[np.ndarray, "lane vocab"]:
        """What is coded with."""
        self.p = np.maximum(probabilities, np.float32(_SMALLEST))
        self.log_p, self.correction = np.log(self.p), np.log(self.came / self.expected)
        self.hints = [list(self._hints(lane)) for lane in range(len(self.p))]
        mixed = np.float32(self.model) * self.log_p + np.float32(self.calibration) * self.correction
        for lane, hints in enumerate(self.hints):
            for at, tokens, hint in hints:
                mixed[lane, tokens] += np.float32(self.orders[at]) * hint
        mixed = np.exp(mixed - mixed.max(-1, keepdims=True))
        self.q = mixed / mixed.sum(-1, keepdims=True)
        return self.q

    def learn(self, symbols: Int[np.ndarray, " lane"]) -> None:
        """What came."""
        for lane, symbol in enumerate(symbols.tolist()):
            if symbol >= len(self.came):  # an escaped byte, which no model foresaw
                self.past[lane].clear()
                continue
            q = self.q[lane]
            self.model += _RATE * float(self.log_p[lane, symbol] - q @ self.log_p[lane])
            self.calibration += _RATE * float(self.correction[symbol] - q @ self.correction)
            for at, tokens, hint in self.hints[lane]:
                self.orders[at] += _RATE * float(hint[tokens == symbol].sum() - q[tokens] @ hint)
            self.came[symbol] += 1
            self._remember(lane, symbol)
        self.expected += self.p[: len(symbols)].sum(0)

    def _hints(
        self, lane: int
    ) -> Generator[tuple[tuple[int, int], Int[np.ndarray, " known"], Float[np.ndarray, " known"]]]:
        """Of each order that knows the context: which weight, which tokens, and by how much each would move."""
        past = tuple(self.past[lane])
        for index, order in enumerate(ORDERS):
            if len(past) >= order and (known := self.followers[index].get(past[-order:])):
                tokens = np.fromiter(known.keys(), np.int64)
                counts = np.fromiter(known.values(), np.float32)
                total = int(counts.sum())
                hint = np.log(counts / np.float32(total + 1) / self.p[lane, tokens])
                yield (index, min(total.bit_length(), _BUCKETS) - 1), tokens, hint

    def _remember(self, lane: int, token: int) -> None:
        past = tuple(self.past[lane])
        for index, order in enumerate(ORDERS):
            if len(past) >= order:
                known = self.followers[index].setdefault(past[-order:], {})
                known[token] = known.get(token, 0) + 1
        self.past[lane].append(token)
