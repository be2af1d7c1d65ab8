"""What an edit did to the circuit: both objects' ranks by layer, edges kept, gone and new, writers and neighbours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from wheatstone._intervals import interval_text
from wheatstone.figures._layer_axis import layers_x
from wheatstone.figures._page import PagePart, PagePicture, PageTable
from wheatstone.figures._report import Picture
from wheatstone.figures._theme import BLUE, GREY, ORANGE, finished, heading, of_rows
from wheatstone.figures._words import decimal, percent, quoted
from wheatstone.runs import Row

_STATES = ("kept", "gone", "new")
_COLOURS = (GREY, ORANGE, BLUE)
_EDGES = 25
_CAPTION = (
    "Left: where the old object and the new one rank after every layer at the last token, read as if it were the last "
    "layer; dashed before the edit. Right: what the circuit before and the circuit after share. As both are found "
    "under one setting, what differs is the edit and the answer's word."
)


def comparison_chart(lens: Sequence[Row], summary: Mapping[str, Any]) -> Any:
    """Ranks by layer beside counts of edges and nodes.

    Args:
        lens: of `edit_lens.parquet`.
        summary: of the comparison.
    """
    last = [row for row in lens if row["site"] == "last"]
    layers = max(row["layer"] for row in last)
    worst = max(row["rank"] for row in last)
    rank = (
        of_rows(last)
        .mark_line(strokeWidth=2)
        .encode(
            layers_x(layers),
            alt.Y(
                "rank:Q",
                scale=alt.Scale(type="log", domain=[1, worst * 1.3], reverse=True, nice=False),
                axis=alt.Axis(title="rank (1 = first choice)", format=",d", tickCount=5),
            ),
            color=alt.Color(
                "object:N",
                scale=alt.Scale(domain=["old", "new"], range=[ORANGE, BLUE]),
                legend=alt.Legend(title="object", orient="bottom"),
            ),
            strokeDash=alt.StrokeDash(
                "state:N",
                scale=alt.Scale(domain=["before", "after"], range=[[5, 4], [1, 0]]),
                legend=alt.Legend(title="edit", orient="bottom"),
            ),
            tooltip=["object:N", "state:N", "layer:Q", alt.Tooltip("rank:Q", format=",")],
        )
        .properties(width=440, height=260, title=heading("Rank at the last token"))
    )
    counts = _compared(summary["circuit"]) or {}
    bars: list[Row] = [
        {"of": of, "state": state, "count": counts[of][state]}
        for of in ("edges", "nodes")
        if counts
        for state in _STATES
    ]
    x = alt.X("state:N", sort=list(_STATES), axis=alt.Axis(title=None, labelAngle=0))
    y = alt.Y("count:Q", axis=alt.Axis(title=None, tickMinStep=1))
    colour = alt.Color("state:N", scale=alt.Scale(domain=list(_STATES), range=list(_COLOURS)), legend=None)
    panels = [
        alt.layer(
            of_rows([row for row in bars if row["of"] == of]).mark_bar().encode(x, y, colour),
            of_rows([row for row in bars if row["of"] == of])
            .mark_text(dy=-7, fontSize=11)
            .encode(x, y, text=alt.Text("count:Q", format=",")),
        ).properties(width=120, height=260, title=heading(f"{of.capitalize()} of the circuit"))
        for of in ("edges", "nodes")
        if counts
    ]
    title = f"From {quoted(summary['old'])} to {quoted(summary['new'])}"
    subtitle = [f"One prompt beside {quoted(summary['counterfactual'])}; {summary['setting']}."]
    return finished(
        alt.hconcat(rank, *panels, spacing=32).resolve_scale(color="independent"),
        title,
        subtitle,
        " ".join(comparison_words(summary)),
    )


def comparison_words(summary: Mapping[str, Any]) -> list[str]:
    """What the comparison found, in sentences.

    Args:
        summary: of the comparison.
    """
    circuit, writers, leak = summary["circuit"], summary["writers"], summary["leak"]
    said = [
        _circuits(summary) if circuit else f"The circuits could not be compared: {summary['circuit_refused']}.",
        f"The edit adds {decimal(writers['direct_logit']['gain'])} to {quoted(summary['new'])}'s direct logit: "
        + "; ".join(f"{group} {decimal(value)}" for group, value in writers["gain"].items())
        + ". Over the old object's: "
        + "; ".join(f"{group} {decimal(value)}" for group, value in writers["gain_over_old"].items())
        + ".",
        f"Of the {writers['movers']} heads that write most of the new object, {writers['movers_kept']} are those that "
        f"wrote most of the old one (chance: {decimal(writers['movers_kept_by_chance'], 1)}). Most of "
        "the new one write "
        + ", ".join(f"{head['name']} {decimal(head['new_after'])}" for head in writers["heads"])
        + ", chosen and measured on this one prompt.",
    ]
    if leak["n"]:
        found = [
            f"{decimal(one['rank_correlation'])} ({_between(one)}) by the key at the {where}"
            for where, one in (("subject", leak["at_subject"]), ("last token", leak["at_last"]))
            if one
        ]
        agreement = f" Rank correlation of predicted and measured leak: {', '.join(found)}." if found else ""
        said.append(f"{leak['changed']} of {leak['n']} neighbours say something else.{agreement}")
    return said


def _compared(circuit: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """The counts of both circuits' edges; None where there are no circuits, or one of them does not hold."""
    return circuit if circuit and circuit.get("edges") else None


def _circuits(summary: Mapping[str, Any]) -> str:
    circuit = summary["circuit"]
    reached = circuit["faithfulness"]
    held = circuit.get("held")
    kept = f"Faithfulness {decimal(reached['before'])} before, {decimal(reached['after'])} after."
    about = f"Circuit ({summary['setting']}; against {quoted(summary['distractor'])})"
    if held:
        about = f"Circuits of {circuit['task']} ({summary['setting']})" if circuit["task"] else about
        kept = f"They keep {_held(held['before'])} before and {_held(held['after'])} after the edit, {_where(held)}."
    if not _compared(circuit):
        wrong = " and ".join(
            f"{state} the edit" for state in ("before", "after") if held is not None and not held[state]["holds"]
        )
        return f"{about}: the circuit {wrong} does not hold, so that edges are not compared. {kept}"
    edges, nodes = circuit["edges"], circuit["nodes"]
    again = circuit.get("kept_by_another_seed")
    beside = "" if again is None else f"; another seed keeps {again}"
    return (
        f"{about}: {edges['kept']} edges kept, {edges['gone']} gone, {edges['new']} new (chance keeps "
        f"{decimal(circuit['kept_by_chance'], 1)}{beside}); nodes {nodes['kept']}, {nodes['gone']}, {nodes['new']}. "
        f"{kept}"
    )


def _held(held: Mapping[str, Any]) -> str:
    gain = "" if held["gain_kept"] is None else f" and {decimal(held['gain_kept'])} of the gain in Hit@10"
    return f"{decimal(held['faithfulness'])} of the metric{gain}"


def _where(held: Mapping[str, Any]) -> str:
    prompts = [held[state]["n"] for state in ("before", "after")]
    if not held["before"]["held_out"]:
        return "on the prompt that each was found on"
    return f"on {prompts[0]} prompts that neither has seen"


def comparison_part(
    summary: Mapping[str, Any], edges: Sequence[Row], leak: Sequence[Row], drawn: Picture | None
) -> PagePart:
    """The section of an edit's page.

    Args:
        summary: of the comparison.
        edges: of `edit_edges.parquet`; none where circuits could not be compared.
        leak: of `edit_leak.parquet`.
        drawn: the picture, where it could be drawn.
    """
    numbers = ("score before", "score after")
    changed = PageTable(
        f"The {min(_EDGES, len(edges))} edges of the largest |score|, of {len(edges)}; scores are estimates in units "
        "of the metric.",
        (("from", False), ("to", False), ("", False), *((name, True) for name in numbers)),
        tuple(
            (row["sender"], row["receiver"], row["state"], decimal(row["score_before"]), decimal(row["score_after"]))
            for row in edges[:_EDGES]
        ),
    )
    shares = PageTable(
        "Direct logit of the new object above the mean of all tokens, by who writes it.",
        (("group", False), ("with the edit", True), ("gained", True), ("share of the gain", True)),
        tuple(
            (
                group,
                decimal(summary["writers"]["after"][group]),
                decimal(gain),
                percent(gain / summary["writers"]["direct_logit"]["gain"]),
            )
            for group, gain in summary["writers"]["gain"].items()
        )
        if summary["writers"]["direct_logit"]["gain"]
        else (),
    )
    columns = ("at its subject", "at the last token", "measured")
    neighbours = PageTable(
        "Change of the new object's logit: predicted from the edit at a prompt's own keys along the direct path, and "
        "measured. The edit's own subject first.",
        (("subject", False), *((name, True) for name in columns), ("says before", False), ("after", False)),
        tuple(
            (
                row["subject"],
                *("–" if row[name] is None else decimal(row[name]) for name in ("at_subject", "at_last")),
                decimal(row["measured"]),
                row["before"].strip(),
                row["after"].strip(),
            )
            for row in leak
        ),
    )
    return PagePart(
        "What it did to the circuit",
        tuple(comparison_words(summary)),
        (PagePicture("comparison", drawn, _CAPTION),) if drawn else (),
        (*([changed] if edges else []), shares, neighbours),
    )


def _between(leak: Mapping[str, Any]) -> str:
    """A rank correlation's interval, or why there is none."""
    between = interval_text((leak["low"], leak["high"]))
    return f"95% {between}" if between else f"n = {leak['n']}: too few for an interval"
