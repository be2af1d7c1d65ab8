"""Positions by the text that is there."""

from __future__ import annotations

from itertools import accumulate
from numbers import Integral

from wheatstone._errors import RequestError
from wheatstone.models._decoder import Decoder
from wheatstone.models._interventions import Numbered, Positions
from wheatstone.models._tokens import Tokens


def numbered(model: Decoder, tokens: Tokens, positions: Positions) -> Numbered:
    """Positions as numbers.

    Args:
        model: whose tokens they are.
        tokens: the prompts.
        positions: a text names the tokens that it shares a character with.

    Raises:
        RequestError: a prompt does not have the text exactly once.
    """
    if isinstance(positions, int | Integral):
        return (int(positions),)
    if not isinstance(positions, str):
        return positions
    rows = zip(tokens.ids.tolist(), tokens.lengths.tolist(), strict=True)
    return tuple(_tokens_of(model, row[:length], positions) for row, length in rows)


def _tokens_of(model: Decoder, ids: list[int], text: str) -> tuple[int, ...]:
    pieces = model.decode(ids)
    whole = "".join(pieces)
    if not text or whole.count(text) != 1:
        raise RequestError(
            expected=f"a text that is in the prompt {whole[:200]!r} once, to name its tokens",
            got=f"{text[:200]!r}, which is in it {whole.count(text) if text else 0} times",
            do=f"give a longer text or positions as numbers, from 0 to {len(ids) - 1}",
        )
    start = whole.index(text)
    ends = list(accumulate(map(len, pieces)))
    starts = [0, *ends[:-1]]
    both = enumerate(zip(starts, ends, strict=True))
    return tuple(at for at, (first, end) in both if first < start + len(text) and start < end)
