"""The picture of a graph: tokens from left to right, layers upwards."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import mode
from typing import Any

import altair as alt

from wheatstone.figures._graph_words import graph_title
from wheatstone.figures._load import Row
from wheatstone.figures._theme import BLUE, FAINT, INK, ORANGE, PAPER, SOFT, finished, halo, of_rows
from wheatstone.figures._words import clipped, count, percent, quoted

_MARKS, _CURVES, _LABELS = 46, 130, 12
"""Marks, edges and names that are drawn: the strongest. The tables have all."""
_SHAPES = {
    "token": "square",
    "head": "circle",
    "neuron": "diamond",
    "feature": "diamond",
    "error": "cross",
    "group": "triangle-up",
}
"""Of marks, by kind; kinds of other tools are drawn as features."""
_STEP, _LETTER, _NARROW = 17.0, 6.4, 26.0
"""Pixels between marks of one layer and position, of a letter beside one, and of the narrowest column."""
_SIGNS = ("for the answer", "against it")


@dataclass(frozen=True)
class _Mark:
    """Something that is drawn: a node, or a supernode in place of its neurons; the label that a person gave it."""

    name: str
    kind: str
    layer: float
    position: int
    sent: float
    says: str
    about: str
    label: str = ""


def _marks(summary: Row, nodes: Sequence[Row]) -> tuple[list[_Mark], dict[str, str]]:
    """What is drawn, and for every node its mark."""
    names: dict[str, str] = {}
    marks: list[_Mark] = []
    members: defaultdict[int, list[Row]] = defaultdict(list)
    for row in nodes:
        if row["supernode"] >= 0:
            members[row["supernode"]].append(row)
            names[row["node"]] = f"group {row['supernode']}"
        else:
            names[row["node"]] = row["node"]
            likelier = "" if row["kind"] == "token" else ", ".join(map(quoted, row["promotes"][:3]))
            less = "" if row["kind"] == "token" else ", ".join(map(quoted, row["suppresses"][:3]))
            marks.append(_Mark(row["node"], row["kind"], row["layer"], row["position"], row["sent"], likelier, less))
    for number, rows in members.items():
        one = summary["supernodes"][number]
        layers = sorted(row["layer"] for row in rows)
        marks.append(
            _Mark(
                f"group {number}",
                "group",
                layers[len(layers) // 2],
                mode(row["position"] for row in rows),
                sum(row["sent"] for row in rows),
                one["name"],
                count(len(rows), "neuron" if all(row["kind"] == "neuron" for row in rows) else "node"),
                clipped(one["name"], 24) if one.get("given") else "",
            )
        )
    tokens = [mark for mark in marks if mark.kind == "token"]
    others = sorted((mark for mark in marks if mark.kind != "token"), key=lambda mark: -abs(mark.sent))
    return tokens + others[:_MARKS], names


def graph_chart(summary: Row, manifest: Mapping[str, Any], nodes: Sequence[Row], edges: Sequence[Row]) -> Any:
    """Draws a graph.

    Args:
        summary: of `graph.json`.
        manifest: of the run.
        nodes: of `nodes.parquet`.
        edges: of `edges.parquet`.
    """
    layers, tokens = int(manifest["model"]["layers"]), summary["tokens"]
    marks, names = _marks(summary, nodes)
    labels = _labels(marks)
    shown = [clipped(token.strip() or token, 14) for token in tokens]
    left, right, places = _placed(marks, labels, shown)
    middle = (left[-1] + right[-1]) / 2
    places["target"] = (middle, 2.0 * layers + 3)
    width, height = right[-1] + 10, 26.0 * 22
    across, up = alt.Scale(domain=[-40, width], nice=False), alt.Scale(domain=[-4.5, 2 * layers + 6], nice=False)

    def x(field: str = "x") -> alt.X:
        return alt.X(f"{field}:Q", axis=None, scale=across)

    def y(field: str = "y") -> alt.Y:
        return alt.Y(f"{field}:Q", axis=None, scale=up)

    columns = of_rows(
        {
            "x": a,
            "x2": b,
            "y": -1.8,
            "y2": 2 * layers + 1.6,
            "below": -2.6,
            "token": token,
            "middle": (a + b) / 2,
        }
        for a, b, token in zip(left, right, shown, strict=True)
    )
    stripes = columns.mark_rect(color=FAINT, cornerRadius=4).encode(x(), y(), x2="x2", y2="y2")
    prompt = columns.mark_text(baseline="top", color=INK, fontSize=12.5).encode(x("middle"), y("below"), text="token:N")
    rows = of_rows(
        {"y": 2.0 * layer + 0.5, "x": -12, "layer": layer} for layer in range(0, layers, max(1, layers // 10))
    )
    axis = rows.mark_text(color=SOFT, fontSize=11, align="right").encode(x(), y(), text="layer:N")
    curves = _curves(edges, names, places, x, y)
    drawn = [
        {
            "name": mark.name,
            "kind": mark.kind if mark.kind in _SHAPES else "feature",
            "x": places[mark.name][0],
            "y": places[mark.name][1],
            "size": abs(mark.sent),
            "sent": f"{mark.sent:+.2f} logits",
            "sign": _SIGNS[mark.sent < 0],
            "says": mark.says,
            "about": mark.about,
        }
        for mark in marks
    ]
    there = [kind for kind in _SHAPES if any(mark.kind == kind for mark in marks)]
    kinds = alt.Scale(domain=there, range=[_SHAPES[kind] for kind in there])
    legend: dict[str, Any] = {"orient": "bottom", "symbolSize": 110, "title": None}
    points = (
        of_rows(drawn)
        .mark_point(filled=True, opacity=1, stroke=PAPER, strokeWidth=1)
        .encode(
            x(),
            y(),
            size=alt.Size("size:Q", scale=alt.Scale(type="sqrt", range=[45, 420]), legend=None),
            shape=alt.Shape("kind:N", scale=kinds, legend=alt.Legend(**legend)),
            color=alt.Color("sign:N", scale=_COLOURS, legend=alt.Legend(**legend)),
            tooltip=[
                alt.Tooltip("name:N"),
                alt.Tooltip("sent:N", title="sends"),
                alt.Tooltip("says:N", title="says"),
                alt.Tooltip("about:N", title="and"),
            ],
        )
        .add_params(alt.selection_point("picked", fields=["name"], on="pointerover", clear="pointerout", empty=False))
    )
    texts = of_rows({**row, "label": labels[row["name"]]} for row in drawn if row["name"] in labels)
    text: dict[str, Any] = {"align": "left", "dx": 9, "fontSize": 11}
    looks: list[dict[str, Any]] = [halo(**text), {**text, "color": INK}]
    written = [texts.mark_text(**mark).encode(x(), y(), text="label:N") for mark in looks]
    answer = of_rows([{"x": middle, "y": 2.0 * layers + 3.4, "label": summary["target"]["name"]}])
    answers = [
        answer.mark_text(baseline="bottom", fontSize=13, fontWeight="bold", color=INK).encode(x(), y(), text="label:N")
    ]
    picture = alt.layer(stripes, curves, prompt, axis, points, *written, *answers).properties(
        width=width + 40, height=height
    )
    held = "Out of a file; nothing was run."
    if summary["proofs"]:
        first = summary["proofs"][0]
        held = (
            f"{first['nodes']:,} heads and neurons alone keep {percent(first['faithfulness'])} "
            f"{'on test prompts ' if 'curve' in summary else ''}(ablated to {first['baseline']}; exact)."
        )
    subtitle = [
        f"{held} The strongest {sum(mark.kind != 'token' for mark in marks)} marks are drawn.",
        "Read upwards. Triangles are groups of neurons that send alike. Numbers on the left are layers.",
    ]
    strongest = ", ".join(f"{edge['sender']} to {edge['receiver']} ({edge['weight']:+.2f})" for edge in edges[:5])
    return finished(
        picture,
        graph_title(summary, 48, 34),
        subtitle,
        f"Graph of {count(len(nodes), 'node')} and {count(len(edges), 'edge')}. Strongest edges: {strongest}.",
    )


_COLOURS = alt.Scale(domain=list(_SIGNS), range=[BLUE, ORANGE])


def _labels(marks: Sequence[_Mark]) -> dict[str, str]:
    """Names that are written beside marks: those of the strongest."""
    strongest = sorted((mark for mark in marks if mark.kind != "token"), key=lambda mark: -abs(mark.sent))[:_LABELS]
    return {
        mark.name: mark.label or (mark.about if mark.kind == "group" else mark.name.split("@")[0]) for mark in strongest
    }


def _placed(
    marks: Sequence[_Mark], labels: Mapping[str, str], tokens: Sequence[str]
) -> tuple[list[float], list[float], dict[str, tuple[float, float]]]:
    """Left and right ends of every token's column, and where every mark is drawn.

    Heads of a layer are in one row, its neurons in the next. A column is as wide as its token, and as its fullest row
    and the names in it need.
    """
    rows: dict[tuple[int, float], list[_Mark]] = {}
    for mark in marks:
        height = -1.0 if mark.kind == "token" else 2 * mark.layer + (0.0 if mark.kind == "head" else 1.0)
        rows.setdefault((mark.position, height), []).append(mark)

    def room(mark: _Mark) -> float:
        return _STEP + (_LETTER * len(labels[mark.name]) if mark.name in labels else 0.0)

    left, right, at = list[float](), list[float](), 0.0
    places: dict[str, tuple[float, float]] = {}
    for position, token in enumerate(tokens):
        here = {height: row for (own, height), row in rows.items() if own == position}
        needed = [sum(map(room, row)) + 2 * _STEP for row in here.values() if row[0].kind != "token"]
        width = max([_NARROW, _LETTER * len(token) + 14, *needed])
        left.append(at)
        right.append(at + width)
        for height, row in here.items():
            x = at + (width - sum(map(room, row)) + _STEP) / 2
            for mark in row:
                places[mark.name] = x, height
                x += room(mark)
        at += width + 6
    return left, right, places


def _curves(
    edges: Sequence[Row],
    names: Mapping[str, str],
    places: Mapping[str, tuple[float, float]],
    x: Callable[[], alt.X],
    y: Callable[[], alt.Y],
) -> alt.Chart:
    """The strongest edges between what is drawn, those of a group's members together."""
    sums: defaultdict[tuple[str, str], float] = defaultdict(float)
    for edge in edges:
        sender, receiver = names[edge["sender"]], names.get(edge["receiver"], "target")
        if sender in places and receiver in places and sender != receiver:
            sums[sender, receiver] += edge["weight"]
    strongest = sorted(sums.items(), key=lambda pair: -abs(pair[1]))[:_CURVES]
    largest = max((abs(weight) for _, weight in strongest), default=1.0) or 1.0
    rows: list[Row] = []
    for number, ((sender, receiver), weight) in enumerate(reversed(strongest)):
        (x0, y0), (x1, y1) = places[sender], places[receiver]
        out = (
            (y1 - y0) * 0.9 if abs(x1 - x0) < _STEP else 0.0
        )  # a curve within a column swings out of what lies between
        path = [(x0, y0), (x0 + out, y0 + (y1 - y0) / 3), (x1 + out, y1 - (y1 - y0) / 3), (x1, y1)]
        about = {
            "edge": number,
            "ends": [sender, receiver],
            "sign": _SIGNS[weight < 0],
            "size": abs(weight),
            "share": abs(weight) / largest,
            "from": sender,
            "to": receiver,
            "weight": f"{weight:+.2f} logits",
        }
        rows += [{**about, "x": px, "y": py, "step": step} for step, (px, py) in enumerate(path)]
    apart = "isValid(picked.name) && indexof(datum.ends, picked.name[0]) < 0"
    return (
        of_rows(rows)
        .mark_line(interpolate="basis", strokeCap="round")
        .encode(
            x(),
            y(),
            order="step:O",
            detail="edge:N",
            strokeWidth=alt.StrokeWidth("size:Q", scale=alt.Scale(domain=[0, largest], range=[0.6, 8]), legend=None),
            color=alt.Color("sign:N", scale=_COLOURS),
            strokeOpacity=alt.when(apart)
            .then(alt.value(0.04))
            .otherwise(
                alt.StrokeOpacity(
                    "share:Q", scale=alt.Scale(domain=[0, 0.25], range=[0.2, 0.75], clamp=True), legend=None
                )
            ),
            tooltip=[alt.Tooltip("from:N"), alt.Tooltip("to:N"), alt.Tooltip("weight:N", title="carries")],
        )
    )
