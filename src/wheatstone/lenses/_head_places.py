"""Places in texts read again for the heads that look from there: their attention, what they write, who makes them look.

All places of one window are read in one run of the model, up to the last of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import torch

from wheatstone.lenses._head_corpus import HeadExample
from wheatstone.lenses._readout import Readout
from wheatstone.lenses._score_pairs import contrast
from wheatstone.models import HeadSplit, ResidualModel, Tokens

_WORDS = 3
"""Tokens that a write promotes most, and suppresses most."""
_TOGETHER = 8
"""Places read in one run: each takes senders x positions x d_head numbers, some 40 MB in SmolLM2-135M."""
_DIGITS = 6
"""Decimals of what senders add, in logits."""

Place = tuple[str, int, int]
"""A head, a window and a position in it."""


class WindowPlaces(NamedTuple):
    """The places of one window that are read.

    Args:
        window: its number.
        ids: its tokens.
        looks: heads and the positions that they look from.
    """

    window: int
    ids: tuple[int, ...]
    looks: tuple[tuple[str, int], ...]


def places_by_window(examples: Mapping[str, Iterable[HeadExample]]) -> list[WindowPlaces]:
    """Every place of some examples once, by window.

    Args:
        examples: by head.
    """
    looks: defaultdict[int, dict[tuple[str, int], None]] = defaultdict(dict)
    ids: dict[int, tuple[int, ...]] = {}
    for head, own in examples.items():
        for example in own:
            ids[example.window] = example.ids
            looks[example.window][head, example.position] = None
    return [WindowPlaces(window, ids[window], tuple(looks[window])) for window in sorted(looks)]


def read_places(model: ResidualModel, places: WindowPlaces) -> list[dict[str, Any]]:
    """Reads the places of one window.

    Returns:
        For each place, as plain data: its `head`, `window` and `position`; attention `weights` of the window's tokens,
        0 after the position; the tokens `promoted` and `suppressed` by the head's write; and what each sender adds
        through the `query` and through the `key`, in logits, to the score of the key with the largest weight after
        the first token, less the mean of the other keys. Senders are in the order of `HeadSplit.senders`.
    """
    found: list[dict[str, Any]] = []
    for start in range(0, len(places.looks), _TOGETHER):
        some = places.looks[start : start + _TOGETHER]
        ids = places.ids[: 1 + max(position for _, position in some)]
        splits = model.head_splits(Tokens.of([ids], model.device), some)
        for (head, position), split, words in zip(some, splits, _words(model, splits), strict=True):
            weights = split.weights(split.scores).tolist()
            found.append(
                {"head": head, "window": places.window, "position": position}
                | {"weights": weights + [0.0] * (len(places.ids) - len(weights))}
                | words
                | _senders(split, weights)
            )
    return found


def place_of(row: Mapping[str, Any]) -> Place:
    """Which place a row of `read_places` is of."""
    return row["head"], row["window"], row["position"]


def _words(model: ResidualModel, splits: Sequence[HeadSplit]) -> list[dict[str, Any]]:
    """The tokens whose logits each head's write raises and lowers most."""
    streams = torch.stack([split.stream for split in splits]).to(model.device, model.dtype)
    writes = torch.stack([split.weights(split.scores) @ split.v.sum(0) @ split.output for split in splits])
    every = Readout.at(model, streams).logits(writes.to(streams))
    return [
        {
            name: [
                {"text": model.decode([token])[0], "logits": float(logits[token])}
                for token in logits.topk(_WORDS, largest=name == "promoted").indices.tolist()
            ]
            for name in ("promoted", "suppressed")
        }
        for logits in every - every.mean(-1, keepdim=True)
    ]


def _senders(split: HeadSplit, weights: Sequence[float]) -> dict[str, list[float]]:
    key = 1 + max(range(len(weights) - 1), key=lambda at: weights[1 + at])
    others = [at for at in split.visible.nonzero()[:, 0].tolist() if at != key]
    pairs = contrast(split, key, others)
    sides = {"query": pairs.q @ pairs.k.sum(0), "key": pairs.k @ pairs.q.sum(0)}
    return {side: [round(value, _DIGITS) for value in values.tolist()] for side, values in sides.items()}
