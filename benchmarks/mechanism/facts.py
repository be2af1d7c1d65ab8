"""Facts that come out wrong, and facts that demonstrations stand before."""

from __future__ import annotations

import wheatstone as ws
from mechanism.tables import CAPITAL, Part, spread, table
from wheatstone import mechanisms
from wheatstone._intervals import measured_on
from wheatstone.tasks import relation_named

STANDING = "The official currency of Malaysia is called the"


def wrong(model: ws.ResidualModel) -> Part:
    """Wrong facts of one relation, and the standing example."""
    task = ws.load_task(CAPITAL, model, known=None, size=None)
    found = mechanisms.hallucination(model, [*task.train, *task.validation, *task.test][:60], draws=2)
    tops = model.forward(model.tokens([STANDING])).logits[0].softmax(-1).topk(5)
    said = ", ".join(
        f"{text!r} {chance:.0%}"
        for text, chance in zip(model.decode(tops.indices.tolist()), tops.values.tolist(), strict=True)
    )
    written = "".join(model.decode(mechanisms.continued(model, [STANDING], 4)[0]))
    facts, layers = found.facts, model.graph.layers
    overtaken = [fact for fact in facts if fact.right_led > 0]
    late = sorted(fact.overtakes for fact in overtaken)
    lines = [
        "## Hallucination: facts the model gets wrong",
        "",
        f"The standing example, “{STANDING}”: {said}; it goes on to write {written!r}.",
        "",
        f"{CAPITAL}: {found.known} facts known (what the model writes says an answer), n = {len(facts)} "
        f"wrong; heads are {measured_on(len(facts))}. The right token is ahead of the wrong one after some layer on "
        f"{len(overtaken)} of these; there the "
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
        f"Heads that write most of the right answers: {', '.join(found.right_writers)}. What is tried on wrong facts:",
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
    return Part(lines)


def context(model: ws.ResidualModel) -> Part:
    """Demonstrations and the heads that enter with them."""
    template = relation_named("country_language").templates[0]
    task = ws.load_task("icl-3/country_language", model, known=None, template=template)
    known = ws.load_task("icl-3/country_language", model, template=template)
    found = mechanisms.in_context(model, known.train[:6], task.test[:30])
    lines = [
        "## In-context learning",
        "",
        f"`icl-3/country_language`, asked as “{template}”, which states the task without demonstrations too: circuits "
        "of 1,000 edges on 6 known training questions with three demonstrations and "
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
    return Part(lines)
