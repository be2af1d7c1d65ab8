"""Head roles on the page: each head's three numbers with their nulls, and each role's heads ablated together."""

from __future__ import annotations

from typing import Any

import altair as alt

from wheatstone.figures._explained import Claim, Exhibit, Part, StoredSection
from wheatstone.figures._theme import BLUE, GREY, INK, ORANGE, SOFT, finished, of_rows
from wheatstone.figures._words import count, decimal, percent
from wheatstone.runs import Row

_MOST = 18
"""Heads that are drawn."""
_WRITERS = "relation_writers"
_NUMBERS = {
    "attention": "attention to its place",
    "direct": "direct effect (logits)",
    "ablation": "ablation effect",
}
DOES = {
    "mover": "look at the subject and write the answer",
    "relation": "look at the relation's words and write what such relations end in",
    "mixture": "do both",
    "name mover": "look at the indirect object and write its name",
    "negative name mover": "look at the indirect object and write against its name",
    "S-inhibition": "look at the second mention of the subject and steer the name movers' queries away from it",
    "duplicate-token": "look from a token back at its earlier occurrence",
    "induction": "look from a token at what followed its earlier occurrence",
    "previous-token": "look from a token at the one before it",
}
"""What the heads of each role do, in every section."""


def claims(stored: StoredSection) -> list[Claim]:
    """Which heads have each role, with the numbers; which roles no head has; what ablating them together does."""
    found = stored.summary["roles"]
    said: list[Claim] = []
    for role, rows in found.items():
        if rows:
            heads = ", ".join(_named(row) for row in rows[:4])
            more = f" and {len(rows) - 4} more" if len(rows) > 4 else ""
            text = f"{_title(role)} heads, which {DOES[role]}: {heads}{more} ({_on(stored, rows)})."
            brief = f"{_title(role)} heads, which {DOES[role]}: {', '.join(row['head'] for row in rows[:4])}{more}."
            said.append(Claim(text, "head_roles", role in ("mover", "relation", "name mover", "induction"), brief))
    if none := [role for role, rows in found.items() if not rows]:
        said.append(Claim(f"No head passes all tests for: {', '.join(none)}.", "head_roles"))
    if writers := stored.summary.get("relation_writers"):
        heads = ", ".join(
            f"{row['head']} ({decimal(row['direct'])} logits; {percent(row['attention'])} of its attention on the "
            f"relation's words, {percent(row['first'])} on the first token)"
            for row in writers
        )
        said.append(
            Claim(f"Heads that write what such relations end in without looking at its words: {heads}.", _WRITERS)
        )
    by_role: dict[str, dict[str, Row]] = {}
    for row in stored.summary["ablations"]:
        by_role.setdefault(row["role"], {})[row["ablated"]] = row
    for role, rows in by_role.items():
        before, after, random = (rows.get(name) for name in ("nothing", "its heads", "as many random heads"))
        if before and after:
            others = f"; without as many random heads {_metric(random)}" if random else ""
            text = (
                f"Without its {count(after['heads'], 'head')} of the role {role} the {after['measure']} goes "
                f"from {decimal(before['value'])} to {_metric(after)}{others} ({_on(stored, [after])})."
            )
            left = f"on {percent(after['hit_at_1'])} of {after['n']} prompts instead of {percent(before['hit_at_1'])}"
            brief = f"Without the {role} heads the answer comes first {left}."
            said.append(Claim(text, "role_ablations", stored.n > 1 and after["hit_at_1"] < before["hit_at_1"], brief))
    return said


def _on(stored: StoredSection, rows: list[Any]) -> str:
    """On which prompts numbers were measured."""
    n = count(rows[0]["n"], "prompt")
    if stored.summary.get("held_out"):
        return f"{n} on which no role was chosen"
    return f"{n}, the same on which roles were chosen"


def _title(role: str) -> str:
    return role[0].upper() + role[1:]


def _named(row: Any) -> str:
    numbers = (
        f"attention {percent(row['attention'])}, direct {decimal(row['direct'])}, ablation {decimal(row['ablation'])}"
    )
    again = "" if row.get("confirmed", True) else ", does not pass again"
    return f"{row['head']} ({numbers}{again})"


def _metric(row: Any) -> str:
    low, high = row["value_low"], row["value_high"]
    between = "" if low is None else f" (95% {decimal(low)} to {decimal(high)})"
    return f"{decimal(row['value'])}{between}, answer first on {percent(row['hit_at_1'])}"


def exhibits(stored: StoredSection) -> list[Exhibit]:
    """The numbers, head by head."""
    return [
        Exhibit(
            "roles",
            _chart(stored),
            "One row for each head that looks where a role asks. The point is the mean over prompts, the line its 95% "
            "interval, the grey tick what chance reaches (the 99th percentile of the null). A row is blue if the head "
            "has the role: every number that the role asks for, those with a tick, lay beyond its null on the prompts "
            "that roles were chosen on. The numbers drawn are of other prompts, where there are enough. Roles of "
            "indirect object identification are given by the effect along their path, in the section ioi.",
        )
    ]


def _chart(stored: StoredSection) -> Any:
    rows = stored.tables["head_roles"]
    if not rows:
        nothing = of_rows([{}]).mark_text(
            text="No head looks where a role asks more than chance does.", fontSize=14, color=SOFT
        )
        return finished(alt.layer(nothing).properties(width=500, height=80), "What heads are for", [], "No roles.")
    drawn: list[Row] = [
        {**row, "label": f"{row['head']} · {row['role']}", "state": "has the role" if row["given"] else "does not pass"}
        for row in rows[:_MOST]
    ]
    order = [row["label"] for row in drawn]
    colour = alt.Color(
        "state:N",
        scale=alt.Scale(domain=["has the role", "does not pass"], range=[BLUE, ORANGE]),
        legend=alt.Legend(title=None, orient="bottom"),
    )
    panels = [
        _panel(drawn, order, field, title, colour, first=field == "attention") for field, title in _NUMBERS.items()
    ]
    picture = alt.hconcat(*panels, spacing=22).resolve_scale(color="shared")
    left_out = f" The first {_MOST} of {len(rows)}." if len(rows) > _MOST else ""
    subtitle = [
        f"{_on(stored, [rows[0]])}; ablation in {stored.summary['unit']} of {stored.summary['metric']}, of relation "
        f"heads in nats.{left_out}",
        "Grey tick: the 99th percentile of the null; none where the role does not ask for the number.",
    ]
    return finished(picture, "What heads are for, by three numbers", subtitle, " ".join(c.text for c in claims(stored)))


def _panel(
    rows: list[Row], order: list[str], field: str, title: str, colour: alt.Color, *, first: bool
) -> alt.LayerChart | alt.FacetChart:
    axis = alt.Axis(title=None, domain=False, ticks=False, labelColor=INK, labelFontSize=12, labelLimit=260)
    y = alt.Y("label:N", scale=alt.Scale(domain=order), axis=axis if first else None)
    look = alt.Axis(title=title, tickCount=3, format=".0%" if field == "attention" else ",.2~f")
    tooltip = [
        alt.Tooltip("label:N", title="head"),
        alt.Tooltip(f"{field}:Q", format=".3f"),
        alt.Tooltip(f"{field}_low:Q", title="95% from", format=".3f"),
        alt.Tooltip(f"{field}_high:Q", title="to", format=".3f"),
        alt.Tooltip(f"{field}_null:Q", title="chance reaches", format=".3f"),
    ]
    base = of_rows(rows)
    spans = of_rows([row for row in rows if row[f"{field}_low"] is not None])
    line = spans.mark_rule(strokeWidth=2).encode(alt.X(f"{field}_low:Q", axis=look), y, colour, x2=f"{field}_high:Q")
    dot = base.mark_point(filled=True, size=70, opacity=1).encode(alt.X(f"{field}:Q"), y, colour, tooltip=tooltip)
    known = of_rows([row for row in rows if row[f"{field}_null"] is not None])
    tick = known.mark_tick(color=GREY, thickness=2, size=16).encode(alt.X(f"{field}_null:Q"), y)
    zero = of_rows([{"zero": 0}]).mark_rule(color="#dfe5ec").encode(alt.X("zero:Q"))
    return alt.layer(zero, tick, line, dot).properties(width=200, height=24 * len(order))


PART = Part("What the heads are for", claims, exhibits)
