"""How the answer forms: its rank and probability after every layer, beside the distractor's."""

from __future__ import annotations

import math
from collections import defaultdict
from statistics import mean, median

import altair as alt

from wheatstone.figures._load import RunData
from wheatstone.figures._theme import BLUE, INK, ORANGE, SOFT, finished, heading, of_rows
from wheatstone.figures._words import count, quoted, visible
from wheatstone.runs import Row

_WIDTH, _HEIGHT = 330, 190
_RUNS = {"model": "whole model", "circuit": "circuit alone"}


def chart(run: RunData) -> alt.VConcatChart:
    """Draws rank and probability by layer at the last token and at the subject's last token.

    When this misleads: the logit lens reads a middle layer as if it were the last one. A token that ranks low
    there may already be present in a form that only later layers read.
    """
    rows = summarised(run)
    words = _words(run)
    for row in rows:
        row["what"], row["through"] = words[row["kind"]], _RUNS.get(row["run"], row["run"])
    panels = [alt.hconcat(_rank(run, rows, site), _probability(run, rows, site), spacing=56) for site in _sites(run)]
    picture = alt.vconcat(*panels, spacing=30).resolve_scale(color="shared", strokeDash="shared", opacity="shared")
    return finished(picture, _title(run), _subtitle(run), describe(run))


def summarised(run: RunData) -> list[Row]:
    """The lens over all prompts: median rank and mean probability at each run, site, layer and kind."""
    groups: dict[tuple[str, str, int, str], list[Row]] = defaultdict(list)
    for row in run.lens:
        groups[row["run"], row["site"], row["layer"], row["kind"]].append(row)
    return [
        {
            "run": through,
            "site": site,
            "layer": layer,
            "kind": kind,
            "rank": max(1.0, float(median(row["rank"] for row in group))),
            "probability": mean(row["probability"] for row in group),
        }
        for (through, site, layer, kind), group in sorted(groups.items())
    ]


def first_from(rows: list[Row], *, through: str = "model", site: str = "last") -> int | None:
    """The layer from which on the answer stays first, or None where it does not end up first."""
    ranks = {
        row["layer"]: row["rank"] for row in rows if (row["run"], row["site"], row["kind"]) == (through, site, "answer")
    }
    first = None
    for layer in sorted(ranks, reverse=True):
        if ranks[layer] > 1:
            break
        first = layer
    return first


def describe(run: RunData) -> str:
    """The picture in words."""
    rows = summarised(run)
    said: list[str] = []
    for through, name in _RUNS.items():
        layer = first_from(rows, through=through)
        said.append(f"In the {name} it {_becomes(layer, run)} at the last token.")
    return f"Rank and probability of the answer and the distractor after every layer. {' '.join(said)}"


def _becomes(layer: int | None, run: RunData) -> str:
    if layer is None:
        return "does not become the first choice"
    return "is the first choice from the start" if layer == 0 else f"becomes the first choice after layer {layer - 1}"


def _title(run: RunData) -> str:
    prompts = run.manifest["prompts"]
    name = quoted(prompts[0]["answers"][0], 20) if len(prompts) == 1 else "The answer"
    return f"{name} {_becomes(first_from(summarised(run)), run)}"


def _subtitle(run: RunData) -> list[str]:
    prompts = run.manifest["prompts"]
    middle = "" if len(prompts) == 1 else f" Median rank and mean probability of {count(len(prompts), 'prompt')}."
    return [
        "Each layer's residual stream, read as if it were the last (logit lens, through the final norm).",
        f"Solid: the whole model. Dashed: the circuit alone.{middle}",
    ]


def _words(run: RunData) -> dict[str, str]:
    prompts = run.manifest["prompts"]
    if len(prompts) > 1:
        return {"answer": "answer", "distractor": "distractor"}
    found = {row["kind"]: quoted(row["token"], 24) for row in run.lens}
    return {kind: f"{kind} {token}" for kind, token in found.items()}


def _sites(run: RunData) -> list[str]:
    present = {row["site"] for row in run.lens}
    return [site for site in ("last", "subject") if site in present]


def _where(run: RunData, site: str) -> str:
    prompts = run.manifest["prompts"]
    name = "last token" if site == "last" else "subject's last token"
    if len(prompts) > 1:
        return f"at the {name}"
    position = prompts[0]["last" if site == "last" else "subject_last"]
    return f"at the {name}, {quoted(visible(prompts[0]['tokens'][position]))}"


def _panel(
    run: RunData, rows: list[Row], site: str, y: alt.Y, title: str, label_y: float
) -> alt.LayerChart | alt.FacetChart:
    words = _words(run)
    layers = max((row["layer"] for row in rows), default=1)
    here = [row for row in rows if row["site"] == site]
    x = alt.X(
        "layer:Q",
        scale=alt.Scale(domain=[0, layers], nice=False),
        axis=alt.Axis(title="layers done", tickMinStep=1, grid=False),
    )
    colour = alt.Color(
        "what:N",
        scale=alt.Scale(domain=list(words.values()), range=[BLUE if k == "answer" else ORANGE for k in words]),
        legend=alt.Legend(title=None, orient="bottom", symbolType="stroke", symbolStrokeWidth=3, symbolSize=500),
    )
    names = list(_RUNS.values())
    dash = alt.StrokeDash(
        "through:N",
        scale=alt.Scale(domain=names, range=[[1, 0], [5, 4]]),
        legend=alt.Legend(title=None, orient="bottom", symbolType="stroke", symbolSize=500, symbolStrokeColor=INK),
    )
    tooltip = [
        alt.Tooltip("what:N", title="token"),
        alt.Tooltip("through:N", title="run"),
        alt.Tooltip("layer:Q", title="layers done"),
        alt.Tooltip("rank:Q", format=",.0f"),
        alt.Tooltip("probability:Q", format=".3f"),
    ]
    base = of_rows(here)
    line = base.mark_line(strokeWidth=2).encode(x, y, color=colour, strokeDash=dash)
    dots = base.mark_point(filled=True, size=60, opacity=0).encode(x, y, tooltip=tooltip)
    parts: list[alt.Chart] = [line, dots]
    first = first_from(rows, site=site)
    if first is not None:
        mark = of_rows([{"layer": first}])
        parts.insert(0, mark.mark_rule(color=SOFT, strokeWidth=1).encode(x))
        near_end = first > layers * 0.6
        parts.append(
            mark.mark_text(
                text="first from the start" if first == 0 else f"first after layer {first - 1}",
                align="right" if near_end else "left",
                dx=-5 if near_end else 5,
                color=SOFT,
                fontSize=11,
            ).encode(x, y=alt.value(label_y))
        )
    return alt.layer(*parts).properties(width=_WIDTH, height=_HEIGHT, title=heading(title))


def _rank(run: RunData, rows: list[Row], site: str) -> alt.LayerChart | alt.FacetChart:
    lowest = max((row["rank"] for row in rows), default=10.0)
    ticks = [10**power for power in range(len(str(int(lowest))) + 1) if 10**power <= lowest * 1.5]
    y = alt.Y(
        "rank:Q",
        scale=alt.Scale(type="log", domain=[1, max(10.0, lowest * 1.3)], reverse=True, nice=False),
        axis=alt.Axis(title="rank (1 = first choice)", values=ticks, format=",d"),
    )
    return _panel(run, rows, site, y, f"Rank {_where(run, site)}", _HEIGHT - 10)


def _probability(run: RunData, rows: list[Row], site: str) -> alt.LayerChart | alt.FacetChart:
    highest = max((row["probability"] for row in rows), default=1.0)
    y = alt.Y(
        "probability:Q",
        scale=alt.Scale(domain=[0, max(1, math.ceil(highest * 10)) / 10], nice=False),
        axis=alt.Axis(title="probability", format=".0%", tickCount=5),
    )
    return _panel(run, rows, site, y, f"Probability {_where(run, site)}", 10)
