"""Mutually exclusive pairs: a neuron and a token of which each is the other's most congruent of all.

With c the congruence of every neuron with every token (`Congruence`), t and n are a pair where c[t, n] is the largest
entry of both its row and its column. Of equal entries the first in a row or column counts as its largest, so each token
and each neuron is in one pair of a sign at most. How exclusive a pair is:

    score = (c[t, n] − second largest of row t) · (c[t, n] − second largest of column n)

and the same for the most negative entries, with c's sign turned (sign −1).

c has vocab x neurons entries and is never in memory as a whole. One pass over tiles keeps the place of the largest
entry of every row and column: t and n are a pair where these places are each other's. The pass also keeps the second
largest of the tiles' largest. It is at most the second largest of the row, so the gaps to it bound the score from
above. A second pass measures the pairs, those with the largest bounds first, until no bound that is left reaches the
scores that were found.

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

import torch
from jaxtyping import Float, Int
from torch import Tensor

from wheatstone._progress import Reporter, silent
from wheatstone._view import Brief
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
class Pairs(Brief):
    """What a search found.

    Args:
        best: the most exclusive pairs, in that order.
        mutual: how many pairs there are in all, with any score; `best` holds them all where `top` is as large.
        entries: how many entries c has.
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
        top: at most this many.
        tile: tokens and neurons looked at together; changes memory and time, not what is found.
        shuffled: seed of a shuffle of every neuron's entries: the null, in which no pair means anything. Which shuffle
            it is depends on the tile.
        report: progress callback.

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
    """A pair, and the most its score can be."""

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
        """All pairs of both signs, those whose score may be largest first."""
        rows, columns = (_Largest(count, self.tokens.device, self.wide) for count in (self.vocab, self.neurons))
        step = self.tile[0]

        def use(first: int, directions: Tensor) -> None:
            for start in range(0, self.vocab, step):
                entries = self.tokens[start : start + step].to(self.wide) @ directions.T
                rows.add(entries, start, first)
                columns.add(entries.T, first, start)

        self._each(use, "looking for pairs")
        found: list[_Candidate] = []
        for at, sign in enumerate((1, -1)):
            chosen = rows.index[at]
            tokens = (columns.index[at][chosen] == torch.arange(self.vocab, device=chosen.device)).nonzero()[:, 0]
            neurons = chosen[tokens]
            bounds = rows.gap(at)[tokens] * columns.gap(at)[neurons]
            found += [
                _Candidate(bound, sign, token, neuron)
                for bound, token, neuron in zip(bounds.tolist(), tokens.tolist(), neurons.tolist(), strict=True)
            ]
        return sorted(found, key=lambda candidate: -candidate.bound)

    def pairs(self, candidates: Sequence[_Candidate]) -> list[Pair]:
        """Pairs with their gaps, by their whole rows and columns."""
        signs = torch.tensor([candidate.sign for candidate in candidates], device=self.tokens.device)[:, None]
        tokens = torch.tensor([candidate.token for candidate in candidates])
        neurons = torch.tensor([candidate.neuron for candidate in candidates])
        chosen = self.tokens[tokens.to(self.tokens.device)].to(self.wide) * signs
        directions = torch.empty_like(chosen)
        of_token, of_neuron = _Rivals(neurons), _Rivals(tokens)

        def use(first: int, tile: Tensor) -> None:
            for start in range(0, len(chosen), self.tile[0]):
                of_token.add(chosen[start : start + self.tile[0]] @ tile.T, start, first)
            mine = (neurons >= first) & (neurons < first + len(tile))
            directions[mine] = tile[neurons[mine] - first]

        self._each(use, "looking at pairs")
        directions *= signs
        for first in range(0, self.vocab, self.tile[0]):
            rows = self.tokens[first : first + self.tile[0]].to(self.wide)
            for start in range(0, len(directions), self.tile[1]):
                of_neuron.add(directions[start : start + self.tile[1]] @ rows.T, start, first)
        return [
            Pair(
                neuron=str(self._names[candidate.neuron]),
                token=candidate.token,
                text=self.congruence.model.decode([candidate.token])[0],
                sign=candidate.sign,
                congruence=candidate.sign * value,
                token_gap=token_gap,
                neuron_gap=neuron_gap,
                score=token_gap * neuron_gap,
                z=shuffled_z(value, self.tokens[candidate.token], direction),
            )
            for candidate, value, token_gap, neuron_gap, direction in zip(
                candidates,
                of_token.own.tolist(),
                of_token.gap.tolist(),
                of_neuron.gap.tolist(),
                directions,
                strict=True,
            )
        ]


class _Largest:
    """Where the largest entry of every row is, and by how much it may be ahead; of c and of −c.

    Give columns as the rows of the transposed tile.
    """

    def __init__(self, rows: int, device: torch.device, dtype: torch.dtype) -> None:
        self.first, self.second = torch.full((2, 2, rows), -torch.inf, device=device, dtype=dtype)
        self.index = torch.zeros(2, rows, dtype=torch.long, device=device)

    def add(self, entries: Float[Tensor, "row column"], row: int, column: int) -> None:
        """Takes a tile in. Tiles of a row come in the order of its columns.

        Args:
            entries: of c.
            row: where its rows begin.
            column: where its columns begin.
        """
        rows = slice(row, row + len(entries))
        for at, largest in enumerate((entries.amax(1), entries.amin(1).neg())):
            first, second = self.first[at, rows], self.second[at, rows]
            new = (largest > first).nonzero()[:, 0]  # an equal entry that came before stays
            if len(new):  # few after the first tiles: cheaper than looking for the place in all rows
                own = entries[new]
                self.index[at, rows][new] = column + (own if at == 0 else -own).argmax(1)
            torch.maximum(second, torch.minimum(first, largest), out=second)
            torch.maximum(first, largest, out=first)

    def gap(self, at: int) -> Float[Tensor, " row"]:
        """At least what the largest entry is ahead of the second."""
        return self.first[at].double() - self.second[at].double()


class _Rivals:
    """An entry of each of some rows and the largest other one, seen tile by tile.

    Args:
        place: the column of each row's entry.
    """

    def __init__(self, place: Int[Tensor, " row"]) -> None:
        self.place = place
        self.own, self.other = torch.full((2, len(place)), -torch.inf, dtype=torch.float64)

    @property
    def gap(self) -> Float[Tensor, " row"]:
        """How far the entry is ahead; 0 where another equals it, up to rounding."""
        return (self.own - self.other).clamp_min(0)

    def add(self, entries: Float[Tensor, "row column"], row: int, column: int) -> None:
        """Takes a tile in, and changes it.

        Args:
            entries: its entries.
            row: where its rows begin.
            column: where its columns begin.
        """
        rows = slice(row, row + len(entries))
        place = self.place[rows] - column
        at = ((place >= 0) & (place < entries.shape[1])).nonzero()[:, 0]
        own = at.to(entries.device), place[at].to(entries.device)
        self.own[rows][at] = entries[own].double().cpu()
        entries[own] = -torch.inf
        self.other[rows] = torch.maximum(self.other[rows], entries.amax(1).double().cpu())


def shuffled_z(value: float, token: Float[Tensor, " d"], direction: Float[Tensor, " d"]) -> float:
    """How many standard deviations a product of two vectors lies above its mean over all shuffles of one of them.

    Args:
        value: the product.
        token: the one.
        direction: the other, in any order.

    Returns:
        z; 0 where all shuffles have one product, as those of a neuron that writes nothing.
    """
    token, direction = token.double().cpu(), direction.double().cpu()
    mean = len(token) * token.mean() * direction.mean()
    spread = (token - token.mean()).square().sum() * (direction - direction.mean()).square().sum() / (len(token) - 1)
    return float((value - mean) / spread.sqrt()) if spread > 0 else 0.0
