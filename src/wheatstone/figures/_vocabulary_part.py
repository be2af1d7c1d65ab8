"""What the strongest parts push in the vocabulary, on the page: words on either side."""

from __future__ import annotations

from typing import Any

import altair as alt

from wheatstone.figures._explained import Claim, Exhibit, Part, StoredSection
from wheatstone.figures._theme import BLUE, INK, ORANGE, finished, heading, of_rows
from wheatstone.figures._words import clipped, count, percent, quoted, visible
from wheatstone.lenses import VocabularySummary
from wheatstone.runs import Row

_WORDS = 5


def claims(stored: StoredSection) -> list[Claim]:
    """Whose own write has the answer as its top token, and what the strongest promotes."""
    found = stored.read(VocabularySummary)
    share = found.answer_first
    said: list[Claim] = []
    if any(share.values()):
        if found.n is not None:  # those that were chosen, in their order
            best, n = list(share)[:3], found.n
        else:  # of an older version: all nodes, on the prompts that chose them
            best, n = sorted((name for name in share if share[name] > 0), key=lambda name: -share[name])[:3], stored.n
        names = ", ".join(f"{name}{'' if n == 1 else f' on {percent(share[name])}'}" for name in best)
        where = "" if n == 1 else f" ({count(n, 'prompt')} that {'did not choose' if found.held_out else 'chose'} them)"
        said.append(
            Claim(f"Read alone, these have the answer as the token they promote most: {names}{where}.", "vocabulary")
        )
    else:
        said.append(Claim("None of the strongest parts promotes the answer above all other tokens.", "vocabulary"))
    for name, sides in list(found.most_often.items())[:3]:
        words = ", ".join(quoted(visible(word), 20) for word in sides.promotes[:4])
        said.append(Claim(f"{name} promotes most {'' if stored.n == 1 else 'often '}{words}.", "vocabulary"))
    return said


def exhibits(stored: StoredSection) -> list[Exhibit]:
    """The first prompt's words."""
    return [
        Exhibit(
            "vocabulary",
            _chart(stored),
            "One row for each component, the one with the largest direct effect on top. Words on the left become "
            "likelier by what it writes, words on the right less likely; the darker, the more.",
        )
    ]


def _chart(stored: StoredSection) -> Any:
    rows = [row for row in stored.tables["vocabulary"] if row["prompt"] == 0 and row["place"] <= _WORDS]
    nodes = list(dict.fromkeys(row["node"] for row in rows))
    panels = [_panel(rows, nodes, side, colour) for side, colour in (("promotes", BLUE), ("suppresses", ORANGE))]
    prompt = quoted(stored.run.manifest["prompts"][0]["prompt"], 60)
    subtitle = [f"What each writes at the last token of {prompt}, through the final norm and the unembedding."]
    if stored.n > 1:
        subtitle.append(f"The first of {count(stored.n, 'prompt')}; the table has all.")
    picture = alt.hconcat(*panels, spacing=24)
    return finished(picture, "What the strongest parts say", subtitle, " ".join(claim.text for claim in claims(stored)))


def _panel(rows: list[Row], nodes: list[str], side: str, colour: str) -> alt.LayerChart | alt.FacetChart:
    here: list[Row] = [
        {**row, "word": clipped(visible(row["token"]), 13) or "?"} for row in rows if row["side"] == side
    ]
    most = max((abs(row["push"]) for row in here), default=1.0) or 1.0
    axis = (
        alt.Axis(title=None, domain=False, ticks=False, labelColor=INK, labelFontSize=12)
        if side == "promotes"
        else None
    )
    x, y = alt.X("place:O", axis=None), alt.Y("node:N", scale=alt.Scale(domain=nodes), axis=axis)
    base = of_rows([{**row, "strength": abs(row["push"]) / most} for row in here])
    back = base.mark_rect(color=colour, stroke="white").encode(
        x,
        y,
        opacity=alt.Opacity("strength:Q", scale=alt.Scale(domain=[0, 1], range=[0.03, 0.35]), legend=None),
        tooltip=[alt.Tooltip("node:N"), alt.Tooltip("token:N"), alt.Tooltip("push:Q", title="logits", format=".2f")],
    )
    words = base.mark_text(fontSize=10.5, color=INK).encode(x, y, text="word:N")
    return alt.layer(back, words).properties(width=78 * _WORDS, height=22 * len(nodes), title=heading(side))


PART = Part("What the strongest parts say in words", claims, exhibits)
