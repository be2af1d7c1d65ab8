"""Why the circuit's strongest heads look where they look, on the page: the pairs behind their attention."""

from __future__ import annotations

from typing import Any

import altair as alt

from wheatstone.figures._explained import Claim, Exhibit, Part, StoredSection
from wheatstone.figures._theme import BLUE, INK, ORANGE, SOFT, finished, heading, of_rows
from wheatstone.figures._words import percent, quoted, signed, visible
from wheatstone.lenses import WhySummary
from wheatstone.runs import Row

_BARS = 5
"""Pairs of a head that are drawn."""


def claims(stored: StoredSection) -> list[Claim]:
    """For each head, what makes it look at one token rather than the next best, and what is left without it."""
    summary, said = stored.read(WhySummary), list[Claim]()
    many = summary.prompts
    for head, found in summary.heads.items():
        if found.pair is None:
            continue
        query, key = found.pair
        token, other = (quoted(visible(text or "")) for text in (found.token, found.runner_up_token))
        look = (
            f"{head} looks from the last token at {token} with {percent(found.weight)} of its attention, and next "
            f"at {other} with {percent(found.runner_up_weight or 0.0)}"
        )
        where = "" if many == 1 else f" in the first of {many} prompts"
        often = "" if many == 1 else f" (the strongest on {found.times} of {many} prompts, mean)"
        text = (
            f"{look}{where}. Of the {signed(found.difference or 0.0)} logits between the two scores, the pair of what "
            f"{query} writes into the query and {key} into the key adds {signed(found.value or 0.0)}{often}."
        )
        said.append(Claim(text, "why_pairs"))
    return said + _removals(stored)


def _removals(stored: StoredSection) -> list[Claim]:
    """The exact runs, next to the formula."""
    rows = stored.tables["why_looks"]
    gap = max((abs(row["predicted"] - row["exact"]) for row in rows), default=0.0)
    before, after = (sum(row[name] for row in rows) / len(rows) for name in ("weight", "exact"))
    text = (
        f"With the three strongest pairs removed from each score, these heads' attention to that token goes from "
        f"{percent(before)} to {percent(after)} on average in exact runs; the softmax formula predicts each within "
        f"{gap:.1g}."
    )
    said = [Claim(text, "why_looks")]
    biased = sorted({row["head"] for row in rows if row["dominated_by_bias"]})
    if biased:
        text = f"Pairs with a bias term add more to a score than pairs of nodes do in {', '.join(biased)}."
        said.append(Claim(text, "why_looks"))
    return said


def exhibits(stored: StoredSection) -> list[Exhibit]:
    """The strongest pairs of the first prompt that was read."""
    if not any(row["of"] == "difference" for row in stored.tables["why_pairs"]):
        return []
    return [
        Exhibit(
            "why_pairs",
            _chart(stored),
            "One bar for each pair: what the last token's query reads × what the key reads. Blue raises the score of "
            "the token that the head looks at most above the runner-up's, orange lowers it. Bars of both signs cancel; "
            "all pairs together are the whole difference.",
        )
    ]


def _chart(stored: StoredSection) -> Any:
    first = stored.tables["why_looks"][0]["prompt"]
    looks = {row["head"]: row for row in stored.tables["why_looks"] if row["prompt"] == first}
    panels = [
        _panel([row for row in stored.tables["why_pairs"] if row["head"] == head and row["prompt"] == first], look)
        for head, look in looks.items()
        if look["runner_up"] is not None
    ]
    prompt = quoted(stored.read(WhySummary).prompt, 60)
    subtitle = [f"From the last token of {prompt}. Pairs of the difference between the two scores, in logits."]
    picture = alt.vconcat(*panels, spacing=14).resolve_scale(x="shared")
    return finished(picture, "Why heads look there", subtitle, " ".join(claim.text for claim in claims(stored)))


def _panel(pairs: list[Row], look: Row) -> alt.LayerChart | alt.FacetChart:
    rows: list[Row] = [
        {**row, "pair": f"{row['query_sender']} × {row['key_sender']}"}
        for row in pairs
        if row["of"] == "difference" and row["place"] <= _BARS
    ]
    name = alt.Y(
        "pair:N",
        sort=[row["pair"] for row in rows],
        axis=alt.Axis(title=None, labelColor=INK, labelFontSize=12, domain=False, ticks=False, minExtent=110),
    )
    bars = (
        of_rows(rows)
        .mark_bar()
        .encode(
            alt.X("value:Q", axis=alt.Axis(title=None, tickCount=5)),
            name,
            color=alt.when("datum.value > 0").then(alt.value(BLUE)).otherwise(alt.value(ORANGE)),
            tooltip=[alt.Tooltip("pair:N"), alt.Tooltip("value:Q", title="logits", format=".3f")],
        )
    )
    zero = of_rows([{"zero": 0}]).mark_rule(color=SOFT, strokeWidth=1).encode(alt.X("zero:Q"))
    title = (
        f"{look['head']}: {quoted(visible(look['token']), 20)} {percent(look['weight'])}, not "
        f"{quoted(visible(look['runner_up_token']), 20)} {percent(look['runner_up_weight'])} "
        f"({signed(look['difference'])} logits)"
    )
    return alt.layer(bars, zero).properties(width=340, height=alt.Step(20), title=heading(title))


PART = Part("Why the strongest heads look there", claims, exhibits)
