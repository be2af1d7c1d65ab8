"""Direct logit attribution on the page: a map of all heads and MLPs, and the strongest with their intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt

from wheatstone._intervals import interval_text
from wheatstone.figures._explained import Claim, Exhibit, Part, StoredSection
from wheatstone.figures._theme import BLUE, INK, ORANGE, SOFT, diverging, finished, heading, of_rows, squares
from wheatstone.figures._words import count, decimal, signed
from wheatstone.lenses import AttributionSummary, NamedEffect
from wheatstone.runs import Row

_BARS = 16
"""Nodes with a bar of their own."""


def claims(stored: StoredSection) -> list[Claim]:
    """Which nodes write the answer themselves, and which against it."""
    found = stored.read(AttributionSummary)
    said: list[Claim] = []
    if found.heads:
        against = f"; most against it writes {listed(found.against_heads[:1])}" if found.against_heads else ""
        text = f"In logits, the heads that write the answer themselves most are {listed(found.heads[:3])}{against}"
        names = ", ".join(row.name for row in found.heads[:3])
        brief = f"The heads that write it most directly are {names}."
        said.append(Claim(f"{text}{_on(stored)}.", "attribution_nodes", True, brief))
    said.append(Claim(_parts(stored), "attribution_nodes"))
    if found.mlps:
        text = f"The MLPs that write the answer themselves most are {listed(found.mlps)}{_on(stored)}."
        said.append(Claim(text, "attribution_nodes"))
    if found.neurons:
        text = f"The neurons with the largest direct effect are {listed(found.neurons)}, in logits{_on(stored)}."
        said.append(Claim(text, "attribution_neurons"))
    return said


def _on(stored: StoredSection) -> str:
    """Which prompts the numbers of a chosen few are of."""
    found = stored.read(AttributionSummary)
    n = count(stored.n if found.n is None else found.n, "prompt")
    return f" ({n} that did not choose them)" if found.held_out else f" ({n})"


def _parts(stored: StoredSection) -> str:
    """What all heads and all MLPs add to the difference, in logits: as shares, parts that cancel would say nothing."""
    found = stored.read(AttributionSummary)
    parts = found.parts or {
        kind: sum(row["direct"] for row in stored.tables["attribution_nodes"] if row["kind"] == kind)
        for kind in ("head", "mlp", "input", "biases")
    }
    return (
        f"The answer is {decimal(found.difference)} logits above {found.against} ({count(stored.n, 'prompt')}): "
        f"heads write {signed(parts['head'])} of these themselves, MLPs {signed(parts['mlp'])}, input and biases "
        f"{signed(parts['input'] + parts['biases'])}."
    )


def listed(rows: Sequence[NamedEffect]) -> str:
    """`a23.h4 (2.31, 95% 2.10 to 2.52)` and so on."""
    return ", ".join(f"{row.name} ({decimal(row.direct)}{interval(row.low, row.high)})" for row in rows)


def interval(low: float | None, high: float | None) -> str:
    """An interval after a number, or nothing where there is none."""
    between = interval_text((low, high))
    return between and f", 95% {between}"


def exhibits(stored: StoredSection) -> list[Exhibit]:
    """The map and the strongest."""
    return [
        Exhibit(
            "attribution",
            _chart(stored),
            "Left: one square for each head and MLP. Blue writes towards the answer, orange away from it. Right: the "
            "strongest of them with their 95% intervals over prompts. A component that is pale here may still matter, "
            "by what it passes on to later ones.",
        )
    ]


def _chart(stored: StoredSection) -> Any:
    nodes = [row for row in stored.tables["attribution_nodes"] if row["kind"] in ("head", "mlp")]
    heads = int(stored.run.manifest["model"]["heads"])
    columns = [*(f"h{head}" for head in range(heads)), "MLP"]
    rows: list[Row] = [
        {**row, "column": "MLP" if row["kind"] == "mlp" else row["node"].partition(".")[2]} for row in nodes
    ]
    summed: dict[tuple[int, str], Row] = {}
    for row in rows:  # an MLP split into its parts is one square
        seen = summed.setdefault((row["layer"], row["column"]), {**row, "direct": 0.0})
        seen["direct"] += row["direct"]
    most = max((abs(row["direct"]) for row in summed.values()), default=0.0) or 1.0
    legend = alt.Legend(title="logits", gradientLength=160, tickCount=5, orient="bottom", format=".2~f")
    colour = alt.Color("direct:Q", scale=diverging(most), legend=legend)
    layers = int(stored.run.manifest["model"]["layers"])
    plain: dict[str, Any] = {"domain": False, "ticks": False, "labelOverlap": True}
    x = alt.X(
        "column:N", scale=alt.Scale(domain=columns), axis=alt.Axis(title=None, labelAngle=0, orient="top", **plain)
    )
    y = alt.Y("layer:O", scale=alt.Scale(domain=list(range(layers - 1, -1, -1))), axis=alt.Axis(title="layer", **plain))
    tooltip = [
        alt.Tooltip("node:N"),
        alt.Tooltip("direct:Q", title="logits", format=".3f"),
        alt.Tooltip("direct_low:Q", title="95% from", format=".3f"),
        alt.Tooltip("direct_high:Q", title="to", format=".3f"),
        alt.Tooltip("in_circuit:N", title="in the circuit"),
    ]
    left = squares(summed.values(), x, y, colour, tooltip).properties(
        width=max(180, min(360, 26 * len(columns))),
        height=max(160, min(460, 14 * layers)),
        title=heading("all heads and MLPs"),
    )
    top: list[Row] = [{**row, "name": row["node"] + (" ●" if row["in_circuit"] else "")} for row in nodes[:_BARS]]
    order = [row["name"] for row in top]
    name = alt.Y(
        "name:N", sort=order, axis=alt.Axis(title=None, labelColor=INK, labelFontSize=12, domain=False, ticks=False)
    )
    base = of_rows(top)
    value = alt.X("direct:Q", axis=alt.Axis(title="direct effect on answer − distractor (logits)", tickCount=5))
    bars = base.mark_bar().encode(
        value,
        name,
        color=alt.when("datum.direct > 0").then(alt.value(BLUE)).otherwise(alt.value(ORANGE)),
        tooltip=tooltip,
    )
    marks: list[alt.Chart] = [bars]
    if stored.n > 1:
        marks.append(base.mark_rule(color=INK, strokeWidth=1.2).encode(alt.X("direct_low:Q"), name, x2="direct_high:Q"))
    zero = of_rows([{"zero": 0}]).mark_rule(color=SOFT, strokeWidth=1).encode(alt.X("zero:Q"))
    right = alt.layer(*marks, zero).properties(width=300, height=alt.Step(21), title=heading("the strongest"))
    picture = alt.hconcat(left, right, spacing=40)
    subtitle = [
        f"What each component itself adds to the logit of the answer, less {stored.read(AttributionSummary).against},",
        f"through the final norm at its frozen scale; mean of {count(stored.n, 'prompt')}. ●: in the circuit.",
    ]
    return finished(picture, "Who writes the answer", subtitle, " ".join(claim.text for claim in claims(stored)))


PART = Part("Who writes the answer", claims, exhibits)
