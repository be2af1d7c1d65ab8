"""Dividing aligned prompts into named spans, for edges that are told apart by position."""

from __future__ import annotations

from itertools import groupby

from wheatstone._errors import PromptError, RequestError
from wheatstone.models import Span
from wheatstone.tasks import Encoded

POSITIONS = ("spans", "each")


def spans_of(encoded: Encoded, positions: str) -> tuple[Span, ...]:
    """A partition of the prompts' token positions, the same in every prompt.

    Args:
        encoded: the prompts.
        positions: `each`, every token position; or `spans`: the last token of every named span is `NAME-last` (`NAME`
            where it is one token), its first is `NAME-first`, those between are `NAME-middle`; tokens of no span are
            `before-NAME`, by the span that follows. Where spans overlap, the shorter one names the token; the
            prompt's last token is always `last`.

    Raises:
        RequestError: no such way to divide.
        PromptError: prompts of different lengths, or with their spans at different places.
    """
    if positions not in POSITIONS:
        raise RequestError(
            expected=f"positions out of {', '.join(POSITIONS)}", got=repr(positions), do="choose one of these"
        )
    lengths = encoded.clean.lengths.tolist()
    if len(set(lengths)) > 1:
        raise PromptError(
            expected="prompts of one token length, for a position to mean the same in all of them",
            got=f"lengths from {min(lengths)} to {max(lengths)}",
            do="give prompts of one length, or leave positions out",
        )
    if positions == "each":
        return tuple(Span(str(position), (position,)) for position in range(lengths[0]))
    rows = [_labels(encoded, row, lengths[0]) for row in range(len(lengths))]
    for row, labels in enumerate(rows):
        if labels != rows[0]:
            at = next(place for place, pair in enumerate(zip(labels, rows[0], strict=True)) if pair[0] != pair[1])
            raise PromptError(
                expected="prompts with their spans at the same tokens",
                got=f"token {at} is {rows[0][at]} in prompt 0 and {labels[at]} in prompt {row}",
                do="give prompts of one template and one subject length, use positions 'each', or leave positions out",
            )
    places = sorted(range(lengths[0]), key=lambda place: (rows[0].index(rows[0][place]), place))
    return tuple(Span(name, tuple(of)) for name, of in groupby(places, key=lambda place: rows[0][place]))


def _labels(encoded: Encoded, row: int, length: int) -> list[str]:
    """The name of every token of one prompt."""
    spans = {name: tuple(places[row].tolist()) for name, places in encoded.spans.items() if int(places[row, 0]) >= 0}
    named: dict[int, str] = {}
    for name, (start, stop) in sorted(spans.items(), key=lambda item: item[1][0] - item[1][1]):
        for place in range(start, stop):
            one = stop - start == 1
            part = "" if one else "-last" if place == stop - 1 else "-first" if place == start else "-middle"
            named[place] = name + part
    labels: list[str] = []
    for place in range(length):
        _, following = min((start, name) for name, (start, _) in spans.items() if start >= place)
        labels.append(named.get(place, f"before-{following}"))
    return labels
