"""Two tasks as their papers tell them: indirect objects and greater-than."""

from __future__ import annotations

from typing import Any

import altair as alt

import wheatstone as ws
from mechanism.tables import Part, spread, table
from wheatstone import mechanisms


def ioi(model: ws.ResidualModel) -> Part:
    """The table of head classes."""
    count = 24
    task = ws.load_task("ioi", model, size=120)
    pairs = task.test + task.train
    found = mechanisms.ioi_heads(model, pairs[:count], held_out=pairs[count : 2 * count])
    classed = [row for row in found.rows if row.role]
    missing = [role for role in mechanisms.IOI_CLASSES if not found.heads(role)]
    others = [row for row in found.rows if row.stands_out and not row.role and row.step == "logits"]
    lines = [
        "## Indirect object identification: classes of heads",
        "",
        f"Classes are chosen on {found.n} prompts of `ioi` (ABBA and BABA, six forms; mean logit difference "
        f"{found.clean:.2f}), three other names in the counterfactual, and their effects are measured on "
        f"{found.held_n} others. Effect: logits lost when the head is ablated along direct paths and those through "
        "MLPs to the receivers; heads whose effect stands out from all (step-down sign test, family-wise 5%) and that "
        "look where their class looks, more than 99% of heads on random tokens; 95% intervals over prompts. In "
        "brackets the effect on the prompts that chose the head.",
        "",
        "![Effect and attention of each class's heads.](../images/mechanisms-ioi.png)",
        "",
        *table(
            ("class", "head", "patched into", "effect", "of the difference", "looks from → to", "attention"),
            [
                (
                    row.role,
                    row.head,
                    ", ".join(found.receivers[row.step]),
                    f"{spread(row, 'held_effect')} ({row.effect:.2f})",
                    f"{(row.held_effect or 0.0) / found.clean:.0%}",
                    f"{row.query} → {row.site}",
                    spread(row, "attention"),
                )
                for row in sorted(classed, key=lambda row: mechanisms.IOI_CLASSES.index(row.role))
            ],
        ),
        f"Classes that this model does not show: {', '.join(missing) or 'none'}.",
        "",
        "Heads with a standing effect on the logits that fit no class of the paper: "
        + (
            "; ".join(
                f"{r.head} {r.held_effect or 0.0:+.2f} (looks most at {r.site}, {r.attention:.2f})" for r in others
            )
            or "none"
        )
        + ".",
        "",
    ]
    rows = [
        {"class": r.role, "head": r.head, "effect": r.held_effect, "low": r.held_effect_low, "high": r.held_effect_high}
        for r in classed
    ]
    return Part(lines, {"ioi": classes_chart(rows)})


def classes_chart(rows: list[dict[str, Any]]) -> Any:
    """A bar for each head, class by class."""
    order = sorted(rows, key=lambda row: mechanisms.IOI_CLASSES.index(row["class"]))
    base = alt.Chart(alt.Data(values=order)).encode(
        x=alt.X("head:N", title="head", sort=None),
        color=alt.Color(
            "class:N", sort=list(mechanisms.IOI_CLASSES), title=None, legend=alt.Legend(orient="top", columns=6)
        ),
    )
    bars = base.mark_bar().encode(y=alt.Y("effect:Q", title="logits lost along the path (95% interval)"))
    ends = alt.Chart(alt.Data(values=order)).mark_rule(color="black")
    ends = ends.encode(x=alt.X("head:N", sort=None), y="low:Q", y2="high:Q")
    return (bars + ends).properties(width=640, height=240)


def years(model: ws.ResidualModel) -> Part:
    """Greater-than: the matrix, the MLPs, the neurons, other forms."""
    starts = [year for year in range(3, 98, 6) for _ in range(2)]
    nouns = ("war", "project")
    prompts = [
        f"The {nouns[at % 2]} lasted from the year 17{year:02d} to the year 17" for at, year in enumerate(starts)
    ]
    found = mechanisms.year_probabilities(model, prompts)
    sums = mechanisms.year_sums(found, starts)
    task = ws.load_task("greater-than", model)
    choosing, others = (ws.Experiment(model, pairs, metric=task.metric) for pairs in (task.test[:12], task.test[12:24]))
    best = mechanisms.mlps_to_logits(choosing)[0].mlp
    mlps = mechanisms.mlps_to_logits(others)
    neurons, kept = mechanisms.strongest_neurons(choosing, int(best[1:]), held_out=others)
    circuit = mechanisms.task_circuits(model, ("greater-than",))["greater-than"]
    forms = mechanisms.year_forms(model, circuit, count=12, draws=2)
    cells = [cell._asdict() for cell in mechanisms.year_cells(found, starts)]
    heat = (
        alt.Chart(alt.Data(values=cells))
        .mark_rect()
        .encode(
            x=alt.X("year:O", title="year foreseen", axis=alt.Axis(values=list(range(0, 100, 10)))),
            y=alt.Y("start:O", title="year in which the span begins"),
            color=alt.Color("probability:Q", scale=alt.Scale(type="sqrt", scheme="blues")),
        )
        .properties(width=620, height=260, title="Years foreseen after “… from the year 17YY to the year 17”")
    )
    lines = [
        "## Greater-than",
        "",
        f"n = {sums.n} prompts. Both digits, teacher-forced: two-digit difference {spread(sums, 'difference')}, "
        f"cutoff sharpness {spread(sums, 'sharpness')}; {sums.later:.3f} of the probability is on later years, "
        f"{sums.mass:.3f} on any two digits.",
        "",
        "![Matrix of start year by year foreseen.](../images/mechanisms-years.png)",
        "",
        f"MLPs straight to the logits (path patching, n = {mlps[0].n} test prompts, effect on the probability "
        f"difference of tens digits; {best} does most on {kept.chosen_on} others):",
        "",
        *table(("MLP", "effect", "share"), [(r.mlp, spread(r, "effect", ".3f"), f"{r.share:.1%}") for r in mlps[:6]]),
        f"The ten strongest neurons of {best}, chosen on {kept.chosen_on} prompts and measured on {kept.n} others, "
        "patched exactly, all paths:",
        "",
        *table(
            ("neuron", "effect", "share of the MLP"),
            [(r.neuron, spread(r, "effect", ".4f"), f"{r.share:.0%}") for r in neurons],
        ),
        f"With all other {kept.of - kept.neurons:,} neurons of that MLP patched from the counterfactual, these ten "
        f"keep {spread(kept, 'kept')} of the MLP's effect on the {kept.n} prompts ({kept.chosen_kept:.2f} on those "
        f"that chose them); {kept.draws} sets of ten random ones {kept.random:.2f} "
        f"({kept.random_low:.2f} to {kept.random_high:.2f}). The MLP as a whole is {kept.task_lost_with_mlp:.0%} of "
        "the task's probability difference between prompt and counterfactual: most of it is carried by other parts.",
        "",
        "The circuit (1,000 edges, found on “lasted”) on other forms, tens digit, probability difference:",
        "",
        *table(
            ("form", "n", "model", "ablated", "circuit alone", "faithfulness", "copies"),
            [
                (
                    r.form,
                    r.n,
                    spread(r, "model"),
                    f"{r.ablated:.2f}",
                    f"{r.circuit:.2f}",
                    "" if r.faithfulness is None else spread(r, "faithfulness"),
                    "" if r.copies is None else f"{r.copies:.2f}",
                )
                for r in forms
            ],
        ),
        "In the last form an earlier year is right; a positive difference there is a mistake.",
        "",
    ]
    return Part(lines, {"years": heat})
