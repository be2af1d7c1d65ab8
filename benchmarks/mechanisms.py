"""What SmolLM2-135M's circuits do, part by part: competition, IOI, greater-than, hallucination, context, hops.

    python benchmarks/mechanisms.py [--parts competition ladder ioi years …] [--write]

Prints each part's tables. `--write` keeps them in docs/results/mechanisms.json, so that parts can be made one at a
time, writes docs/results/mechanisms.md from all that are kept, and pictures into docs/images. Each part takes one to
five minutes of one core.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("GOMP_SPINCOUNT", "10000")  # as the command does

import altair as alt
import torch

import wheatstone as ws
from wheatstone import lenses

DOCS = Path(__file__).parents[1] / "docs"
KEPT, PAGE, IMAGES = DOCS / "results/mechanisms.json", DOCS / "results/mechanisms.md", DOCS / "images"
INDUCTION, CAPITAL = "induction", "facts/country_capital"


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    return [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}", *(f"| {' | '.join(map(str, r))} |" for r in rows), ""]


def spread(row: Any, name: str, form: str = ".2f") -> str:
    """A mean with its interval."""
    low, high = (getattr(row, f"{name}_{end}") for end in ("low", "high"))
    return f"{getattr(row, name):{form}}" + ("" if low is None else f" [{low:{form}}, {high:{form}}]")


def strength_rows(found: lenses.Competition) -> list[list[str]]:
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
        for row in lenses.strengths(found)
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


def competition(model: ws.ResidualModel) -> list[str]:
    """Every task's circuit on every task's test prompts."""
    count, draws = 6, 1
    circuits = lenses.task_circuits(model)
    lines = [
        "## Which circuits are active on whose prompts",
        "",
        f"Five circuits of 1,000 edges each (the first of the EAP-IG ranking on 6 training prompts). n = {count} test "
        f"prompts a task, {draws} copy of each circuit with the heads of each layer exchanged; logits, bootstrap 95% "
        "intervals over prompts. Share and push: of the circuit alone. Drop: of the model without it. Own: the edges "
        "that no other of the five has.",
        "",
    ]
    for task in circuits:
        pairs = ws.load_task(task, model).test[:count]
        found = lenses.competition(model, pairs, circuits, draws=draws)
        lines += [f"### Prompts of {task}", "", *table(STRENGTHS, strength_rows(found))]
    return lines


def ladder(model: ws.ResidualModel) -> list[str]:
    """Recall against copying, rung by rung, and whether the stronger has its way."""
    count, draws = 10, 1
    circuits = lenses.task_circuits(model, (CAPITAL, INDUCTION, "ioi"))
    rungs = lenses.copying_ladder(model, ws.load_task(CAPITAL, model).test[: count + 2], times=1)
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
        found = lenses.competition(model, pairs, circuits, draws=draws)
        wins = sum(value > 0 for value in found.model)
        mean = sum(found.model) / len(pairs)
        lines += [
            f"### {rung.name}: D = {mean:.2f}; the true answer is ahead on {wins} of {len(pairs)}",
            "",
            *table(STRENGTHS, strength_rows(found)),
        ]
        for row in lenses.strengths(found):
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
                        for v in lenses.strongest_path(found, CAPITAL, INDUCTION)
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
    draw(chart.facet(column=alt.Column("measure:N", title=None)), "ladder")
    return lines


def ioi(model: ws.ResidualModel) -> list[str]:
    """The table of head classes."""
    count = 24
    task = ws.load_task("ioi", model, size=120)
    found = lenses.ioi_heads(model, (task.test + task.train)[:count])
    classed = [row for row in found.rows if row.role]
    missing = [role for role in lenses.IOI_CLASSES if not found.heads(role)]
    others = [row for row in found.rows if row.stands_out and not row.role and row.step == "logits"]
    lines = [
        "## Indirect object identification: classes of heads",
        "",
        f"n = {found.n} prompts of `ioi` (ABBA and BABA, six forms), three other names in the counterfactual; mean "
        f"logit difference {found.clean:.2f}. Effect: logits lost when the head is ablated along direct paths and "
        "those through MLPs to the receivers; heads whose effect stands out from all (step-down sign test, family-wise "
        "5%) and that look where their class looks; bootstrap 95% intervals over prompts.",
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
                    spread(row, "effect"),
                    f"{row.share:.0%}",
                    f"{row.query} → {row.site}",
                    spread(row, "attention"),
                )
                for row in sorted(classed, key=lambda row: lenses.IOI_CLASSES.index(row.role))
            ],
        ),
        f"Classes that this model does not show: {', '.join(missing) or 'none'}.",
        "",
        "Heads with a standing effect on the logits that fit no class of the paper: "
        + ("; ".join(f"{r.head} {r.effect:+.2f} (looks most at {r.site}, {r.attention:.2f})" for r in others) or "none")
        + ".",
        "",
    ]
    draw(
        classes_chart(
            [
                {"class": r.role, "head": r.head, "effect": r.effect, "low": r.effect_low, "high": r.effect_high}
                for r in classed
            ]
        ),
        "ioi",
    )
    return lines


def classes_chart(rows: list[dict[str, Any]]) -> Any:
    """A bar for each head, class by class."""
    order = sorted(rows, key=lambda row: lenses.IOI_CLASSES.index(row["class"]))
    base = alt.Chart(alt.Data(values=order)).encode(
        x=alt.X("head:N", title="head", sort=None),
        color=alt.Color(
            "class:N", sort=list(lenses.IOI_CLASSES), title=None, legend=alt.Legend(orient="top", columns=6)
        ),
    )
    bars = base.mark_bar().encode(y=alt.Y("effect:Q", title="logits lost along the path (95% interval)"))
    ends = alt.Chart(alt.Data(values=order)).mark_rule(color="black")
    ends = ends.encode(x=alt.X("head:N", sort=None), y="low:Q", y2="high:Q")
    return (bars + ends).properties(width=640, height=240)


def years(model: ws.ResidualModel) -> list[str]:
    """Greater-than: the matrix, the MLPs, the neurons, other forms."""
    starts = [year for year in range(3, 98, 6) for _ in range(2)]
    nouns = ("war", "project")
    prompts = [
        f"The {nouns[at % 2]} lasted from the year 17{year:02d} to the year 17" for at, year in enumerate(starts)
    ]
    found = lenses.year_probabilities(model, prompts)
    sums = lenses.year_sums(found, starts)
    task = ws.load_task("greater-than", model)
    experiment = ws.Experiment(model, task.test[:12], metric=task.metric)
    mlps = lenses.mlps_to_logits(experiment)
    neurons, kept = lenses.strongest_neurons(experiment, int(mlps[0].mlp[1:]))
    circuit = lenses.task_circuits(model, ("greater-than",))["greater-than"]
    forms = lenses.year_forms(model, circuit, count=12, draws=2)
    cells = [cell._asdict() for cell in lenses.year_cells(found, starts)]
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
    draw(heat, "years")
    return [
        "## Greater-than",
        "",
        f"n = {sums.n} prompts. Both digits, teacher-forced: probability difference {spread(sums, 'difference')}, "
        f"cutoff sharpness {spread(sums, 'sharpness')}; {sums.later:.3f} of the probability is on later years, "
        f"{sums.mass:.3f} on any two digits.",
        "",
        "![Matrix of start year by year foreseen.](../images/mechanisms-years.png)",
        "",
        f"MLPs straight to the logits (path patching, n = {mlps[0].n} test prompts, effect on the probability "
        "difference of tens digits):",
        "",
        *table(("MLP", "effect", "share"), [(r.mlp, spread(r, "effect", ".3f"), f"{r.share:.1%}") for r in mlps[:6]]),
        f"The ten strongest neurons of {mlps[0].mlp}, patched exactly, all paths:",
        "",
        *table(
            ("neuron", "effect", "share of the MLP"),
            [(r.neuron, spread(r, "effect", ".4f"), f"{r.share:.0%}") for r in neurons],
        ),
        f"With all other {kept.of - kept.neurons:,} neurons of that MLP patched from the counterfactual, these ten "
        f"keep {spread(kept, 'kept')} of the MLP's effect; {kept.draws} sets of ten random ones {kept.random:.2f} "
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


STANDING = "The official currency of Malaysia is called the"


def wrong(model: ws.ResidualModel) -> list[str]:
    """Wrong facts of one relation, and the standing example."""
    task = ws.load_task(CAPITAL, model, known=None, size=None)
    found = lenses.hallucination(model, [*task.train, *task.validation, *task.test][:60], draws=2)
    tops = model.forward(model.tokens([STANDING])).logits[0].softmax(-1).topk(5)
    said = ", ".join(
        f"{text!r} {chance:.0%}"
        for text, chance in zip(model.decode(tops.indices.tolist()), tops.values.tolist(), strict=True)
    )
    facts, layers = found.facts, model.graph.layers
    overtaken = [fact for fact in facts if fact.right_led > 0]
    late = sorted(fact.overtakes for fact in overtaken)
    return [
        "## Hallucination: facts the model gets wrong",
        "",
        f"The standing example, “{STANDING}”: {said}.",
        "",
        f"{CAPITAL}: {found.known} facts known (an answer is the top token), n = {len(facts)} "
        f"wrong. The right token is ahead of the wrong one after some layer on {len(overtaken)} of these; there the "
        f"wrong one is ahead for good from a median of {late[len(late) // 2] if late else 0} of {layers} layers done.",
        "",
        *table(
            ("prompt", "right", "wrong", "D at the end", "rank of right", "wrong ahead for good after", "writer"),
            [
                (
                    fact.prompt,
                    fact.right,
                    fact.wrong,
                    f"{fact.difference:.2f}",
                    fact.right_rank,
                    f"{fact.overtakes} layers",
                    fact.writer,
                )
                for fact in facts[:8]
            ],
        ),
        "Heads that write most of D directly, mean over the wrong facts, beside what they write towards right answers "
        f"of the {found.known} known facts:",
        "",
        *table(
            ("head", "towards the wrong answer", "towards right answers"),
            [(row.head, spread(row, "direct"), f"{row.to_right:.2f}") for row in found.writers[:5]],
        ),
        f"Movers of the known facts: {', '.join(found.movers)}. What is tried on the wrong facts:",
        "",
        *table(
            ("change", "heads", "mended", "change of D", "known facts still right"),
            [
                (
                    row.change,
                    row.heads if row.draws == 1 else f"{row.draws} random sets",
                    spread(row, "mended"),
                    spread(row, "change_in_difference"),
                    f"{row.known_kept:.2f}",
                )
                for row in found.mendings
            ],
        ),
    ]


def context(model: ws.ResidualModel) -> list[str]:
    """Demonstrations and the heads that enter with them."""
    task = ws.load_task("icl-3/country_language", model, known=None)
    known = ws.load_task("icl-3/country_language", model)
    found = lenses.in_context(model, known.train[:6], task.test[:30])
    return [
        "## In-context learning",
        "",
        "`icl-3/country_language`: circuits of 1,000 edges on 6 known training questions with three demonstrations and "
        f"without. {len(found.entering)} heads write only with them; the strongest: {', '.join(found.entering[:10])}. "
        f"Most attended to demonstrations: {', '.join(found.most_attended[:10])}. Accuracy (top token) on "
        f"n = {found.rows[0].n} test questions, known or not, mean ablation:",
        "",
        *table(
            ("condition", "heads ablated", "accuracy", "range over draws"),
            [
                (
                    row.condition,
                    row.heads or "",
                    spread(row, "accuracy"),
                    f"{row.least:.2f} to {row.most:.2f} ({row.draws})" if row.draws > 1 else "",
                )
                for row in found.rows
            ],
        ),
    ]


def hops(model: ws.ResidualModel) -> list[str]:
    """Single hops in two hops, a relation in its reverse; unrelated tasks beside them."""
    lines = [
        "## Two hops and reversed relations",
        "",
        "Circuits of 1,000 edges; chance: as many edges from the first 5,000 of the part's own ranking, 200 draws. "
        "`ioi` and `greater-than` are unrelated and share what any two circuits share.",
        "",
    ]
    rows: list[lenses.Reappearance] = []
    for whole, parts in (
        ("two-hop/landmark_country+country_capital", ("facts/landmark_country", CAPITAL)),
        ("reversed/country_capital", (CAPITAL,)),
    ):
        compared = (*parts, "ioi", "greater-than")
        try:
            circuits = lenses.task_circuits(model, (whole, *compared))
        except ws.PromptError as error:
            lines += [f"{whole}: {error}", ""]
            continue
        pools = lenses.task_circuits(model, compared, edges=5000)
        rows += lenses.reappearance({name: circuits[name] for name in compared}, pools, circuits[whole], whole)
        asked = len(circuits[whole].examples)
        kept = circuits[whole].evaluation
        if kept is not None:
            lines += [f"{whole}: {asked} known training questions, faithfulness {kept.faithfulness:.2f} there.", ""]
    return [
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


PARTS: dict[str, Callable[[ws.ResidualModel], list[str]]] = {
    "competition": competition,
    "ladder": ladder,
    "ioi": ioi,
    "years": years,
    "wrong": wrong,
    "context": context,
    "hops": hops,
}
_write = False


def draw(chart: Any, name: str) -> None:
    if _write:
        chart.save(IMAGES / f"mechanisms-{name}.png", scale_factor=1.5)


def main() -> None:
    global _write
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), help="which parts")
    parser.add_argument("--write", action="store_true", help="keep the parts and write docs/results/mechanisms.md")
    options = parser.parse_args()
    _write = options.write
    model = ws.load_model("smollm2-135m")
    for part in options.parts:
        started, load = time.perf_counter(), os.getloadavg()[0]
        lines = PARTS[part](model)
        seconds = time.perf_counter() - started
        made = (
            f"_{part}: {seconds:.0f} s, {torch.get_num_threads()} threads of {os.cpu_count()} cores "
            f"({platform.machine()}), load {load:.1f} when it began._"
        )
        print("\n".join([*lines, made, ""]), flush=True)
        if options.write:
            kept = json.loads(KEPT.read_text(encoding="utf-8")) if KEPT.exists() else {}
            kept[part] = [*lines, made, ""]
            KEPT.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
            PAGE.write_text(page(kept), encoding="utf-8")


def page(kept: dict[str, list[str]]) -> str:
    head = [
        "# What circuits do, measured on SmolLM2-135M",
        "",
        "Made by `python benchmarks/mechanisms.py --write`; float32, counterfactual ablation. "
        "[What it comes to](mechanisms-in-words.md) says in words what these tables show and what they do not.",
        "",
    ]
    return "\n".join(head + [line for part in PARTS if part in kept for line in kept[part]])


if __name__ == "__main__":
    main()
