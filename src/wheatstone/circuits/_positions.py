"""Dividing aligned prompts into named spans, and finding a circuit's spans again in other prompts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import groupby

from wheatstone._errors import PromptError, RequestError, check_choice
from wheatstone.models import Span
from wheatstone.tasks import Encoded, PromptPair

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
    check_choice("positions", positions, POSITIONS)
    lengths = encoded.clean.lengths.tolist()
    if len(set(lengths)) > 1:
        raise PromptError(
            expected="prompts of one token length, for a position to mean the same in all of them",
            got=f"lengths from {min(lengths)} to {max(lengths)}",
            do="give prompts of one length at a time, or find a circuit without positions",
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
                do="give prompts of one template and one subject length, or find a circuit without positions",
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


def spans_in(spans: Sequence[Span], found_on: Encoded | None, encoded: Encoded) -> tuple[Span, ...]:
    """A circuit's spans at their places in other prompts, in the circuit's order.

    Spans that were named by the prompts they were found on are looked up by name: `subject` is where the other prompts
    have their subject. Spans that are token indices keep them, in prompts that agree with one of those they were found
    on in length and in the place of every span that both have.

    Args:
        spans: of the circuit.
        found_on: the prompts the circuit was found on; None where it does not say.
        encoded: the other prompts.

    Raises:
        PromptError: a span of the circuit has no certain place in one of the prompts.
    """
    if found_on is not None and set(encoded.pairs) <= _aligned(found_on.pairs):
        return tuple(spans)
    if _named(spans, found_on):
        own = {span.name: span for span in spans_of(encoded, "spans")}
        if set(own) != {span.name for span in spans}:
            raise PromptError(
                expected=f"prompts with the parts that the circuit tells apart: {_names(spans)}",
                got=f"prompts with {_names(list(own.values()))}",
                do="give prompts of the circuit's template and subject length, name the parts in the records' spans, "
                "or find a circuit without positions",
            )
        return tuple(own[span.name] for span in spans)
    if found_on is not None:
        _check_layout(found_on, encoded)
    return tuple(spans)


def check_cover(spans: Sequence[Span], encoded: Encoded) -> None:
    """Checks that every token of every prompt lies in exactly one span.

    Raises:
        PromptError: a prompt is shorter than the spans, or has tokens that lie in no span.
        RequestError: two spans share a token or a name, or two take all that is left.
    """
    named = [position for span in spans for position in span.positions]
    rest = [span for span in spans if not span.positions]
    if len(named) > len(set(named)) or len(rest) > 1 or len({span.name for span in spans}) < len(spans):
        raise RequestError(
            expected="spans of different names that share no token, at most one of them without positions",
            got=", ".join(f"{span.name} at {list(span.positions)}" for span in spans),
            do="divide the prompts into such spans",
        )
    lengths = encoded.clean.lengths.tolist()
    needed = max(named, default=-1) + 1
    short, uncovered = min(lengths) < needed, not rest and max(lengths) > len(named)
    if short or uncovered:
        raise PromptError(
            expected=f"prompts of {'at least ' if rest else ''}{needed} tokens, which the spans divide",
            got=f"a prompt of {min(lengths) if short else max(lengths)} tokens",
            do="give prompts of that length, or find a circuit without positions",
        )


def _aligned(pairs: Sequence[PromptPair]) -> set[PromptPair]:
    """Pairs and the same pairs swapped: a prompt and its counterfactual are aligned token by token."""
    return {*pairs, *(swapped for pair in pairs if (swapped := pair.swapped()))}


def _named(spans: Sequence[Span], found_on: Encoded | None) -> bool:
    """Whether spans are the named parts of the prompts, rather than token indices."""
    if found_on is None:
        return not all(
            span.positions == ((int(span.name),) if re.fullmatch(r"\d{1,9}", span.name) else ()) for span in spans
        )
    try:
        return set(spans_of(found_on, "spans")) == set(spans)
    except PromptError:  # these prompts are not aligned by name
        return False


def _check_layout(found_on: Encoded, encoded: Encoded) -> None:
    """Refuses prompts that are not laid out as one that a circuit was found on."""
    for row in range(len(encoded.pairs)):
        differences = [_difference(found_on, known, encoded, row) for known in range(len(found_on.pairs))]
        if all(differences):
            raise PromptError(
                expected="prompts with the same parts at the same tokens as a prompt that the circuit was found on, "
                "because its edges are kept at token positions",
                got=f"prompt {row}: {differences[0]}",
                do="give prompts of the circuit's template, or find a circuit with positions 'spans' or without any",
            )


def _difference(found_on: Encoded, known: int, encoded: Encoded, row: int) -> str | None:
    """How a prompt differs in layout from one that a circuit was found on."""
    ours, theirs = int(encoded.clean.lengths[row]), int(found_on.clean.lengths[known])
    if ours != theirs:
        return f"{ours} tokens where the circuit's has {theirs}"
    for name in encoded.spans.keys() & found_on.spans.keys():
        here, there = tuple(encoded.spans[name][row].tolist()), tuple(found_on.spans[name][known].tolist())
        if here != there and min(*here, *there) >= 0:
            return f"{name} at {_tokens(here)} where the circuit's has it at {_tokens(there)}"
    return None


def _tokens(place: tuple[int, ...]) -> str:
    start, stop = place
    return f"token {start}" if stop - start == 1 else f"tokens {start} to {stop - 1}"


def _names(spans: Sequence[Span]) -> str:
    return ", ".join(span.name for span in sorted(spans, key=lambda span: span.positions))
