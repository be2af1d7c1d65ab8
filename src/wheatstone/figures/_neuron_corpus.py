"""What a neuron responds to in running text, and whether its activation predicts a token there."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import altair as alt

from wheatstone._intervals import interval_text
from wheatstone.figures._neuron_calibration import calibration_panel
from wheatstone.figures._page import PagePart, PagePicture, PageTable, PageText
from wheatstone.figures._report import Picture
from wheatstone.figures._theme import PAPER, finished, of_rows
from wheatstone.figures._words import clipped, count, decimal, percent, probability, quoted
from wheatstone.runs import Row

_BEFORE, _AFTER = 48, 12
"""Tokens shown around the place of an example."""
_GROUPS = {
    "max": "Strongest positive activations, one a text window",
    "min": "Strongest negative activations, one a text window",
    "bin": "Drawn at random from bins of the histogram, from the largest activation down",
}


def corpus_parts(facts: Mapping[str, Any]) -> list[PagePart]:
    """The parts of a neuron's page that come from a scan.

    Args:
        facts: what `wheatstone.neurons.neuron_facts` gives, with a corpus.
    """
    return [_responds(facts), _predicts(facts)]


def spread_chart(facts: Mapping[str, Any]) -> Any:
    """How often the neuron has which activation, on axes that hold many powers of ten.

    When this misleads: the bins are twice as wide from one power of two to the next, so that areas are not shares.
    """
    corpus = facts["corpus"]
    edges, counts = corpus["histogram"]["edges"], corpus["histogram"]["counts"]
    ends = [-2 * edges[-1], *edges, 2 * edges[-1]]
    rows: list[Row] = [
        {"low": ends[at], "high": ends[at + 1], "positions": number} for at, number in enumerate(counts) if number
    ]
    largest = max(rows, key=lambda row: row["positions"])["positions"]
    x = alt.X(
        "low:Q",
        title=f"activation of {facts['neuron']}",
        scale=alt.Scale(type="symlog", constant=edges[-1] / 2**15),
        axis=alt.Axis(grid=False, format="~g", values=[-100, -10, -1, -0.1, 0, 0.1, 1, 10, 100]),
    )
    y = alt.Y(
        "positions:Q",
        title="positions",
        scale=alt.Scale(type="symlog"),
        axis=alt.Axis(values=[10**power for power in range(math.ceil(math.log10(largest)) + 1)]),
    )
    tooltip = [alt.Tooltip(name, format=".3g") for name in ("low:Q", "high:Q")] + [
        alt.Tooltip("positions:Q", format=",")
    ]
    bars = of_rows(rows).mark_bar(color="#9cc3e4", stroke=PAPER, strokeWidth=0.4)
    picture = bars.encode(x, y, x2="high:Q", y2=alt.datum(0), tooltip=tooltip).properties(width=620, height=220)
    subtitle = [f"{corpus['counted']:,} positions of {count(corpus['documents'], 'document')}. Both axes logarithmic."]
    return finished(picture, f"How active {facts['neuron']} is", subtitle, describe_spread(facts))


def corpus_calibration_chart(facts: Mapping[str, Any]) -> Any:
    """Probability of the token and share of first choices by activation, in the windows that were read again.

    When this misleads: see `wheatstone.neurons.neuron_facts`.
    """
    corpus = facts["corpus"]
    found = corpus["calibration"]
    picture = calibration_panel(found["bins"], f"activation of {facts['neuron']}", width=520, height=220)
    subtitle = [
        f"{count(found['places'], 'place')} in {count(corpus['read_again'], 'window')}, in bins from one power of two "
        "to the next. Bars: 95% intervals over windows.",
        "Orange: how much of the probability goes when the neuron is set to 0 everywhere.",
    ]
    title = f"Does {facts['neuron']} predict {quoted(facts['token']['text'])} in running text?"
    return finished(picture, title, subtitle, describe_corpus_calibration(facts))


def describe_spread(facts: Mapping[str, Any]) -> str:
    """The histogram in words."""
    corpus = facts["corpus"]
    moments = corpus["moments"]
    said = (
        f"Over {corpus['counted']:,} positions its activation has mean {decimal(moments['mean'], 3)} and standard "
        f"deviation {decimal(math.sqrt(moments['variance']), 3)}, and lies between {decimal(moments['min'])} and "
        f"{decimal(moments['max'])}."
    )
    if moments["kurtosis"] is None:
        return said
    return said + (
        f" Skewness {decimal(moments['skewness'], 1)}, kurtosis {decimal(moments['kurtosis'], 1)} (3 of a normal "
        "distribution; large: mostly quiet, rarely strong)."
    )


def describe_corpus_calibration(facts: Mapping[str, Any]) -> str:
    """The points in words."""
    found = facts["corpus"]["calibration"]
    low, high = found["bins"][0], found["bins"][-1]
    ends = " and ".join(
        f"{probability(row['probability']['mean'])} where it is {what} {decimal(row[edge])} "
        f"({row['corpus']:,} such positions in the corpus, {row['places']:,} looked at)"
        for row, what, edge in ((low, "below", "high"), (high, "above", "low"))
    )
    return f"The token has probability {ends}; over the corpus about {probability(found['base'])}."


def _responds(facts: Mapping[str, Any]) -> PagePart:
    corpus = facts["corpus"]
    groups: list[tuple[str, tuple[PageText, ...]]] = []
    for kind, title in _GROUPS.items():
        texts = tuple(_text(row) for row in corpus["examples"] if row["kind"] == kind)
        if texts:
            groups.append((title, texts))
    read = ", ".join("the bundled texts" if text == "bundled" else text for text in corpus["texts"])
    text = (
        describe_spread(facts),
        f"Read: {count(corpus['tokens'], 'token')} of {read}. The first token of a window is not "
        "counted. In the examples blue is a positive activation, orange a negative one, as strong as the strongest of "
        "the same example; the frame is at the example's place.",
    )
    picture = PagePicture(
        "spread",
        Picture.of(spread_chart(facts)),
        "A long thin tail at one end is a neuron that is mostly quiet and now and then strong: look there first.",
    )
    return PagePart("What does it respond to?", text, (picture,), texts=tuple(groups))


def _text(row: Mapping[str, Any]) -> PageText:
    at, activations = row["position"], row["activations"]
    start, stop = max(0, at - _BEFORE), at + _AFTER + 1
    most = max(map(abs, activations[start + (start == 0) : stop])) or 1.0
    tokens = tuple(
        # The first of a window has nothing before it and may be far stronger than all others.
        (token.replace("\n", "⏎\n"), 0.0 if place == 0 else max(-1.0, min(1.0, value / most)))
        for place, (token, value) in enumerate(zip(row["tokens"], activations, strict=True))
        if start <= place < stop
    )
    where = f"quantile {percent(row['quantile'])}, " if row["kind"] == "bin" else ""
    caption = f"{decimal(row['activation'])}, {where}{clipped(row['document'], 70)}"
    return PageText(caption, tokens, at - start)


def _predicts(facts: Mapping[str, Any]) -> PagePart:
    corpus = facts["corpus"]
    found = corpus["calibration"]
    rows = tuple(
        (
            f"{decimal(row['low'])} to {decimal(row['high'])}",
            f"{row['corpus']:,}",
            f"{row['places']:,}",
            f"{row['texts']:,}",
            *(_interval(row[name]) for name in ("probability", "first", "effect")),
        )
        for row in found["bins"]
    )
    names = ("activation", "in the corpus", "looked at", "windows", "probability", "first choice", "lost without it")
    table = PageTable(
        "Means with 95% intervals over windows; none where the places lie in fewer than 4 windows.",
        tuple((name, name != "activation") for name in names),
        rows,
    )
    text = (
        describe_corpus_calibration(facts),
        f"The {count(corpus['read_again'], 'window')} of the examples above were run again, with the neuron as it is "
        "and set to 0. They were chosen for activations of all sizes, so strong ones are many more than in the corpus; "
        "the probability over the corpus weighs each bin by its positions there.",
    )
    picture = PagePicture(
        "corpus-calibration",
        Picture.of(corpus_calibration_chart(facts)),
        "Where blue rises with the activation, the neuron predicts the token. Where orange rises with it, the neuron "
        "is the reason.",
    )
    return PagePart(f"Does it predict {quoted(facts['token']['text'])} in running text?", text, (picture,), (table,))


def _interval(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return "–"
    mean = decimal(found["mean"], 3)
    between = interval_text((found["low"], found["high"]), 3)
    return f"{mean} ({between})" if between else mean
