"""One head's page: where it looks in running text, what it moves, who writes what it reads, and its circuits.

Made of what `head_facts` says, without the model.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import altair as alt

from wheatstone._path import StrPath
from wheatstone.checkpoints import shown_name
from wheatstone.figures._page import PagePart, PagePicture, PageTable, PageText, page_of
from wheatstone.figures._report import Picture
from wheatstone.figures._theme import BLUE, INK, finished, of_rows
from wheatstone.figures._words import clipped, count, decimal, percent, quoted, visible
from wheatstone.runs import Row

_BEFORE, _AFTER = 60, 4
"""Tokens shown around the query of an example."""
_PLACES = {
    "self": "the token itself",
    "previous": "the token before it",
    "copy": "earlier tokens like it",
    "after a copy": "tokens that follow an earlier one like it",
    "name": "the ends of earlier names",
}
_GROUPS = {
    ("effect", "max"): "Raises the token that follows most, one a text window",
    ("effect", "min"): "Lowers the token that follows most, one a text window",
    ("attention", "max"): "Looks hardest at one token after the first, one a text window",
    ("effect", "bin"): "Drawn at random from bins of the effect, from the largest down",
}
_STRONG = 2.0
"""Times what even attention would give, from which a place is named in the lead."""
_LEAST = 0.05
"""Share of the attention off the first token, from which a place is named in the lead."""


def head_page(facts: Mapping[str, Any], *, still: bool = False) -> str:
    """The page of one head as HTML.

    Args:
        facts: what `wheatstone.lenses.head_facts` gives, also after a way through JSON.
        still: see `page_of`.
    """
    title = f"{facts['head']}: head {facts['number']} of layer {facts['layer']}"
    parts = [_where(facts), _examples(facts), _senders(facts), _circuits(facts)]
    return page_of("head", title, [describe_places(facts), _effect(facts)], parts, _made(facts), still=still)


def write_head_pages(folder: StrPath, heads: Iterable[Mapping[str, Any]]) -> None:
    """Writes a page for each head, `a23.h4.html`, and `index.html`, which lists them.

    Args:
        folder: of the pages.
        heads: at least one; what `wheatstone.lenses.head_facts` gives of each.
    """
    folder = Path(folder)
    rows: list[tuple[str, ...]] = []
    made: dict[str, str] = {}
    for facts in heads:
        (folder / f"{facts['head']}.html").write_text(head_page(facts, still=True), encoding="utf-8")
        made = _made(facts)
        most, places = facts["looks_at"][0] if facts["looks_at"] else None, facts["places"]
        rows.append(
            (
                facts["head"],
                percent(facts["first"]),
                *(percent(places[place]["share"]) if place in places else "–" for place in _PLACES),
                f"{visible(most['text'])} ({percent(most['share'])})" if most else "–",
                decimal(facts["effect"]["mean"], 3),
                count(len(facts["circuits"]), "circuit") if facts["circuits"] else "–",
            )
        )
    columns = ("head", "first token", *_PLACES.values(), "looks most at", "adds", "in")
    words = {"head", "looks most at", "in"}
    table = PageTable(
        "Of each head's attention the share on the first token; of the rest the shares on some kinds of place, and the "
        "token that takes most beyond what even attention would give it. Then what the head adds directly to the logit "
        "of the token that follows, on average.",
        tuple((name, name not in words) for name in columns),
        tuple(rows),
        linked=True,
    )
    lead = [f"{count(len(rows), 'head')}; each has a page of its own."]
    page = page_of("heads", "Where every head looks", lead, [PagePart("The heads", (), (), (table,))], made, still=True)
    (folder / "index.html").write_text(page, encoding="utf-8")


def _made(facts: Mapping[str, Any]) -> dict[str, str]:
    """How the page was made."""
    model = facts["model"]
    read = ", ".join("the bundled texts" if text == "bundled" else text for text in facts["texts"])
    return {
        "scanned": facts["scanned"],
        "model": f"{shown_name(model)}, family {model['family']}; {model['heads']} heads a layer",
        "texts": f"{read}; {count(facts['documents'], 'document')}, {facts['counted']:,} positions",
        "weights (SHA-256)": model["sha256"] or "unknown",
        "version": facts["wheatstone"],
    }


def places_chart(facts: Mapping[str, Any]) -> Any:
    """The share of the attention off the first token on each kind of place, beside what even attention would give.

    When this misleads: a token may be of several kinds, so shares may add up to more than 1. Names are words with a
    capital letter inside a sentence; a scan of an earlier version has none.
    """
    rows: list[Row] = [
        {"place": _PLACES[place], "share": found[kind], "of": of}
        for place, found in facts["places"].items()
        for kind, of in (("share", "this head"), ("even", "even attention"))
    ]
    y = alt.Y("place:N", title=None, sort=list(_PLACES.values()), axis=alt.Axis(labelLimit=260))
    x = alt.X("share:Q", title="share of the attention that is not on the first token", axis=alt.Axis(format="%"))
    colour = alt.Color(
        "of:N",
        scale=alt.Scale(domain=["this head", "even attention"], range=[BLUE, "#c9ced6"]),
        legend=alt.Legend(title=None, orient="top"),
    )
    offset = alt.YOffset("of:N", sort=["this head", "even attention"])
    tooltip = ["place:N", "of:N", alt.Tooltip("share:Q", format=".1%")]
    picture = of_rows(rows).mark_bar(stroke=INK, strokeWidth=0).encode(x, y, colour, yOffset=offset, tooltip=tooltip)
    subtitle = [f"{facts['counted']:,} positions of running text. {percent(facts['first'])} rests on the first token."]
    return finished(
        picture.properties(width=480, height=180), f"Where {facts['head']} looks", subtitle, describe_places(facts)
    )


def describe_places(facts: Mapping[str, Any]) -> str:
    """The bars in words."""
    said = f"{percent(facts['first'])} of its attention rests on the first token."
    named = [
        f"{_PLACES[place]} ({percent(found['share'])}; even attention would give {percent(found['even'])})"
        for place, found in sorted(facts["places"].items(), key=lambda item: -item[1]["share"])
        if found["share"] >= max(_LEAST, _STRONG * found["even"])
    ]
    if named:
        return f"{said} Of the rest it gives much to {', and to '.join(named)}."
    return (
        f"{said} Of the rest no kind of place that is counted takes {_STRONG:g} times what even attention would give."
    )


def _effect(facts: Mapping[str, Any]) -> str:
    found = facts["effect"]
    return (
        f"Directly it adds {decimal(found['mean'], 3)} to the logit of the token that follows, on average over all "
        f"positions (less the mean over all tokens), and from {decimal(found['min'])} to {decimal(found['max'])}."
    )


def _where(facts: Mapping[str, Any]) -> PagePart:
    rows = tuple(
        (
            visible(row["text"]),
            percent(row["share"]),
            percent(row["even"]),
            decimal(row["share"] / row["even"], 1) if row["even"] else "–",
        )
        for row in facts["looks_at"]
    )
    table = PageTable(
        "Tokens that take most attention beyond what even attention would give them; shares of the attention that is "
        "not on the first token.",
        (("token", False), ("share", True), ("if even", True), ("times", True)),
        rows,
    )
    picture = PagePicture(
        "places",
        Picture.of(places_chart(facts)),
        "A blue bar far beyond the grey one is what the head looks for. A head that rests on the first token most of "
        "the time may still look sharply now and then: see the examples.",
    )
    return PagePart("Where does it look?", (), (picture,), (table,) if rows else ())


def _examples(facts: Mapping[str, Any]) -> PagePart:
    groups = tuple(
        (title, tuple(_text(row) for row in facts["examples"] if (row["signal"], row["kind"]) == group))
        for group, title in _GROUPS.items()
    )
    text = (
        "The framed token looks; blue is its attention, as a share of its largest weight after the first token. Then "
        "what the head adds there to the logit of the token that follows, and the tokens that its write raises most "
        "there (· is a leading space).",
    )
    return PagePart("What does it move?", text, texts=tuple(group for group in groups if group[1]))


def _text(row: Mapping[str, Any]) -> PageText:
    at, weights = row["position"], row["weights"]
    start, stop = max(0, at - _BEFORE), at + _AFTER + 1
    most = max(weights[1 : at + 1]) or 1.0
    tokens = tuple(
        (token.replace("\n", "⏎\n"), 0.0 if place == 0 else min(1.0, weight / most))
        for place, (token, weight) in enumerate(zip(row["tokens"], weights, strict=True))
        if start <= place < stop
    )
    value = f"attention {percent(row['value'])}" if row["signal"] == "attention" else f"{decimal(row['value'])} logits"
    raised = ", ".join(f"“{visible(word['text'])}”" for word in row["promoted"])
    return PageText(f"{value}; raises {raised}; {clipped(row['document'], 50)}", tokens, at - start)


def _senders(facts: Mapping[str, Any]) -> PagePart:
    found = facts["senders"]
    rows = tuple(
        (query["sender"], decimal(query["logits"]), key["sender"], decimal(key["logits"]))
        for query, key in zip(found["query"], found["key"], strict=False)
    )
    table = PageTable(
        f"Means over the {count(found['n'], 'strongest example')} above: of the score of the key with the largest "
        "weight after the first token, less the mean of all other keys', what each sender adds through the query (met "
        "by the whole key) and through the key (met by the whole query), in logits of the softmax.",
        (("written for the query by", False), ("adds", True), ("written at the key by", False), ("adds", True)),
        rows,
    )
    return PagePart("Who makes it look there?", (), (), (table,) if found["n"] else ())


def _circuits(facts: Mapping[str, Any]) -> PagePart:
    if not facts["circuits"]:
        return PagePart("Which circuits is it part of?", ("None of the circuits that are listed on this computer.",))
    rows = tuple(
        (
            quoted(row["task"], 60),
            f"{row['edges']:,}",
            f"{row['own']:,}",
            ", ".join(row["roles"]) or "–",
            visible(row["run"]),
        )
        for row in facts["circuits"]
    )
    table = PageTable(
        "Circuits of these weights that are listed on this computer. Roles are those that the section `roles` of the "
        "run's explanation gives it, each tested against a null.",
        (("circuit", False), ("edges", True), ("its own", True), ("role", False), ("run", False)),
        rows,
    )
    return PagePart("Which circuits is it part of?", (), (), (table,))
