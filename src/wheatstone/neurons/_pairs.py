"""Mutually exclusive pairs: a neuron and a token of which each is the other's most congruent of all.

With c the congruence of every neuron with every token (`Congruence`), t and n are a pair where c[t, n] is the largest
entry of both its row and its column. How exclusive they are is

    score = (c[t, n] − second largest of row t) · (c[t, n] − second largest of column n)

and the same for the most negative entries, with c's sign turned (sign −1).

c has vocab x neurons entries and is never there as a whole. One pass over tiles keeps the largest entry of every row
and column, and the second largest of its tiles' largest. A pair's entry is the largest of its row and of its column,
so pairs are where the two agree; and another tile's largest is at most the second of its row, so the gaps to it bound
the score from above. Pairs are then looked at in the order of these bounds, whole rows and columns again in tiles,
until no bound that is left reaches the scores that were found.

How large would an entry be by chance? If the entries of w_n were shuffled over the residual stream's dimensions, its
congruence with t would have mean d · mean(u) · mean(w) and variance Σ(u − ū)² Σ(w − w̄)² / (d − 1), over all d!
shuffles, with u and w the two vectors as they meet. So z needs no draws:

    z = (c[t, n] − mean) / standard deviation

When this misleads: among 10⁹ entries the largest has a z above 6 by chance; `shuffled` runs the same search on shuffled
neurons and says how large scores get. A shuffle also takes apart what all tokens and neurons share, such as dimensions
that are large in both.

Source: Miller and Neo 2023 for the score.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from wheatstone._progress import Reporter, silent
from wheatstone.models import Neuron
from wheatstone.neurons._congruence import Congruence

_TILE = (2048, 1024)
"""Tokens x neurons of a tile: 8 MB in single precision, which a processor's cache nearly holds."""
_LOOKED_AT = 256
"""Pairs whose whole rows and columns are looked at together."""


class Pair(NamedTuple):
    """A neuron and a token that are each other's first choice.

    Args:
        neuron: by name.
        token: its id.
        text: of the token.
        sign: 1 where a positive activation raises the token, −1 where a negative one does.
        congruence: of the two.
        token_gap: how much more congruent the token is with the neuron than with the next neuron.
        neuron_gap: how much more congruent the neuron is with the token than with the next token.
        score: the product of both gaps.
        z: of sign · congruence among shuffles of the neuron's entries.
    """

    neuron: str
    token: int
    text: str
    sign: int
    congruence: float
    token_gap: float
    neuron_gap: float
    score: float
    z: float


@dataclass(frozen=True)
class Pairs:
    """What a search found.

    Args:
        best: the most exclusive pairs, in that order.
        mutual: how many pairs there are in all, with any score.
        entries: of c: how many a pair was chosen from.
    """

    best: tuple[Pair, ...]
    mutual: int
    entries: int


def exclusive_pairs(
    congruence: Congruence,
    *,
    top: int = 100,
    tile: tuple[int, int] = _TILE,
    shuffled: int | None = None,
    report: Reporter = silent,
) -> Pairs:
    """The most mutually exclusive pairs of a neuron and a token.

    Args:
        congruence: model and reading.
        top: how many.
        tile: tokens and neurons looked at together; changes memory and time, not what is found.
        shuffled: seed of a shuffle of every neuron's entries: the null, in which no pair means anything. Which shuffle
            it is depends on the tile.
        report: told how far it is.

    Memory: a tile, a layer's neurons, and the extremes of vocab + neurons; not vocab x neurons.
    """
    search = _Search(congruence, tile, shuffled, report)
    candidates = search.candidates()
    found: list[Pair] = []
    done, step = 0, max(top, _LOOKED_AT)
    while done < len(candidates):
        found += search.pairs(candidates[done : done + step])
        found = sorted(found, key=lambda pair: -pair.score)[:top]
        done += step
        if len(found) == top and (done >= len(candidates) or candidates[done].bound <= found[-1].score):
            break
    return Pairs(tuple(found), len(candidates), search.vocab * search.neurons)


class _Candidate(NamedTuple):
    """What may be a pair, and the most its score can be."""

    bound: float
    sign: int
    token: int
    neuron: int


class _Search:
    """Passes over the tiles."""

    def __init__(self, congruence: Congruence, tile: tuple[int, int], shuffled: int | None, report: Reporter) -> None:
        self.congruence, self.tile, self.shuffled, self.report = congruence, tile, shuffled, report
        self.tokens = congruence.tokens.detach()
        self.wide = torch.promote_types(self.tokens.dtype, torch.float32)  # halves have too many equal entries
        self.vocab, self.neurons = len(self.tokens), sum(congruence.sizes)
        self._names = [Neuron(layer, index) for layer, size in enumerate(congruence.sizes) for index in range(size)]

    def _each(self, use: Callable[[int, Tensor], None], stage: str) -> None:
        """Every tile of neurons, shuffled where that is asked for."""
        draw = None if self.shuffled is None else torch.Generator().manual_seed(self.shuffled)

        def drawn(first: int, directions: Tensor) -> None:
            self.report(stage, first, self.neurons)
            if draw is not None:
                order = torch.rand(directions.shape, generator=draw).argsort(-1).to(directions.device)
                directions = directions.gather(-1, order)
            use(first, directions.to(self.wide))

        self.congruence.by_neuron(drawn, tile=self.tile[1])
        self.report(stage, self.neurons, self.neurons)

    def candidates(self) -> list[_Candidate]:
        """Pairs of both signs, those whose score may be largest first."""
        rows, columns = (_Largest(count, self.tokens.device, self.wide) for count in (self.vocab, self.neurons))
        step = self.tile[0]

        def use(first: int, directions: Tensor) -> None:
            neurons = slice(first, first + len(directions))
            for start in range(0, self.vocab, step):
                entries = self.tokens[start : start + step].to(self.wide) @ directions.T
                tokens = slice(start, start + len(entries))
                rows.add(tokens, entries.amax(1), entries.amin(1).neg())
                columns.add(neurons, entries.amax(0), entries.amin(0).neg())

        self._each(use, "looking for pairs")
        found: list[_Candidate] = []
        for at, sign in enumerate((1, -1)):
            ours, theirs = rows.first[at].cpu().numpy(), columns.first[at].cpu().numpy()
            _, tokens, neurons = np.intersect1d(ours, theirs, return_indices=True)
            bounds = rows.gap(at)[tokens] * columns.gap(at)[neurons]
            found += [
                _Candidate(bound, sign, token, neuron)
                for bound, token, neuron in zip(bounds.tolist(), tokens.tolist(), neurons.tolist(), strict=True)
            ]
        return sorted(found, key=lambda candidate: -candidate.bound)

    def pairs(self, candidates: Sequence[_Candidate]) -> list[Pair]:
        """Those candidates that are pairs, by their whole rows and columns."""
        signs = torch.tensor([candidate.sign for candidate in candidates], device=self.tokens.device)[:, None]
        neurons = torch.tensor([candidate.neuron for candidate in candidates])
        chosen = self.tokens[[candidate.token for candidate in candidates]].to(self.wide) * signs
        directions = torch.empty_like(chosen)
        by_token, by_neuron = _Best(len(candidates)), _Best(len(candidates))

        def use(first: int, tile: Tensor) -> None:
            for start in range(0, len(chosen), self.tile[0]):
                by_token.add(chosen[start : start + self.tile[0]] @ tile.T, start, first)
            mine = (neurons >= first) & (neurons < first + len(tile))
            directions[mine] = tile[neurons[mine] - first]

        self._each(use, "looking at pairs")
        directions *= signs
        for first in range(0, self.vocab, self.tile[0]):
            rows = self.tokens[first : first + self.tile[0]].to(self.wide)
            for start in range(0, len(directions), self.tile[1]):
                by_neuron.add(directions[start : start + self.tile[1]] @ rows.T, start, first)
        found: list[Pair] = []
        for at, candidate in enumerate(candidates):
            if (int(by_neuron.index[at]), int(by_token.index[at])) != (candidate.token, candidate.neuron):
                continue  # two entries that happen to be equal
            value, token_gap, neuron_gap = float(by_token.first[at]), float(by_token.gap[at]), float(by_neuron.gap[at])
            found.append(
                Pair(
                    neuron=str(self._names[candidate.neuron]),
                    token=candidate.token,
                    text=self.congruence.model.decode([candidate.token])[0],
                    sign=candidate.sign,
                    congruence=candidate.sign * value,
                    token_gap=token_gap,
                    neuron_gap=neuron_gap,
                    score=token_gap * neuron_gap,
                    z=shuffled_z(value, self.tokens[candidate.token], directions[at]),
                )
            )
        return found


class _Largest:
    """The largest entry of every row (or column), and the second largest of what its tiles gave; of c and of −c."""

    def __init__(self, rows: int, device: torch.device, dtype: torch.dtype) -> None:
        self.first, self.second = torch.full((2, 2, rows), -torch.inf, device=device, dtype=dtype)

    def add(self, rows: slice, *largest: Float[Tensor, " row"]) -> None:
        """Takes in the largest entries of a tile, of c and of −c."""
        for at, most in enumerate(largest):
            first, second = self.first[at, rows], self.second[at, rows]
            torch.maximum(second, torch.minimum(first, most), out=second)
            torch.maximum(first, most, out=first)

    def gap(self, at: int) -> Float[np.ndarray, " row"]:
        """Between the two."""
        return (self.first[at] - self.second[at]).double().cpu().numpy()


class _Best:
    """The two largest entries of each of some rows, seen tile by tile."""

    def __init__(self, rows: int) -> None:
        self.first, self.second = torch.full((2, rows), -torch.inf, dtype=torch.float64)
        self.index = torch.zeros(rows, dtype=torch.long)

    @property
    def gap(self) -> Tensor:
        return self.first - self.second

    def add(self, entries: Float[Tensor, "row column"], row: int, column: int) -> None:
        """Takes a tile in.

        Args:
            entries: its entries.
            row: where its rows begin.
            column: where its columns begin.
        """
        at = slice(row, row + len(entries))
        values, places = entries.topk(min(2, entries.shape[1]))
        values, places = values.double().cpu(), places.cpu() + column
        better = values[:, 0] > self.first[at]
        self.index[at] = torch.where(better, places[:, 0], self.index[at])
        every = torch.cat((self.first[at, None], self.second[at, None], values), dim=1)
        self.first[at], self.second[at] = every.topk(2).values.unbind(1)


def shuffled_z(value: float, token: Float[Tensor, " d"], direction: Float[Tensor, " d"]) -> float:
    """How many standard deviations a product of two vectors lies above its mean over all shuffles of one of them.

    Args:
        value: the product.
        token: the one.
        direction: the other, in any order.
    """
    token, direction = token.double().cpu(), direction.double().cpu()
    mean = len(token) * token.mean() * direction.mean()
    spread = (token - token.mean()).square().sum() * (direction - direction.mean()).square().sum() / (len(token) - 1)
    return float((value - mean) / spread.sqrt())
