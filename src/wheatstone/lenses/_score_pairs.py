"""A number as a sum over pairs (what the query reads × what the key reads), ranked without forming all pairs.

Pair (i, j) is q[i]·k[j]. It is at most |q[i]| |k[j]| (Cauchy-Schwarz), so that senders of the query are taken in the
order of their largest possible pair, and no more of them than can still be among the strongest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from wheatstone._errors import RequestError
from wheatstone._view import Brief
from wheatstone.models import HeadSplit

_ROWS = 256
"""Senders of the query whose pairs are formed at once."""


class ScoreTerm(NamedTuple):
    """One pair of senders.

    Args:
        query_sender: whose write the query reads, such as `m20`, `input` or `bias.qkv`.
        key_sender: whose write the key reads.
        value: what the pair adds to the attention score, in logits of the softmax.
    """

    query_sender: str
    key_sender: str
    value: float


class SenderTerm(NamedTuple):
    """One sender and what it adds.

    Args:
        sender: such as `a14.h7`, `m17` or `bias.norm`.
        value: what it adds, in logits.
    """

    sender: str
    value: float


@dataclass(frozen=True, eq=False)
class Pairs(Brief):
    """A sum over pairs of senders.

    Args:
        senders: their names: nodes, then bias terms.
        nodes: how many of them are nodes.
        q: each sender's part of the query, times the scaling of the scores.
        k: each sender's part of the key.
    """

    senders: tuple[str, ...]
    nodes: int
    q: Float[Tensor, "sender d_head"]
    k: Float[Tensor, "sender d_head"]

    @property
    def total(self) -> float:
        """The sum of all pairs."""
        return float(self.q.sum(0) @ self.k.sum(0))

    @property
    def bias(self) -> float:
        """The sum of the pairs in which either side is a bias term."""
        return self.total - float(self.q[: self.nodes].sum(0) @ self.k[: self.nodes].sum(0))

    @property
    def dominated_by_bias(self) -> bool:
        """Whether pairs with a bias term add up to more, in absolute value, than pairs of nodes do."""
        return abs(self.bias) > abs(self.total - self.bias)

    def term(self, query_sender: str, key_sender: str) -> ScoreTerm:
        """One pair by its senders.

        Raises:
            RequestError: no such sender.
        """
        query, key = (self._sender(name) for name in (query_sender, key_sender))
        return ScoreTerm(query_sender, key_sender, float(self.q[query] @ self.k[key]))

    def top(self, n: int = 10) -> tuple[ScoreTerm, ...]:
        """The pairs of the largest absolute value, strongest first.

        Args:
            n: how many, from 1; fewer where there are fewer pairs that are not 0.

        Raises:
            RequestError: n is less than 1.
        """
        if n < 1:
            raise RequestError(expected="at least 1 pair to show", got=str(n), do="ask for 1 or more")
        bound = self.q.norm(dim=-1) * self.k.norm(dim=-1).max()
        order = bound.argsort(descending=True, stable=True)
        values, places = self.q.new_zeros(0), torch.zeros(0, dtype=torch.long)
        for rows in order.split(_ROWS):
            # Rows come in the order of their bound: once the n-th pair reaches it, no later row can do better.
            if len(values) == n and float(values.abs().min()) >= float(bound[rows[0]]):
                break
            found = (self.q[rows] @ self.k.T).flatten()
            at = (rows[:, None] * len(self.k) + torch.arange(len(self.k))).flatten()
            values, places = torch.cat([values, found]), torch.cat([places, at])
            best = values.abs().topk(min(n, len(values))).indices
            values, places = values[best], places[best]
        return tuple(
            ScoreTerm(self.senders[place // len(self.k)], self.senders[place % len(self.k)], value)
            for value, place in zip(values.tolist(), places.tolist(), strict=True)
            if value
        )

    def by_query(self) -> tuple[SenderTerm, ...]:
        """What each sender adds through the query, met by the whole key; strongest first."""
        return ranked(self.senders, self.q @ self.k.sum(0))

    def by_key(self) -> tuple[SenderTerm, ...]:
        """What each sender adds through the key, met by the whole query; strongest first."""
        return ranked(self.senders, self.k @ self.q.sum(0))

    def _sender(self, name: str) -> int:
        if name not in self.senders:
            raise RequestError(
                expected=f"a sender that the head reads, from {self.senders[0]} to {self.senders[self.nodes - 1]}, or "
                f"out of {', '.join(self.senders[self.nodes :])}",
                got=repr(name),
                do="name one of these",
            )
        return self.senders.index(name)


def contrast(split: HeadSplit, key: int, others: Sequence[int] = ()) -> Pairs:
    """The score of a key as a sum over pairs, less the mean of other keys' scores where there are any.

    Args:
        split: the head at the query's position.
        key: position.
        others: positions that the head sees.
    """
    k = split.k[:, key]
    return Pairs(
        split.senders, split.nodes, split.q * split.scaling, k - split.k[:, list(others)].mean(1) if others else k
    )


def ranked(senders: Sequence[str], values: Float[Tensor, " sender"]) -> tuple[SenderTerm, ...]:
    """Senders by the absolute value of what they add; those that add nothing are left out."""
    order: list[int] = values.abs().argsort(descending=True, stable=True).tolist()
    return tuple(SenderTerm(senders[at], float(values[at])) for at in order if values[at])
