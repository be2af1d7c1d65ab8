"""Where the strongest heads look on the page: attention, what is taken, and what of it is the answer, side by side."""

from __future__ import annotations

import json
from typing import Any

import altair as alt

from wheatstone.figures._attribution_part import interval
from wheatstone.figures._explained import Claim, Exhibit, Part, StoredSection
from wheatstone.figures._theme import BLUE, INK, ORANGE, PAPER, finished, heading, of_rows
from wheatstone.figures._words import clipped, decimal, percent, quoted, visible
from wheatstone.lenses import AttentionSummary
from wheatstone.runs import Row

_SPANS = {
    "first": "the first token",
    "last": "the last token itself",
    "subject": "the subject",
    "relation": "the relation",
}
_TOKENS = 14
"""Tokens of the first prompt that are drawn, from its end."""


def claims(stored: StoredSection) -> list[Claim]:
    """For the strongest heads: where they look, and what they take from there; that of the strongest leads."""
    rows = stored.tables["attention_spans"]
    first = stored.run.manifest["prompts"][0]
    said: list[Claim] = []
    for head, most in list(stored.read(AttentionSummary).heads.items())[:4]:
        (row,) = (row for row in rows if (row["head"], row["span"]) == (head, most.span))
        where = _SPANS.get(row["span"], f"the part {quoted(row['span'])}")
        if row["span"] == "subject" and stored.n == 1:
            where += f" ({quoted(first['tokens'][first['subject_last']].strip())})"
        text = (
            f"{head} looks from the last token at {where} with {percent(row['weight'])} of its attention and writes "
            f"{decimal(row['toward'])} logits{interval(row['toward_low'], row['toward_high'])} towards the answer "
            "from there."
        )
        said.append(Claim(text, "attention_spans", lead=not said))
    return said


def exhibits(stored: StoredSection) -> list[Exhibit]:
    """Three maps of heads by tokens."""
    return [
        Exhibit(
            "attention_writes",
            _chart(stored),
            "One row for each head, one column for each token it can look at. Attention alone (left) may rest on a "
            "token from which nothing is taken; the middle shows how much is; the right, whether that speaks for the "
            "answer (blue) or against it (orange). These are looks from the last token, where the answer is written; "
            "what heads gather at earlier tokens, such as the subject's last, is not in this picture.",
        )
    ]


def _chart(stored: StoredSection) -> Any:
    rows = [row for row in stored.tables["attention_tokens"] if row["prompt"] == 0]
    end = max(row["key"] for row in rows)
    rows = [row for row in rows if row["key"] > end - _TOKENS or row["key"] == 0]
    keys = sorted({row["key"] for row in rows})
    texts = {str(row["key"]): clipped(visible(row["token"]), 12) for row in rows}
    heads = list(dict.fromkeys(row["head"] for row in rows))
    panels = [
        _map(rows, keys, texts, heads, "weight", "attention", first=True),
        _map(rows, keys, texts, heads, "size", "attention × size of the value", first=False),
        _map(rows, keys, texts, heads, "toward", "of that, towards the answer (logits)", first=False),
    ]
    picture = alt.hconcat(*panels, spacing=18).resolve_scale(color="independent")
    prompt = quoted(stored.run.manifest["prompts"][0]["prompt"], 60)
    subtitle = [
        f"From the last token of {prompt}{'' if stored.n == 1 else ' (the first prompt; the table has all)'}.",
        "The heads of the largest direct effect, the strongest first.",
    ]
    return finished(
        picture, "What the strongest heads take, and from where", subtitle, " ".join(c.text for c in claims(stored))
    )


def _map(
    rows: list[Row], keys: list[int], texts: dict[str, str], heads: list[str], field: str, title: str, *, first: bool
) -> alt.LayerChart | alt.FacetChart:
    plain: dict[str, Any] = {"domain": False, "ticks": False, "labelColor": INK, "labelOverlap": False}
    names = f"{json.dumps(texts)}[datum.value]"
    x = alt.X(
        "key:O", scale=alt.Scale(domain=keys), axis=alt.Axis(title=None, labelExpr=names, labelAngle=-60, **plain)
    )
    y = alt.Y("head:N", scale=alt.Scale(domain=heads), axis=alt.Axis(title=None, **plain) if first else None)
    most = max((abs(row[field]) for row in rows), default=0.0) or 1.0
    signed = field == "toward"
    scale = (
        alt.Scale(domain=[-most, 0, most], range=[ORANGE, "#f5f7fa", BLUE], interpolate="lab")
        if signed
        else alt.Scale(domain=[0, most], range=["#f1f5f9", "#9cc3e4", BLUE], interpolate="lab")
    )
    cells: list[Row] = [
        {
            **row,
            "text": (f"{row[field]:.0%}" if field == "weight" else decimal(row[field], 1)),
            "strong": abs(row[field]) / most,
        }
        for row in rows
    ]
    base = of_rows(cells)
    heat = base.mark_rect(stroke=PAPER, strokeWidth=1).encode(
        x,
        y,
        color=alt.Color(f"{field}:Q", scale=scale, legend=None),
        tooltip=[
            alt.Tooltip("head:N"),
            alt.Tooltip("token:N"),
            alt.Tooltip("weight:Q", title="attention", format=".1%"),
            alt.Tooltip("size:Q", format=".2f"),
            alt.Tooltip("toward:Q", title="towards the answer", format=".3f"),
        ],
    )
    wide = 34 if len(keys) <= 9 else 24
    text = (
        of_rows([row for row in cells if row["strong"] > 0.12])
        .mark_text(fontSize=9 if wide > 30 else 7.5)
        .encode(
            x, y, text="text:N", color=alt.when("datum.strong > 0.6").then(alt.value(PAPER)).otherwise(alt.value(INK))
        )
    )
    return alt.layer(heat, text).properties(width=wide * len(keys), height=24 * len(heads), title=heading(title, 12.5))


PART = Part("Where the strongest heads look", claims, exhibits)
