"""The logit lens on the page: rank, probability, logit difference by half layer; the first prompt word by word."""

from __future__ import annotations

from typing import Any

import altair as alt

from wheatstone._intervals import interval_note
from wheatstone.figures._explained import Claim, Exhibit, Part, StoredSection
from wheatstone.figures._layer_axis import banded, layers_x
from wheatstone.figures._theme import BLUE, INK, ORANGE, finished, growing, heading, labelled, of_rows, squares, written
from wheatstone.figures._words import clipped, count, percent, probability, quoted, visible
from wheatstone.lenses import LensCourse, LensSummary
from wheatstone.runs import Row

_WIDTH, _HEIGHT = 250, 190
_SITES = {"last": "last token", "subject": "subject's last token"}
_POSITIONS = 10
"""Positions of the first prompt that are drawn, from its end."""


def claims(stored: StoredSection) -> list[Claim]:
    """When the answer becomes first, where it is seen before, and how sure the model is."""
    found = stored.read(LensSummary)
    last, subject = found.plain
    where = f"At the last token{'' if stored.n == 1 else ' of the typical prompt'} the answer"
    if last.first_after is None:
        when = f"{where} does not end up as the first choice (rank {last.rank_at_end:,.0f})"
    else:
        when = f"{where} is the first choice from {_after(last)} on"
    sure = probability(last.probability_at_end)
    said = [Claim(f"{when}, with probability {sure} at the end.", "lens_by_layer", True, f"{when}.")]
    best = f"its best rank is {subject.best_rank:,.0f}, after {_sublayer(subject.best_after)}"
    if stored.n > 1:
        best += f" (of the typical prompt of {stored.n}, which chose that layer)"
    said.append(Claim(f"Read at the subject's last token instead, {best}.", "lens_by_layer"))
    if found.tuned is not None:
        end = found.tuned.last
        first = "does not become first" if end.first_after is None else f"is first from {_after(end)} on"
        said.append(Claim(f"Through the tuned lens the answer {first}.", "lens_by_layer"))
    return said


def exhibits(stored: StoredSection) -> list[Exhibit]:
    """Curves over all prompts, and the first prompt position by position."""
    return [
        Exhibit(
            "lens_curves",
            _curves(stored),
            "Follow a line to the right, through the model. It rises where layers write the answer. The band is the "
            "95% interval over prompts. A low start does not mean that nothing happens there, only that it is not "
            "yet in the form that the last layer reads.",
        ),
        Exhibit(
            "lens_words",
            _words(stored),
            "Read a column upwards: what the model would say next, after this token, if it stopped at that layer. The "
            "answer to the prompt is in the last column, at the top.",
        ),
    ]


def _after(course: LensCourse) -> str:
    return "the start" if not course.first_after or course.first_half == 0 else _sublayer(course.first_after)


def _sublayer(name: str) -> str:
    """`a3` in words."""
    if name == "input":
        return "the input"
    return f"{'attention' if name[0] == 'a' else 'the MLP'} of layer {name[1:]}"


def _curves(stored: StoredSection) -> Any:
    layers = int(stored.run.manifest["model"]["layers"])
    rows: list[Row] = [
        {**row, "layer": row["half"] / 2, "where": _SITES[row["site"]] + ("" if row["lens"] == "plain" else ", tuned")}
        | {"rank_low": None, "rank_high": None}
        for row in stored.tables["lens_by_layer"]
    ]
    names = list(dict.fromkeys(row["where"] for row in rows))
    colour = alt.Color(
        "where:N",
        scale=alt.Scale(domain=names, range=[BLUE, ORANGE, "#0b3a66", "#7a4a08"][: len(names)]),
        legend=alt.Legend(
            title=None, orient="bottom", symbolType="stroke", symbolStrokeWidth=3, symbolSize=500, symbolOpacity=1
        ),
    )
    x = layers_x(layers)
    lowest = max(10.0, *(row["rank"] for row in rows))
    ticks = [10**power for power in range(7) if 10**power <= lowest * 1.5]
    rank = banded(
        rows,
        x,
        "rank",
        {"title": "rank (1 = first choice)", "values": ticks, "format": ",d"},
        alt.Scale(type="log", domain=[1, lowest * 1.3], reverse=True, nice=False),
        colour,
        "rank",
    )
    chance = banded(
        rows,
        x,
        "probability",
        {"title": "probability of the answer", "format": ".0%", "tickCount": 5},
        alt.Scale(domain=[0, 1], nice=False) if max(row["probability"] for row in rows) > 0.5 else alt.Scale(),
        colour,
        "probability",
    )
    panels = [("Rank of the answer" + (" (median)" if stored.n > 1 else ""), rank), ("Probability", chance)]
    if all(row["difference"] is not None for row in rows):
        gap = banded(
            rows, x, "difference", {"title": "answer − distractor (logits)"}, alt.Scale(), colour, "logit difference"
        )
        panels.append(("Logit difference", gap))
    charts = [
        alt.layer(*marks).properties(width=_WIDTH, height=_HEIGHT, title=heading(title)) for title, marks in panels
    ]
    picture = alt.hconcat(*charts, spacing=36).resolve_scale(color="shared")
    subtitle = [
        "The residual stream after every attention and every MLP, read as if it were the last (logit lens).",
        f"{count(stored.n, 'prompt')}; {interval_note(stored.n, 'bands')}.",
    ]
    return finished(picture, "How the answer forms", subtitle, " ".join(claim.text for claim in claims(stored)))


def _words(stored: StoredSection) -> Any:
    """One cell for each position and layer of the first prompt: the token read there."""
    places = [row for row in stored.tables["lens_by_position"] if row["prompt"] == 0 and row["lens"] == "plain"]
    end = max(row["position"] for row in places)
    shown = [row for row in places if row["half"] % 2 == 0 and row["position"] > end - _POSITIONS]
    tokens = {row["position"]: visible(row["token"]) for row in shown}
    rows: list[Row] = [
        {
            "position": row["position"],
            "layer": row["half"] // 2,
            "token": tokens[row["position"]],
            "top": clipped(visible(row["tops"][0]), 12) or "?",
            "chance": row["top_probability"],
            "rank": row["rank"],
            "tops": ", ".join(visible(token) for token in row["tops"]),
        }
        for row in shown
    ]
    answer = visible(stored.run.manifest["prompts"][0]["answers"][0])
    for row in rows:
        row["right"] = row["rank"] == 1
    order = sorted(tokens)
    layers = max(row["layer"] for row in rows)
    names = labelled({str(place): clipped(text, 14) or text for place, text in tokens.items()})
    plain: dict[str, Any] = {"domain": False, "ticks": False, "labelColor": INK, "labelOverlap": False}
    x = alt.X(
        "position:O", scale=alt.Scale(domain=order), axis=alt.Axis(title=None, labelExpr=names, labelAngle=0, **plain)
    )
    y = alt.Y(
        "layer:O",
        axis=alt.Axis(title="layers done", **plain),
        scale=alt.Scale(domain=list(range(layers, -1, -1))),
    )
    tooltip = [
        alt.Tooltip("token:N", title="after the token"),
        alt.Tooltip("layer:O", title="layers done"),
        alt.Tooltip("tops:N", title="most likely"),
        alt.Tooltip("chance:Q", title="probability of the first", format=".1%"),
        alt.Tooltip("rank:Q", title=f"rank of {answer}", format=","),
    ]
    title = "probability of the token shown"
    legend = alt.Legend(title=title, format=".0%", gradientLength=220, tickCount=3, orient="bottom")
    heat = squares(rows, x, y, alt.Color("chance:Q", scale=growing(), legend=legend), tooltip)
    text = written(rows, x, y, "top:N", "datum.chance > 0.4", fontSize=10)
    frame = (
        of_rows([row for row in rows if row["right"]])
        .mark_rect(filled=False, stroke=ORANGE, strokeWidth=1.5)
        .encode(x, y)
    )
    prompt = quoted(stored.run.manifest["prompts"][0]["prompt"], 70)
    picture = alt.layer(heat, text, frame).properties(width=78 * len(order), height=17 * (layers + 1))
    left_out = "" if len(order) == end + 1 else f" Its last {len(order)} tokens."
    subtitle = [
        f"Prompt: {prompt}.{left_out}" + ("" if stored.n == 1 else " The first prompt."),
        f"Each cell: the most likely next token. Framed in orange: it is the answer, {quoted(answer, 20)}.",
    ]
    described = f"Most likely token after every layer at every position of {prompt}. " + _found(rows, end, answer)
    return finished(picture, "What would be said next, layer by layer", subtitle, described)


def _found(rows: list[Row], end: int, answer: str) -> str:
    at_end = [row for row in rows if row["position"] == end]
    first = [row["layer"] for row in at_end if row["right"]]
    top = max(at_end, key=lambda row: row["layer"])
    when = (
        f"{quoted(answer, 20)} is read at the last token after {count(first[0], 'layer')}"
        if first
        else "The answer is not read"
    )
    return f"{when}; at the end {quoted(top['top'], 20)} has {percent(top['chance'])}."


PART = Part("How the answer forms, layer by layer", claims, exhibits)
