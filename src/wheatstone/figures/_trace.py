"""The report of a run of `wheatstone trace`: heat maps, and the two tokens that matter with their intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import altair as alt

from wheatstone._intervals import interval_note, interval_text
from wheatstone.figures._edit_trace import trace_chart
from wheatstone.figures._layer_axis import banded
from wheatstone.figures._page import PagePart, PageTable, captioned, made_of, page_of
from wheatstone.figures._report import Picture
from wheatstone.figures._theme import BLUE, GREY, ORANGE, SOFT, finished, heading, of_rows
from wheatstone.figures._view import Charts, View, itself
from wheatstone.figures._words import count, decimal, own_answer, percent, probability, warnings_of
from wheatstone.runs import Row, Run

_SITES = {"state": "residual stream", "mlp": "MLPs", "attention": "attention"}
_COLOURS = {"state": GREY, "mlp": BLUE, "attention": ORANGE}
_PLACES = {"last subject": "At the subject\u2019s last token", "last": "At the last token"}
_CAPTIONS = {
    "trace": "Dark cells are places where the clean run's state, put back into a run with a blurred subject, brings "
    "the answer back. Windows whose middle is a low layer hold layer 0, whose MLP sees little but the token: they "
    "restore the token itself.",
    "trace-lines": "The same at the subject's last token and at the prompt's. Bands: 95% intervals over prompts, none "
    "for fewer than 4. Left of the rule a window holds layer 0.",
}


def _charts(run: Run) -> Charts:
    summary, rows = run.result, run.rows("tracing")
    name = summary["task"]["name"]
    return {
        "trace": partial(trace_chart, rows, f"Where {name} is recalled"),
        "trace-lines": partial(trace_lines_chart, rows, name, summary),
    }


def _page(run: Run, drawn: Mapping[str, Picture], missing: Mapping[str, str]) -> str:
    summary, manifest = run.result, run.manifest
    columns = (("prompt", False), ("subject", False), ("answer", False), ("clean", True), ("blurred", True))
    table = PageTable(
        "Every prompt, with the probability of the model's own answer, clean and with the subject blurred.",
        columns,
        tuple(
            (
                *(str(row[field]) for field in ("prompt", "subject", "answer")),
                *(probability(row[field]) for field in ("clean", "blurred")),
            )
            for row in run.rows("prompts")
        ),
    )
    parts = [
        PagePart("Where the answer is brought back", pictures=tuple(captioned(drawn, _CAPTIONS).values())),
        PagePart("What was asked", tuple(manifest["notes"]), tables=(table,)),
    ]
    settings = summary["settings"]
    details = {
        "noise": f"{settings['noise']:g}\u03c3, {count(settings['draws'], 'draw')}, seed {settings['seed']}",
        "window": count(settings["window"], "layer"),
    }
    title = f"Causal tracing of {summary['task']['name']}"
    lead = [*own_answer(summary), *trace_words(summary)]
    return page_of("trace", title, lead, parts, made_of(manifest, details), warnings_of(summary))


def trace_words(summary: Row) -> list[str]:
    """What a trace found, in sentences.

    Args:
        summary: of `summary.json`.
    """
    clean, blurred = summary["clean"], summary["blurred"]
    said = [
        f"Over {count(summary['n'], 'prompt')} the model's answer has probability {probability(clean['probability'])}"
        f"{_interval(*clean['ci95'])}, and {probability(blurred['probability'])}{_interval(*blurred['ci95'])} with the "
        "subject blurred.",
        f"Largest gains in probability when one place is restored{_chosen(summary)}: "
        + "; ".join(
            f"{_SITES[site]} at the token \u201c{row['role']}\u201d, layer {row['layer']}, {decimal(row['effect'])}"
            f"{_interval(row['low'], row['high'])}, n = {row['n']}"
            for site, row in summary["most"].items()
        )
        + ".",
    ]
    if summary["layer_to_edit"] is not None:
        said.append(
            f"Among MLP windows at the subject's last token without layer 0 (from layer "
            f"{summary['first_window_above_layer_0']} on), the one around layer {summary['layer_to_edit']} brings back "
            "the most: an edit would be written there."
        )
    return said


def _chosen(summary: Row) -> str:
    """On which prompts the places of the largest effects were chosen and measured."""
    about = summary.get("most_on") or {"n": summary["n"], "held_out": False}
    if about["held_out"]:
        return f" (chosen on {about['chosen_on']} prompts, measured on {about['n']} others)"
    same = "this one prompt" if about["n"] == 1 else f"these {about['n']} prompts"
    return f" (chosen and measured on {same})"


def trace_lines_chart(rows: Sequence[Row], name: str, summary: Row) -> Any:
    """Effects by layer at the subject's last token and at the prompt's, with intervals.

    Args:
        rows: of `tracing.parquet`.
        name: what was traced.
        summary: with `first_window_above_layer_0` and, as `settings`, the `window`.
    """
    drawn = [
        {
            "site": _SITES[row["site"]],
            "role": row["role"],
            "layer": row["layer"],
            "after": f"layer {row['layer']}",
            "effect": row["effect"],
            "effect_low": row["low"],
            "effect_high": row["high"],
            "n": row["n"],
        }
        for row in rows
        if row["role"] in _PLACES
    ]
    top = max([0.01, *(row["effect_high"] or row["effect"] for row in drawn)])
    bottom = min([0.0, *(row["effect"] if row["effect_low"] is None else row["effect_low"] for row in drawn)])
    there = [site for site in _SITES if any(row["site"] == _SITES[site] for row in drawn)]
    colour = alt.Color(
        "site:N",
        scale=alt.Scale(domain=[_SITES[site] for site in there], range=[_COLOURS[site] for site in there]),
        legend=alt.Legend(
            title="restored",
            orient="bottom",
            symbolType="stroke",
            symbolStrokeWidth=3,
            symbolSize=400,
            symbolOpacity=1,
        ),
    )
    layers, window = max(row["layer"] for row in rows), summary["settings"]["window"]
    x = alt.X(
        "layer:Q",
        scale=alt.Scale(domain=[0, layers], nice=False),
        axis=alt.Axis(title="layer, or middle of the window", tickMinStep=1, grid=False),
    )
    scale = alt.Scale(domain=[bottom, top], nice=True)
    axis = {"title": "gain in the answer\u2019s probability", "format": ".2~f", "tickCount": 5}
    first = of_rows([{"layer": summary["first_window_above_layer_0"]}])
    rule = first.mark_rule(color=SOFT, strokeDash=[3, 3]).encode(x)
    panels: list[Any] = []
    for role, title in _PLACES.items():
        here = [row for row in drawn if row["role"] == role]
        if here:
            chart = alt.layer(rule, *banded(here, x, "effect", axis, scale, colour, "effect"))
            panels.append(chart.properties(width=360, height=220, title=heading(f"{title} (n = {here[0]['n']})")))
    subtitle = [
        f"Put back in a run with a blurred subject. MLPs and attention: of {count(window, 'layer')} together.",
        f"{interval_note(summary['n'], 'bands')}. Dashed: from here on a window leaves layer 0 out.",
    ]
    return finished(alt.hconcat(*panels, spacing=44), f"What brings {name} back", subtitle, _described(drawn))


def _described(drawn: Sequence[Row]) -> str:
    said: list[str] = []
    for role, title in _PLACES.items():
        for site in _SITES.values():
            if here := [row for row in drawn if (row["role"], row["site"]) == (role, site)]:
                best = max(here, key=lambda row: row["effect"])
                said.append(f"{title}, {site}: most in layer {best['layer']} ({percent(best['effect'])})")
    return f"Causal tracing by layer. {'; '.join(said)}."


def _interval(low: float | None, high: float | None) -> str:
    between = interval_text((low, high))
    return between and f" [{between}]"


VIEW = View(itself, _charts, _page)
