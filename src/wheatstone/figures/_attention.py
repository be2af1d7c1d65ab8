"""Where the circuit's strongest heads look: one heat map a head, tokens by tokens, the last token's row in figures."""

from __future__ import annotations

from typing import Any

import altair as alt

from wheatstone.figures._load import RunData
from wheatstone.figures._theme import INK, SOFT, finished, growing, labelled, of_rows, squares, written
from wheatstone.figures._words import clipped, percent, quoted, visible
from wheatstone.runs import Row

_HEADS = 4
"""How many heads are shown."""


def chart(run: RunData) -> alt.LayerChart | alt.ConcatChart:
    """Draws the attention of a run's strongest heads on its first prompt.

    When this misleads: attention says from where a head reads, not what it carries nor whether that matters.
    """
    heads = shown(run)
    if not heads:
        nothing = of_rows([{}]).mark_text(
            text="No attention head passes anything on in this circuit.", fontSize=14, color=SOFT
        )
        return finished(alt.layer(nothing).properties(width=500, height=80), "Attention", [], describe(run))
    tokens = [visible(token) for token in run.manifest["prompts"][0]["tokens"]]
    maps = [_map(run, head, tokens) for head in heads]
    columns = 2 if len(tokens) > 9 or len(heads) == 4 else 3
    prompt = quoted(run.manifest["prompts"][0]["prompt"], 60)
    which = "" if len(run.manifest["prompts"]) == 1 else " (the first prompt)"
    subtitle = [
        f"Attention weights of the whole model on {prompt}{which}. Each row adds up to 100%.",
        "A row is the token that looks, a column the token looked at. The framed row is the last token, where the",
        "answer is given; its weights are written out, in percent. Heads in order of their strongest edge.",
    ]
    title = "Where the circuit's strongest attention heads look"
    return finished(alt.concat(*maps, columns=columns, spacing=24), title, subtitle, describe(run))


def shown(run: RunData) -> list[str]:
    """The heads drawn: the circuit's strongest that the run holds attention of."""
    stored = {row["head"] for row in run.attention}
    return [head for head in run.heads_by_effect if head in stored][:_HEADS]


def describe(run: RunData) -> str:
    """The picture in words."""
    prompt = run.manifest["prompts"][0]
    said = [
        f"From the last token, {head} looks most at “{visible(prompt['tokens'][top['key']])}” "
        f"({percent(top['weight'])})."
        for head in shown(run)
        if (top := max(_last_row(run, head), key=lambda row: row["weight"], default=None))
    ]
    return " ".join(said) or "No attention head passes anything on in this circuit."


def _rows(run: RunData, head: str) -> list[Row]:
    return [row for row in run.attention if row["head"] == head and row["prompt"] == 0]


def _last_row(run: RunData, head: str) -> list[Row]:
    last = run.manifest["prompts"][0]["last"]
    return [row for row in _rows(run, head) if row["query"] == last]


def _map(run: RunData, head: str, tokens: list[str]) -> alt.LayerChart | alt.FacetChart:
    cell = max(12.0, min(34.0, 420 / len(tokens)))
    side = cell * len(tokens)
    last = run.manifest["prompts"][0]["last"]
    order = list(range(len(tokens)))
    names = labelled([clipped(token, 14) or token for token in tokens])
    axis: dict[str, Any] = {
        "labelExpr": names,
        "labelFontSize": 12 if cell > 18 else 9.5,
        "labelColor": INK,
        "domain": False,
        "ticks": False,
        "labelOverlap": False,
        "labelLimit": 110,
        "labelPadding": 5,
    }
    x = alt.X("key:O", scale=alt.Scale(domain=order), axis=alt.Axis(title=None, labelAngle=-60, **axis))
    y = alt.Y("query:O", scale=alt.Scale(domain=order), axis=alt.Axis(title=None, **axis))
    rows = [
        {**row, "looks": tokens[row["query"]], "at": tokens[row["key"]], "percent": round(row["weight"] * 100)}
        for row in _rows(run, head)
    ]
    tooltip = [
        alt.Tooltip("looks:N", title="from"),
        alt.Tooltip("at:N", title="to"),
        alt.Tooltip("weight:Q", title="attention", format=".1%"),
    ]
    legend = alt.Legend(title="attention", format=".0%", gradientLength=220, tickCount=3, orient="bottom")
    colour = alt.Color("weight:Q", scale=growing(), legend=legend)
    heat = squares(rows, x, y, colour, tooltip, 1 if cell > 18 else 0.5)
    last_row = [row for row in rows if row["query"] == last and (cell > 18 or row["percent"] >= 5)]
    figures = written(last_row, x, y, "percent:Q", "datum.weight > 0.4", fontSize=11 if cell > 18 else 7.5)
    frame = (
        of_rows([{"query": last}])
        .mark_rect(filled=False, stroke=INK, strokeWidth=1.5)
        .encode(y, x=alt.value(0), x2=alt.value(side))
    )
    heading = alt.TitleParams(text=head, subtitle=_worth(run, head), fontSize=14, subtitleFontSize=11.5, offset=8)
    return alt.layer(heat, figures, frame).properties(width=side, height=side, title=heading)


def _worth(run: RunData, head: str) -> str:
    strongest = max((edge.magnitude for edge in run.edges if edge.sender.name == head), default=0.0)
    layer, index = head[1:].split(".h")
    effect = f"; strongest edge: {percent(strongest)}" if run.exact else ""
    return f"layer {layer}, head {index}{effect}"
