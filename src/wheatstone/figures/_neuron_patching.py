"""A screen of neurons in pictures: where the answer comes back, which neurons bring it, and what their doses do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt

from wheatstone._path import StrPath
from wheatstone._view import Brief
from wheatstone.figures._theme import (
    BLUE,
    INK,
    ORANGE,
    SOFT,
    diverging,
    finished,
    halo,
    heading,
    labelled,
    of_rows,
    squares,
)
from wheatstone.figures._words import clipped, count, percent, quoted, visible
from wheatstone.runs import Row, Run

_SITES = {"residual": "residual stream, before the layer", "attention": "attention output", "mlp": "MLP output"}
_LABELLED, _BARS, _DOSED = 6, 16, 3


@dataclass(frozen=True, eq=False)
class ScreenData(Brief):
    """A run of `neuron screen`, read for drawing.

    Args:
        manifest: `manifest.json`.
        summary: `screen.json`.
        confirmed: rows of `confirmed.parquet`, largest |exact| first.
        recovery: rows of `recovery.parquet`.
        doses: rows of `doses.parquet`.
    """

    manifest: Mapping[str, Any]
    summary: Mapping[str, Any]
    confirmed: Sequence[Row]
    recovery: Sequence[Row]
    doses: Sequence[Row]

    @classmethod
    def load(cls, run: StrPath) -> ScreenData:
        """Reads a run folder.

        Raises:
            RunError: there is no run of `neuron screen`, or a file of it is missing or damaged.
        """
        return cls.of_run(Run.open(run, "neuron"))

    @classmethod
    def of_run(cls, run: Run) -> ScreenData:
        """Likewise, of an open run."""
        return cls(run.manifest, run.result, *map(run.rows, ("confirmed", "recovery", "doses")))

    @property
    def prompts(self) -> Sequence[Mapping[str, Any]]:
        """The prompt pairs."""
        return self.manifest["prompts"]

    @property
    def what(self) -> str:
        """What the metric compares."""
        answer, wrong = self.prompts[0]["answers"][0], self.prompts[0]["distractors"]
        if len(self.prompts) > 1:
            return f"{count(len(self.prompts), 'prompt')} of {self.manifest['settings']['task'] or 'a file'}"
        return f"{quoted(answer)} against {quoted(wrong[0])}" if wrong else quoted(answer)

    @property
    def patched(self) -> str:
        """What was put where."""
        if self.manifest["settings"]["direction"] == "denoising":
            return "What the clean prompt has is patched into the counterfactual's run"
        return "What the counterfactual has is patched into the clean prompt's run"


def recovery(run: ScreenData) -> Any:
    """Heat maps of recovery by layer and position.

    When this misleads: all that comes before a place in the computation is in it: an early residual stream recovers
    everything at the token that differs.
    """
    mapped = run.summary["mapped_prompts"]
    rows = [row for row in run.recovery if row["position"] is not None]
    first = min((row["position"] for row in rows if abs(row["recovery"]) > 1e-9), default=-1)
    rows = [{**row, "at": row["position"]} for row in rows if row["position"] >= first]
    most = max(1.0, max(abs(row["recovery"]) for row in rows))
    labels = {position: _token(run, position) for position in range(first, 0)}
    maps = [_map([row for row in rows if row["site"] == site], title, labels, most) for site, title in _SITES.items()]
    subtitle = [
        f"{run.patched}, one place at a time; share of the difference",
        "in the metric that comes with it (1: all of it; negative: away from it). "
        + (f"Mean of {count(mapped, 'prompt')}, counted from the end." if mapped > 1 else "One prompt."),
    ]
    picture = alt.hconcat(*maps, spacing=28)
    return finished(picture, f"Where {run.what} comes back", subtitle, describe_recovery(run))


def neurons(run: ScreenData) -> Any:
    """The strongest neurons by exact effect, and how well the screen predicted it.

    When this misleads: only neurons with a large estimate were run, so a neuron that the slope misses is not here.
    """
    rows = [dict(row) for row in run.confirmed]
    bars = [{**row, "kind": "for the answer" if row["exact"] > 0 else "against it"} for row in rows[:_BARS]]
    colour = alt.Color(
        "kind:N",
        scale=alt.Scale(domain=["for the answer", "against it"], range=[BLUE, ORANGE]),
        legend=alt.Legend(title=None, orient="bottom"),
    )
    tooltip = [
        alt.Tooltip("neuron:N"),
        alt.Tooltip("exact:Q", format=".3f"),
        alt.Tooltip("estimate:Q", format=".3f"),
        alt.Tooltip("exact_last:Q", title="last position alone", format=".3f"),
        alt.Tooltip("share_of_mlp:Q", title="share of its MLP", format=".0%"),
    ]
    y = alt.Y("neuron:N", sort=[row["neuron"] for row in bars], axis=alt.Axis(title=None, labelColor=INK, ticks=False))
    base = of_rows(bars)
    left = [
        base.mark_bar(height=11).encode(alt.X("exact:Q", title="exact patch effect"), y, color=colour, tooltip=tooltip)
    ]
    if any(row["low"] is not None for row in bars):
        left.append(base.mark_rule(color=INK, opacity=0.6).encode(alt.X("low:Q"), y, x2="high:Q"))
    ends = [min(0, *(row["estimate"] for row in rows), *(row["exact"] for row in rows)), 0.01]
    ends[1] = max(ends[1], *(row["estimate"] for row in rows), *(row["exact"] for row in rows))
    scale = alt.Scale(domain=ends, nice=True)
    x, up = alt.X("estimate:Q", title="estimate (screen)", scale=scale), alt.Y("exact:Q", title="exact", scale=scale)
    diagonal = of_rows([{"estimate": end, "exact": end} for end in ends]).mark_line(color=SOFT, strokeDash=[4, 4])
    dots = of_rows(rows).mark_circle(size=34, color=INK, opacity=0.65).encode(x, up, tooltip=tooltip)
    named = of_rows(_apart(rows[:_LABELLED], (ends[1] - ends[0]) / 20))
    mark: dict[str, Any] = {"dx": -7, "align": "right", "fontSize": 10.5}
    names = [
        named.mark_text(**halo(**mark)).encode(x, up, text="neuron:N"),
        named.mark_text(**mark, color=INK).encode(x, up, text="neuron:N"),
    ]
    right = alt.layer(diagonal.encode(x, up), dots, *names).properties(width=300, height=260)
    picture = alt.hconcat(alt.layer(*left).properties(width=330, height=alt.Step(17)), right, spacing=46)
    correlation = run.summary["rank_correlation"]
    agreement = "" if correlation is None else f" Rank correlation of estimate and exact: {correlation:.2f}."
    subtitle = [
        f"{run.patched}, one neuron at a time, all positions.",
        f"{run.summary['neurons']:,} neurons screened by gradient, the {len(rows)} strongest run exactly.{agreement}",
    ]
    return finished(picture, f"Neurons that carry {run.what}", subtitle, describe_neurons(run))


def dose_chart(doses: Sequence[Row], names: Sequence[str], answer: str, distractor: str | None) -> list[Any]:
    """A panel for each neuron: probabilities of answer and distractor as it is set to values at the last position."""
    tokens = {"answer": quoted(answer, 16)} | ({"distractor": quoted(distractor, 16)} if distractor else {})
    kinds = {"clean": "clean prompt", "counterfactual": "counterfactual"}
    colour = alt.Color(
        "token:N",
        scale=alt.Scale(domain=list(tokens.values()), range=[BLUE, ORANGE][: len(tokens)]),
        legend=alt.Legend(title=None, orient="bottom", symbolType="stroke", symbolStrokeWidth=3),
    )
    dash = alt.StrokeDash(
        "run:N",
        scale=alt.Scale(domain=list(kinds.values()), range=[[1, 0], [5, 4]]),
        legend=alt.Legend(title=None, orient="bottom", symbolType="stroke", symbolStrokeColor=INK),
    )
    panels: list[Any] = []
    for name in names:
        rows = [
            {"value": row["value"], "probability": row[kind], "token": word, "run": kinds[row["prompts"]]}
            for row in doses
            if row["neuron"] == name
            for kind, word in tokens.items()
        ]
        own = {row["prompts"]: row["own"] for row in doses if row["neuron"] == name}
        x = alt.X("value:Q", title=f"{name} set to", scale=alt.Scale(nice=False), axis=alt.Axis(grid=False))
        y = alt.Y(
            "probability:Q",
            title="probability",
            scale=alt.Scale(domain=[0, 1]),
            axis=alt.Axis(format=".0%", tickCount=5),
        )
        tooltip = ["token:N", "run:N", alt.Tooltip("value:Q", format=".2f"), alt.Tooltip("probability:Q", format=".3f")]
        line = of_rows(rows).mark_line(strokeWidth=2).encode(x, y, colour, dash)
        dots = of_rows(rows).mark_point(filled=True, size=40, opacity=0).encode(x, y, colour, tooltip=tooltip)
        at = of_rows([{"value": value, "run": kinds[kind]} for kind, value in own.items()])
        marks = at.mark_rule(color=SOFT).encode(x, strokeDash=dash)
        panels.append(alt.layer(marks, line, dots).properties(width=210, height=170))
    return panels


def doses(run: ScreenData) -> Any:
    """What the answer's probability does as the best neurons are set to values.

    When this misleads: values beyond what a neuron has in text ask the model something it never met.
    """
    names = list(dict.fromkeys(row["neuron"] for row in run.doses))[:_DOSED]
    wrong = run.prompts[0]["distractors"]
    known = wrong[0] if wrong and run.doses and run.doses[0]["distractor"] is not None else None
    several = len(run.prompts) > 1
    answer = "answer" if several else run.prompts[0]["answers"][0]
    panels = dose_chart(run.doses, names, answer, "distractor" if several and known else known)
    picture = alt.hconcat(*panels, spacing=26)
    subtitle = [
        "The neuron is set at the last position alone, in the clean prompt (solid) and in the counterfactual (dashed).",
        f"Grey: what its activation is by itself. All points are exact runs ({_dosed_on(run)}).",
    ]
    return finished(picture, "What the prediction does as a neuron is set", subtitle, describe_doses(run))


NEURON_FIGURES: dict[str, Callable[[ScreenData], Any]] = {"recovery": recovery, "neurons": neurons, "doses": doses}
"""Name -> what draws it."""


def describe_recovery(run: ScreenData) -> str:
    """The heat maps in words."""
    said: list[str] = []
    for site, title in _SITES.items():
        rows = [row for row in run.recovery if row["site"] == site and row["position"] is not None]
        best = max(rows, key=lambda row: row["recovery"] * (site != "residual" or row["position"] == -1))
        said.append(
            f"{title}: most at layer {best['layer']}, {_token(run, best['position'])} ({percent(best['recovery'])})"
        )
    return f"Recovery by layer and position. {'; '.join(said)}."


def describe_neurons(run: ScreenData) -> str:
    """The bars in words."""
    said = [f"{row['neuron']} {percent(row['exact'])}" for row in run.confirmed[:5]]
    if not said:
        return "No neuron was run exactly."
    return f"Exact patch effects on {count(len(run.prompts), 'prompt')}, the largest: {', '.join(said)}."


def _dosed_on(run: ScreenData) -> str:
    """How many prompts the neurons were set on."""
    best = run.summary.get("best") or {}
    return count(int(best.get("n", len(run.prompts))), "prompt")


def describe_doses(run: ScreenData) -> str:
    """The lines in words."""
    said: list[str] = []
    for name in list(dict.fromkeys(row["neuron"] for row in run.doses))[:_DOSED]:
        rows = [row for row in run.doses if row["neuron"] == name and row["prompts"] == "counterfactual"]
        low, high = rows[0], rows[-1]
        said.append(
            f"in the counterfactual, {name} set from {low['value']:.1f} to {high['value']:.1f} takes the answer from "
            f"{percent(low['answer'])} to {percent(high['answer'])}"
        )
    return f"Dose and response: {'; '.join(said)}."


def _apart(rows: Sequence[Row], least: float) -> list[Row]:
    """Rows whose labels do not lie on one another."""
    kept: list[Row] = []
    for row in rows:
        if all(abs(row["exact"] - other["exact"]) > least for other in kept):
            kept.append(row)
    return kept


def _token(run: ScreenData, position: int) -> str:
    """A position's name: its tokens where there is one prompt, else how far it is from the end."""
    if run.summary["mapped_prompts"] > 1:
        return "last" if position == -1 else f"{position}".replace("-", "−")
    pair = run.prompts[0]
    ours, theirs = pair["tokens"][position], pair["counterfactual_tokens"][position]
    name = visible(ours) if ours == theirs else f"{visible(ours)} / {visible(theirs)}"
    return clipped(name, 20)


def _map(rows: list[Row], title: str, labels: dict[int, str], most: float) -> Any:
    layers = max(row["layer"] for row in rows) + 1
    names = labelled({str(at): label for at, label in labels.items()})
    x = alt.X(
        "at:O",
        sort=list(labels),
        axis=alt.Axis(title=None, labelExpr=names, labelAngle=-50, labelColor=INK, domain=False, ticks=False),
    )
    y = alt.Y(
        "layer:O",
        sort="descending",
        axis=alt.Axis(title="layer", values=list(range(0, layers, max(1, layers // 10))), domain=False, ticks=False),
    )
    legend = alt.Legend(title="recovery", gradientLength=140, tickCount=5, orient="right", format=".1f")
    colour = alt.Color("recovery:Q", scale=diverging(most), legend=legend)
    heat = squares(rows, x, y, colour, ["layer:Q", "position:Q", alt.Tooltip("recovery:Q", format=".3f")], 0.5)
    width = max(120, 36 * len(labels))
    return alt.layer(heat).properties(width=min(width, 260), height=max(160, 11 * layers), title=heading(title, 12.5))
