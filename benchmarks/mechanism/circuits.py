"""Circuits beside each other: which act on whose prompts, recall against copying, single hops in two."""

from __future__ import annotations

from typing import Any

import altair as alt

import wheatstone as ws
from mechanism.tables import CAPITAL, INDUCTION, Part, spread, table
from wheatstone import mechanisms


def strength_rows(found: mechanisms.Competition) -> list[list[str]]:
    return [
        [
            row.circuit,
            "" if row.share is None else f"{row.share:.0%}",
            spread(row, "push"),
            spread(row, "beyond"),
            f"{row.drop:.2f}",
            f"{row.own_edges}",
            spread(row, "own_drop"),
            spread(row, "own_beyond"),
        ]
        for row in mechanisms.strengths(found)
    ]


STRENGTHS = (
    "circuit",
    "share",
    "push",
    "push beyond copies",
    "drop",
    "own edges",
    "own drop",
    "own drop beyond copies",
)


def competition(model: ws.ResidualModel) -> Part:
    """Every task's circuit on every task's test prompts."""
    count, draws = 6, 1
    circuits = mechanisms.task_circuits(model)
    lines = [
        "## Which circuits are active on whose prompts",
        "",
        f"Five circuits of 1,000 edges each (the first of the EAP-IG ranking on 6 training prompts). n = {count} test "
        f"prompts a task, {draws} copy of each circuit with the heads of each layer exchanged; logits, 95% "
        "intervals over prompts. Share and push: of the circuit alone. Drop: of the model without it. Own: the edges "
        "that no other of the five has.",
        "",
    ]
    for task in circuits:
        pairs = ws.load_task(task, model).test[:count]
        found = mechanisms.competition(model, pairs, circuits, draws=draws)
        lines += [f"### Prompts of {task}", "", *table(STRENGTHS, strength_rows(found))]
    return Part(lines)


def ladder(model: ws.ResidualModel) -> Part:
    """Recall against copying, rung by rung, and whether the stronger has its way."""
    count, draws = 10, 1
    circuits = mechanisms.task_circuits(model, (CAPITAL, INDUCTION, "ioi"))
    rungs = mechanisms.copying_ladder(model, ws.load_task(CAPITAL, model).test[: count + 2], times=1)
    lines = [
        "## Recall against copying: a ladder of edits",
        "",
        f"The same {CAPITAL} test questions on every rung, n below; D is the log-odds of the true capital against the "
        f"false one that can be copied. Example of the last rung: {rungs[-1].pairs[0].prompt!r}, "
        f"{rungs[-1].pairs[0].answers[0]!r} against {rungs[-1].pairs[0].distractors[0]!r}. {draws} copy of each "
        "circuit. Positive is towards the true answer.",
        "",
        "![Own drop and push of three circuits on each rung.](../images/mechanisms-ladder.png)",
        "",
    ]
    points: list[dict[str, Any]] = []
    for rung in rungs:
        pairs = rung.pairs[:count]
        found = mechanisms.competition(model, pairs, circuits, draws=draws)
        wins = sum(value > 0 for value in found.model)
        mean = sum(found.model) / len(pairs)
        lines += [
            f"### {rung.name}: D = {mean:.2f}; the true answer is ahead on {wins} of {len(pairs)}",
            "",
            *table(STRENGTHS, strength_rows(found)),
        ]
        for row in mechanisms.strengths(found):
            points += [
                {
                    "rung": rung.name,
                    "circuit": row.circuit,
                    "measure": title,
                    "mean": getattr(row, name),
                    "low": getattr(row, f"{name}_low"),
                    "high": getattr(row, f"{name}_high"),
                }
                for name, title in (("push", "alone (push)"), ("own_drop", "lost without its own edges"))
            ]
        if rung is rungs[-1]:
            lines += [
                "Does the stronger of the two have its way, prompt by prompt? Strength of the recall circuit plus "
                "that of the induction circuit, its sign beside D's:",
                "",
                *table(
                    ("measure", "of", "n", "agrees", "without looking", "rank correlation with D"),
                    [
                        (v.measure, v.of, v.n, spread(v, "agrees"), f"{v.same:.2f}", f"{v.correlation:.2f}")
                        for v in mechanisms.strongest_path(found, CAPITAL, INDUCTION)
                    ],
                ),
            ]
    base = alt.Chart().encode(
        x=alt.X("rung:N", sort=[rung.name for rung in rungs], title=None, axis=alt.Axis(labelAngle=-15)),
        color=alt.Color("circuit:N", title=None, legend=alt.Legend(orient="top")),
        xOffset="circuit:N",
    )
    ends = base.mark_rule(strokeWidth=2).encode(
        y=alt.Y("low:Q", title="logits towards the true answer (95% interval)"), y2="high:Q"
    )
    marks = base.mark_point(filled=True, size=70).encode(y="mean:Q")
    zero = alt.Chart().mark_rule(strokeDash=[3, 3]).encode(y=alt.datum(0))
    chart = alt.layer(zero, ends, marks, data=alt.Data(values=points)).properties(width=330, height=260)
    return Part(lines, {"ladder": chart.facet(column=alt.Column("measure:N", title=None))})


def hops(model: ws.ResidualModel) -> Part:
    """Single hops in two hops, a relation in its reverse; unrelated tasks beside them."""
    lines = [
        "## Two hops and reversed relations",
        "",
        "Circuits of 1,000 edges; chance: as many edges from the first 5,000 of the part's own ranking, 200 draws. "
        "`ioi` and `greater-than` are unrelated and share what any two circuits share.",
        "",
    ]
    rows: list[mechanisms.Reappearance] = []
    for whole, parts in (
        ("two-hop/landmark_country+country_capital", ("facts/landmark_country", CAPITAL)),
        ("reversed/country_capital", (CAPITAL,)),
    ):
        compared = (*parts, "ioi", "greater-than")
        try:
            circuits = mechanisms.task_circuits(model, (whole, *compared))
        except ws.PromptError as error:
            lines += [f"{whole}: {error}", ""]
            continue
        pools = mechanisms.task_circuits(model, compared, edges=5000)
        rows += mechanisms.reappearance({name: circuits[name] for name in compared}, pools, circuits[whole], whole)
        asked = len(circuits[whole].examples)
        kept = circuits[whole].evaluation
        if kept is not None:
            lines += [f"{whole}: {asked} known training questions, faithfulness {kept.faithfulness:.2f} there.", ""]
    return Part(
        [
            *lines,
            *table(
                ("in", "of", "edges shared", "by chance", "nodes shared", "by chance"),
                [
                    (
                        row.whole,
                        row.part,
                        f"{row.shared:.0%}",
                        f"{row.by_chance:.0%} [{row.chance_low:.0%}, {row.chance_high:.0%}]",
                        f"{row.nodes_shared:.0%} of {row.nodes}",
                        f"{row.nodes_by_chance:.0%}",
                    )
                    for row in rows
                ],
            ),
        ]
    )
