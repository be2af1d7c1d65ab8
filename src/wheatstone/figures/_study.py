"""A relation study in pictures: how its circuits do on test facts, and what they share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import altair as alt

from wheatstone.figures._report import Picture, template
from wheatstone.figures._theme import BLUE, GREY, INK, ORANGE, finished, growing, heading, of_rows, squares, written
from wheatstone.figures._view import Charts, View
from wheatstone.figures._words import count, percent
from wheatstone.runs import Row

_CONDITIONS = {
    "model": "whole model",
    "circuit": "circuit alone",
    "complement": "model without the circuit",
    "random": "as many random edges",
    "empty": "every edge ablated",
}
_COLOURS = [INK, BLUE, ORANGE, GREY, "#c9d1da"]


def hits(study: dict[str, Any]) -> alt.LayerChart:
    """Hit@10 on test facts of every relation's circuit, beside what it must be compared with.

    When this misleads: facts were chosen by what the model knows, so its own Hit@10 is 1 by construction; and a bar
    without its grey neighbours says nothing, since few answers are often guessed.
    """
    rows: list[Row] = []
    for row in study["relations"]:
        test = row["test"]
        for condition, name in _CONDITIONS.items():
            low, high = test["ci95"]["hit_at_10"][condition] or (None, None)
            value = test["hit_at_10"][condition]
            who = f"{_label(row)} · {row['edges']:,} edges, {test['n']} facts"
            rows.append({"relation": who, "kind": name, "hit": value, "low": low, "high": high})
    names = list(_CONDITIONS.values())
    y = alt.Y(
        "relation:N",
        sort=list(dict.fromkeys(row["relation"] for row in rows)),
        axis=alt.Axis(title=None, labelLimit=420, labelColor=INK, ticks=False, domain=False),
        scale=alt.Scale(paddingInner=0.18),
    )
    key = alt.Color(
        "kind:N",
        scale=alt.Scale(domain=names, range=_COLOURS),
        legend=alt.Legend(title=None, orient="top", columns=3, labelLimit=220),
    )
    scale, offset = alt.Scale(domain=[0, 1]), alt.YOffset("kind:N", sort=names)
    x = alt.X("hit:Q", scale=scale, axis=alt.Axis(title="Hit@10 on test facts", format=".0%", tickCount=6))
    tooltip = [
        alt.Tooltip("relation:N"),
        alt.Tooltip("kind:N", title="condition"),
        alt.Tooltip("hit:Q", title="Hit@10", format=".1%"),
        alt.Tooltip("low:Q", title="95% from", format=".1%"),
        alt.Tooltip("high:Q", title="to", format=".1%"),
    ]
    base = of_rows(rows)
    bars = base.mark_bar().encode(x, y, key, yOffset=offset, tooltip=tooltip)
    known = of_rows([row for row in rows if row["low"] is not None])
    ends = known.mark_rule(strokeWidth=1, color=INK, opacity=0.6).encode(
        alt.X("low:Q", scale=scale), y, x2="high:Q", yOffset=offset
    )
    picture = alt.layer(bars, ends).properties(width=460, height=alt.Step(8, **{"for": "offset"}))
    subtitle = [
        "An answer among the ten most likely tokens, on facts that the circuit was not found on.",
        "Lines: 95% intervals over facts, none for fewer than 4. The model knows these facts by choice.",
    ]
    return finished(picture, _title(study), subtitle, describe_hits(study))


def curves(study: dict[str, Any]) -> alt.FacetChart:
    """What nested circuits of each relation keep of the gain in Hit@10, by size, on training and on test facts.

    When this misleads: a relation with few facts moves in large steps, and one whose gain is small swings widely; what
    lies below 0 or above 1 is drawn at the edge.
    """
    rows: list[Row] = []
    for row in study["relations"]:
        rows += _curve_rows(row["relation"], row["curve"], "one relation")
    if study["average"] is not None:
        rows += _curve_rows("mean", study["average"]["curve"], "mean")
    kinds = {"one relation": "#9db4c8", "mean": ORANGE}
    chart = (
        of_rows(rows)
        .mark_line(clip=True, point=False)
        .encode(
            alt.X(
                "share:Q",
                scale=alt.Scale(type="log", domain=[0.0025, 0.1]),
                axis=alt.Axis(title="share of all edges", values=sorted({row["share"] for row in rows}), format="~%"),
            ),
            alt.Y(
                "gain:Q",
                scale=alt.Scale(domain=[0, 1], clamp=True),
                axis=alt.Axis(title="gain in Hit@10 that is kept", format=".0%", tickCount=6),
            ),
            alt.Color(
                "kind:N",
                scale=alt.Scale(domain=list(kinds), range=list(kinds.values())),
                legend=alt.Legend(title=None, orient="top", symbolType="stroke", symbolStrokeWidth=3, symbolSize=500),
            ),
            strokeWidth=alt.StrokeWidth("kind:N", scale=alt.Scale(domain=list(kinds), range=[1, 4]), legend=None),
            detail="relation:N",
            tooltip=[
                alt.Tooltip("relation:N"),
                alt.Tooltip("share:Q", format="~%"),
                alt.Tooltip("gain:Q", format=".0%"),
            ],
        )
        .properties(width=360, height=280)
        .facet(column=alt.Column("facts:N", title=None, sort=["training facts", "test facts"]))
    )
    subtitle = [
        "Nested circuits of one ranking for each relation. The mean is over relations with at least 10 known test",
        "facts, on which the model gains something over the empty circuit.",
    ]
    return finished(chart, "What circuits of each size keep", subtitle, describe_curves(study))


def _curve_rows(relation: str, curve: list[dict[str, Any]], kind: str) -> list[Row]:
    return [
        {"relation": relation, "kind": kind, "share": point["share"], "gain": point[f"gain_kept_{split}"], "facts": of}
        for split, of in (("train", "training facts"), ("test", "test facts"))
        for point in curve
        if point[f"gain_kept_{split}"] is not None
    ]


def describe_curves(study: dict[str, Any]) -> str:
    """The mean curve in words."""
    if study["average"] is None:
        return "Gain in Hit@10 that nested circuits keep, by share of the edges. Too few facts for a mean."
    said = [
        f"{point['share']:.2%} of the edges {percent(point['gain_kept_test'])} "
        f"(training facts {percent(point['gain_kept_train'])})"
        for point in study["average"]["curve"]
        if point["gain_kept_test"] is not None and point["gain_kept_train"] is not None
    ]
    return f"Mean gain in Hit@10 that nested circuits keep on test facts: {', '.join(said)}."


def overlap(study: dict[str, Any]) -> alt.ConcatChart | alt.HConcatChart:
    """Jaccard overlap of every two relations' circuits, like beside like.

    When this misleads: overlap depends on the circuits' sizes, and edges that every prompt needs are shared by all.
    """
    maps = [_map(study["overlap"], kind) for kind in ("edges", "nodes")]
    subtitle = [
        "Jaccard overlap: shared by both, over all that are in either; in percent. The order is by clustering the",
        "circuits' edges (average linkage), the same in both pictures. Nodes: heads and MLPs that write along an edge.",
    ]
    picture = alt.hconcat(*maps, spacing=30).resolve_scale(color="independent")
    return finished(picture, "What the relations' circuits share", subtitle, describe_overlap(study))


STUDY_FIGURES: dict[str, Callable[[dict[str, Any]], Any]] = {"curves": curves, "hits": hits, "overlap": overlap}
"""Name -> what draws it."""


def _charts(study: dict[str, Any]) -> Charts:
    return {name: partial(draw, study) for name, draw in STUDY_FIGURES.items()}


def _page(study: dict[str, Any], drawn: Mapping[str, Picture], missing: Mapping[str, str]) -> str:
    shown = [{"src": picture.data_uri, "alt": picture.spec["description"]} for picture in drawn.values()]
    page = template("study.html.jinja")
    return page.render(study=study, title=_title(study), conditions=list(_CONDITIONS), pictures=shown)


def describe_hits(study: dict[str, Any]) -> str:
    """The bars in words."""
    said = [
        f"{row['relation']}: model {percent(hit['model'])}, circuit {percent(hit['circuit'])}, "
        f"empty {percent(hit['empty'])}"
        for row in study["relations"]
        if (hit := row["test"]["hit_at_10"])
    ]
    return f"Hit@10 on test facts. {'; '.join(said)}."


def describe_overlap(study: dict[str, Any]) -> str:
    """The heat maps in words."""
    names, edges = study["overlap"]["order"], study["overlap"]["edges"]
    pairs = sorted(
        ((edges[i][j], names[i], names[j]) for i in range(len(names)) for j in range(i)), key=lambda pair: -pair[0]
    )
    most = ", ".join(f"{ours} and {theirs} {percent(share)}" for share, ours, theirs in pairs[:3])
    return f"Shared edges of {count(len(names), 'circuit')}. Most: {most}." if pairs else "One circuit only."


def _label(row: dict[str, Any]) -> str:
    return f"{row['relation']} (few)" if row["few"] else str(row["relation"])


def _title(study: dict[str, Any]) -> str:
    average = study["average"]
    if average is None or average["gain_kept"] is None:
        return f"Circuits of {count(len(study['relations']), 'relation')} on facts they were not found on"
    return (
        f"Circuits of {percent(average['share'])} of the edges keep {percent(average['gain_kept'])} "
        "of the gain in Hit@10"
    )


def _map(overlaps: dict[str, Any], kind: str) -> alt.LayerChart | alt.FacetChart:
    names = overlaps["order"]
    side = max(16, min(60, 480 // len(names)))
    rows: list[Row] = [
        {"one": one, "other": other, "share": share, "percent": round(share * 100)}
        for one, line in zip(names, overlaps[kind], strict=True)
        for other, share in zip(names, line, strict=True)
        if one != other or len(names) == 1
    ]
    axis: dict[str, Any] = {"title": None, "labelLimit": 180, "labelColor": INK, "domain": False, "ticks": False}
    x = alt.X("other:N", scale=alt.Scale(domain=names), axis=alt.Axis(labelAngle=-60, **axis))
    y = alt.Y("one:N", scale=alt.Scale(domain=names), axis=alt.Axis(**axis))
    most = max((row["share"] for row in rows), default=1.0) or 1.0
    legend = alt.Legend(title=f"shared {kind}", format=".0%", gradientLength=200, tickCount=4, orient="bottom")
    colour = alt.Color("share:Q", scale=growing(most), legend=legend)
    heat = squares(rows, x, y, colour, ["one:N", "other:N", alt.Tooltip("share:Q", format=".1%")])
    dark = f"datum.share > {most * 0.45}"
    figures = written(rows, x, y, "percent:Q", dark, fontSize=9 if side < 24 else 11)
    return alt.layer(heat, figures).properties(
        width=side * len(names), height=side * len(names), title=heading(kind, 14)
    )


VIEW = View(lambda run: run.result, _charts, _page)
