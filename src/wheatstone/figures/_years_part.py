"""Greater-than on the page: the matrix of years, the MLPs and neurons behind it, the circuit on other forms."""

from __future__ import annotations

from typing import Any

import altair as alt

from wheatstone._intervals import interval_note
from wheatstone.figures._dots import dot, dots, span
from wheatstone.figures._explained import Claim, Exhibit, Part, StoredSection
from wheatstone.figures._theme import BLUE, GREY, finished, of_rows
from wheatstone.figures._words import METRICS, count, decimal, meaningful, percent, signed
from wheatstone.mechanisms import Kept, YearsSummary
from wheatstone.runs import Row

_MLPS = 6


def claims(stored: StoredSection) -> list[Claim]:
    """How surely later years are predicted, how sharply, what carries it, and whether the circuit carries over."""
    found = stored.read(YearsSummary)
    sums, mlp = found.sums, found.mlp
    text = (
        f"After a span that begins in the year YY, {percent(sums.later)} of the probability is on later years, both "
        f"digits read ({count(sums.n, 'prompt')}); that of later years less that of the others is "
        f"{decimal(sums.difference)}{span(sums, 'difference', decimal)}."
    )
    if found.metric_value is not None:
        name = METRICS.get(found.metric, found.metric)
        text += (
            f" The run's metric is another number: the {name} of the first token alone, "
            f"{decimal(found.metric_value)} on {count(found.n, 'prompt')}."
        )
    brief = (
        f"After a span that begins in a year, {percent(sums.later)} of the probability is on later years "
        f"({count(sums.n, 'prompt')})."
    )
    said = [
        Claim(text, "greater_than_years", True, brief),
        Claim(
            f"The cutoff is sharp by {decimal(sums.sharpness)}{span(sums, 'sharpness', decimal)}: the year after "
            f"the start is that much likelier than the year before it ({count(sums.n, 'prompt')}).",
            "greater_than_years",
        ),
        Claim(
            f"Of the MLPs, {mlp.mlp} does most straight to the logits: {signed(mlp.effect, 3)}"
            f"{span(mlp, 'effect', decimal)} of the metric{_share(mlp.share)} ({count(mlp.n, 'prompt')}).",
            "mlps_to_logits",
            True,
        ),
        Claim(_kept(found.kept), "neurons_of_mlp"),
    ]
    forms = [row for row in stored.tables["greater_than_forms"] if row["faithfulness"] is not None]
    if forms:
        listed = "; ".join(
            f"“{row['form']}” {percent(row['faithfulness'])}{span(row, 'faithfulness', percent)}" for row in forms
        )
        said.append(Claim(f"The run's circuit keeps, of what the model does on each form: {listed}.", _FORMS))
    return said


_FORMS = "greater_than_forms"


def _share(share: float) -> str:
    return f", {percent(share)} of its difference between prompt and counterfactual" if meaningful(share) else ""


def _kept(kept: Kept) -> str:
    """What the strongest neurons keep of their MLP, on the prompts that did not choose them."""
    on = f" on {count(kept.n, 'prompt')}" if kept.n else ""
    chosen = f" ({percent(kept.chosen_kept)} on the {kept.chosen_on} that chose them)" if kept.held_out else ""
    same = "" if kept.held_out else ", the same that chose them"
    text = (
        f"Its {kept.neurons} strongest neurons out of {kept.of:,} alone keep {percent(kept.kept)}"
        f"{span(kept, 'kept', percent)} of what that MLP does{on}{same}{chosen}; as many random ones keep "
        f"{percent(kept.random)}."
    )
    if kept.task_lost_with_mlp >= 0.5:
        return text
    return (
        f"{text} Patching the MLP takes {percent(kept.task_lost_with_mlp)} of the task's difference, so that no one "
        "MLP carries it all."
    )


def exhibits(stored: StoredSection) -> list[Exhibit]:
    """The matrix, then three rows of points."""
    return [
        Exhibit(
            "years",
            _matrix(stored),
            "One row for each year in which a span begins, one column for each year that may follow; the darker, the "
            "likelier. Where the model knows that a span ends after it begins, everything left of the diagonal is "
            "white.",
        ),
        Exhibit(
            "years_parts",
            _parts(stored),
            "Left: what each MLP writes straight to the logits. Middle: the strongest neurons of one of them. Both are "
            "measured on prompts that did not choose them, where there are enough. "
            "Right: how much of the model's behaviour the run's circuit keeps on other sentences (1 is all); grey, "
            "copies of the circuit between other heads. In the form less-than an earlier year is right.",
        ),
    ]


def _matrix(stored: StoredSection) -> Any:
    cells = stored.tables["greater_than_years"]
    sums = stored.read(YearsSummary).sums
    heat = (
        of_rows(cells)
        .mark_rect()
        .encode(
            x=alt.X("year:O", axis=alt.Axis(title="year predicted", values=list(range(0, 100, 10)), labelAngle=0)),
            y=alt.Y("start:O", axis=alt.Axis(title="year in which the span begins", labelOverlap=True)),
            color=alt.Color(
                "probability:Q",
                scale=alt.Scale(type="sqrt", range=["#ffffff", BLUE], interpolate="rgb"),
                legend=alt.Legend(title="probability", orient="right", gradientLength=120),
            ),
            tooltip=["start:O", "year:O", alt.Tooltip("probability:Q", format=".4f"), "n:Q"],
        )
        .properties(width=560, height=300)
    )
    subtitle = [f"{count(sums.n, 'prompt')}; prompts that begin in one year are averaged. Last two digits of years."]
    return finished(heat, "Which years the model predicts", subtitle, " ".join(c.text for c in claims(stored)[:2]))


def _parts(stored: StoredSection) -> Any:
    mlps = [dot(row["mlp"], row, "effect", "effect") for row in stored.tables["mlps_to_logits"][:_MLPS]]
    neurons = [dot(row["neuron"], row, "effect", "effect") for row in stored.tables["neurons_of_mlp"]]
    forms: list[Row] = []
    for row in stored.tables[_FORMS]:
        if row["faithfulness"] is not None:
            forms.append(dot(row["form"], row, "faithfulness", "circuit"))
            forms.append({"label": row["form"], "kind": "copies", "value": row["copies"], "low": None, "high": None})
    colours = {"effect": BLUE, "circuit": BLUE, "copies": GREY}
    found = stored.read(YearsSummary)
    unit, mlp = METRICS.get(found.metric, found.metric), found.mlp.mlp
    panels = [
        dots(mlps, unit, colours=colours, width=170, heading="MLPs, straight to the logits"),
        dots(neurons, unit, colours=colours, width=170, heading=f"neurons of {mlp}, all paths", format=",.3~f"),
    ]
    if forms:
        panels.append(dots(forms, "faithfulness", colours=colours, width=190, heading="the circuit on other forms"))
    picture = alt.hconcat(*panels, spacing=22).resolve_scale(color="independent")
    n = stored.tables["mlps_to_logits"][0]["n"]
    subtitle = [f"{count(n, 'prompt')}, and as many of each form; {interval_note(n, 'lines')}."]
    return finished(picture, "Who carries greater-than", subtitle, " ".join(c.text for c in claims(stored)[2:]))


PART = Part("Which years the model predicts", claims, exhibits)
