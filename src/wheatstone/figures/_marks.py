"""What a drawn circuit is made of: stripes of layers, curves of edges, heads with their inputs, MLPs, labels."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import altair as alt

from wheatstone._effects import effect_words, score_words
from wheatstone.figures._layout import Layout, Node
from wheatstone.figures._load import Component, DrawnEdge, RunData
from wheatstone.figures._theme import BLUE, FAINT, INK, ORANGE, PAPER, SOFT, halo, of_rows
from wheatstone.figures._words import decimal, percent, quoted
from wheatstone.runs import Row

_SUPPORTS, _SUPPRESSES = "supports the answer", "suppresses it"
_SIGNS = [_SUPPORTS, _SUPPRESSES]
_DECISIONS, _DECIDED = ["in", "undecided", "out"], [BLUE, ORANGE, "#98a4b3"]
_APART = "isValid(picked.name) && indexof(picked.name, datum.starts) < 0 && indexof(picked.name, datum.ends) < 0"
"""Vega expression: a component is pointed at and this edge does not touch it."""


def bands(layout: Layout) -> alt.LayerChart | alt.FacetChart:
    """The stripe and the name of every layer that occurs."""
    base = of_rows(
        {
            "layer": f"layer {band.layer}",
            "y": band.bottom,
            "y2": band.top,
            "middle": (band.bottom + band.top) / 2,
            "x": 0,
            "x2": layout.width,
        }
        for band in layout.bands
    )
    stripe = base.mark_rect(color=FAINT, cornerRadius=4).encode(_x(layout), _y(layout), x2="x2", y2="y2")
    label = base.mark_text(align="right", dx=-8, color=SOFT, fontSize=11 if layout.scale > 0.6 else 9.5)
    return stripe + label.encode(_x(layout), _y(layout, "middle"), text="layer:N")


def curves(run: RunData, layout: Layout, *, by_decision: bool = False) -> alt.Chart:
    """The edges, the strongest on top: width by weight, dash by sign, and colour by sign or by their decision."""
    strongest = max((edge.magnitude for edge in run.edges), default=0.0) or 1.0
    rows: list[Row] = []
    for number, edge in enumerate(sorted(run.edges, key=lambda edge: edge.magnitude)):
        about = _edge_row(edge, number, edge.magnitude / strongest)
        rows += [{**about, "x": x, "y": y, "step": step} for step, (x, y) in enumerate(layout.path(edge))]
    width = alt.Legend(
        title=effect_words(run.goal, run.granularity) if run.exact else "size of the edge score",
        format=".0%" if run.exact else ".2~f",
        symbolType="stroke",
        symbolSize=700,
        symbolStrokeColor=BLUE,
        symbolOpacity=1,
        tickCount=3,
        orient="bottom",
    )
    estimate = f"score in the ranking (estimate; {score_words(str(run.circuit['metric']))})"
    sign = alt.Legend(
        title="the edge", symbolType="stroke", symbolSize=700, symbolStrokeWidth=4, symbolOpacity=1, orient="bottom"
    )
    colour = alt.Color("sign:N", scale=alt.Scale(domain=_SIGNS, range=[BLUE, ORANGE]), legend=sign)
    if by_decision:
        recurs = alt.Legend(title="when prompts are drawn again", symbolType="stroke", symbolSize=700, orient="bottom")
        colour = alt.Color("decision:N", scale=alt.Scale(domain=_DECISIONS, range=_DECIDED), legend=recurs)
    fade = alt.StrokeOpacity("share:Q", scale=alt.Scale(domain=[0, 0.25], range=[0.25, 0.85], clamp=True), legend=None)
    return (
        of_rows(rows)
        .mark_line(interpolate="basis", strokeCap="round")
        .encode(
            _x(layout),
            _y(layout),
            order="step:O",
            detail="edge:N",
            strokeWidth=alt.StrokeWidth("size:Q", scale=alt.Scale(domain=[0, strongest], range=[0.7, 9]), legend=width),
            color=colour,
            strokeDash=alt.StrokeDash("sign:N", scale=alt.Scale(domain=_SIGNS, range=[[1, 0], [8, 6]]), legend=sign),
            strokeOpacity=alt.when(_APART).then(alt.value(0.04)).otherwise(fade),
            tooltip=[
                alt.Tooltip("from:N"),
                alt.Tooltip("to:N"),
                alt.Tooltip("effect:N", title=f"{effect_words(run.goal, run.granularity)} (exact)"),
                alt.Tooltip("score:N", title=estimate),
                *([alt.Tooltip("unit:N", title="removed together as")] if any(edge.unit for edge in run.edges) else []),
                *([alt.Tooltip("decision:N", title="when prompts are drawn again")] if run.decisions else []),
            ],
        )
    )


def shared_inputs(layout: Layout) -> alt.Chart:
    """Thin lines from an input to the heads that read it: part of the model, not of the circuit."""
    rows: list[Row] = [
        {"x": port.x, "y": port.y, "x2": layout.nodes[head.name].x, "y2": layout.nodes[head.name].y}
        for port in layout.ports.values()
        for head in port.heads
    ]
    return of_rows(rows).mark_rule(color="#98a4b3", strokeWidth=1).encode(_x(layout), _y(layout), x2="x2", y2="y2")


def inputs(layout: Layout) -> list[alt.Chart]:
    """The letters q, k and v where an edge enters a head."""
    base = of_rows(
        {"x": port.x, "y": port.y, "reads": port.channel.reads, "what": _said(port.channel)}
        for port in layout.ports.values()
    ).encode(_x(layout), _y(layout), tooltip=alt.Tooltip("what:N", title="input"))
    wide = 150 if layout.scale > 0.6 else 80
    disc = base.mark_point(filled=True, fill=PAPER, stroke="#98a4b3", strokeWidth=1, size=wide, opacity=1)
    letter = base.mark_text(fontSize=10 if layout.scale > 0.6 else 7.5, color=INK, baseline="middle", dy=-0.5)
    return [disc, letter.encode(text="reads:N")]


def components(run: RunData, layout: Layout) -> list[alt.Chart]:
    """Heads (round), MLPs (square), input and logits, sized by their strongest edge, with labels."""
    strongest = max((node.strength for node in layout.nodes.values()), default=0.0) or 1.0
    share = 1.0 if layout.scale > 0.6 else 0.5
    rows: list[Row] = [_node_row(run, node, strongest, share) for node in layout.nodes.values()]
    ends = [row for row in rows if row["label"]]
    pointed = alt.selection_point(
        name="picked", fields=["name"], on="pointerover", clear="pointerout", empty=False, value=[]
    )
    tooltip = [
        alt.Tooltip("what:N", title="component"),
        alt.Tooltip("effect:N", title="its strongest edge"),
    ]
    node = (
        of_rows(rows)
        .mark_point(filled=True, fill=INK, stroke=PAPER, strokeWidth=1.5, opacity=1)
        .encode(
            _x(layout),
            _y(layout),
            size=alt.Size("area:Q", scale=None),
            shape=alt.Shape("shape:N", scale=None),
            tooltip=tooltip,
        )
        .add_params(pointed)
    )
    places = _label_places(layout, rows)
    labels = of_rows({**row, "lx": x, "ly": y} for row, (x, y) in places)
    text: dict[str, Any] = {"align": "left", "baseline": "middle", "fontSize": 12 if layout.scale > 0.6 else 10}
    spots = (_x(layout, "lx"), _y(layout, "ly"))
    end = of_rows({**row, "ly": row["y"] + row["label_above"]} for row in ends).mark_text(
        fontSize=13, fontWeight="bold", baseline="middle", color=INK
    )
    return [
        node,
        labels.mark_text(**halo(**text)).encode(*spots, text="name:N"),
        labels.mark_text(**text, color=INK).encode(*spots, text="name:N", tooltip=tooltip),
        end.encode(_x(layout), _y(layout, "ly"), text="label:N", tooltip=tooltip),
    ]


def _edge_row(edge: DrawnEdge, number: int, share: float) -> Row:
    return {
        "edge": number,
        "from": _said(edge.sender),
        "to": _said(edge.receiver),
        "starts": edge.sender.name,
        "ends": edge.receiver.node,
        "effect": "not measured" if edge.effect is None else percent(edge.effect),
        "score": "none" if edge.score is None else decimal(edge.score, 3),
        "unit": edge.unit,
        "decision": edge.decision,
        "sign": _SUPPORTS if edge.weight >= 0 else _SUPPRESSES,
        "size": edge.magnitude,
        "share": share,
    }


def _node_row(run: RunData, node: Node, strongest: float, share: float) -> Row:
    kind = node.component.kind
    return {
        "name": node.component.name,
        "what": _said(node.component),
        "label": _end_label(run, kind),
        "label_above": 22 if kind == "logits" else -22,
        "shape": "square" if kind == "mlp" else "circle",
        "area": share * (70 + 330 * node.strength / strongest),
        "strength": node.strength,
        "effect": percent(node.strength) if run.exact else decimal(node.strength, 3),
        "x": node.x,
        "y": node.y,
    }


def _end_label(run: RunData, kind: str) -> str:
    """The two ends of the drawing: what goes in, what comes out."""
    prompts = run.manifest["prompts"]
    if kind not in ("input", "logits"):
        return ""
    if len(prompts) != 1:
        return f"input: {len(prompts)} prompts" if kind == "input" and prompts else kind
    first = prompts[0]
    if kind == "input":
        return f"input: {quoted(first['prompt'], 60)}"
    against = f" rather than {quoted(first['distractors'][0], 20)}" if first["distractors"] else ""
    return f"logits: {quoted(first['answers'][0], 20)}{against}"


def _said(component: Component) -> str:
    """A component in words."""
    if component.kind == "input":
        return "input: the prompt's token embeddings"
    if component.kind == "logits":
        return "logits: the scores of the next token"
    if component.kind == "mlp":
        part = f"{component.part} {component.index} of the " if component.part else ""
        return f"{component.name}: {part}MLP of layer {component.layer}"
    of = {"q": "query of ", "k": "keys of ", "v": "values of "}.get(component.reads, "")
    which = "head" if component.kind == "head" else "head group"
    return f"{component.name}: {of}{which} {component.index}, layer {component.layer}"


def _label_places(layout: Layout, rows: list[Row]) -> list[tuple[Row, tuple[float, float]]]:
    """A free place for each name, the strongest component first; a name without one is left to its tooltip."""
    small = layout.scale <= 0.6
    letter, high = (5.6, 9.0) if small else (6.8, 12.0)
    taken = [_Box(at.x - 6, at.x + 6, at.y) for at in (*layout.nodes.values(), *layout.ports.values())]
    placed: list[tuple[Row, tuple[float, float]]] = []
    for row in sorted((row for row in rows if not row["label"]), key=lambda row: -row["strength"]):
        aside, wide = math.sqrt(row["area"] / math.pi) + 4, len(row["name"]) * letter
        for left in (row["x"] + aside, row["x"] - aside - wide):
            box = _Box(left, left + wide, row["y"])
            if not any(box.meets(other, high) for other in taken):
                taken.append(box)
                placed.append((row, (left, row["y"])))
                break
    return placed


class _Box(NamedTuple):
    left: float
    right: float
    middle: float

    def meets(self, other: _Box, high: float) -> bool:
        return self.left < other.right and other.left < self.right and abs(self.middle - other.middle) < high


def _x(layout: Layout, field: str = "x") -> alt.X:
    return alt.X(f"{field}:Q", scale=alt.Scale(domain=[0, layout.width], nice=False), axis=None)


def _y(layout: Layout, field: str = "y") -> alt.Y:
    return alt.Y(f"{field}:Q", scale=alt.Scale(domain=[0, layout.height], nice=False), axis=None)
