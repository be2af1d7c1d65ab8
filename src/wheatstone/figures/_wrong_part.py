"""Facts that come out wrong, on the page: when the wrong answer overtakes, who writes it, what mends it."""

from __future__ import annotations

from typing import Any

import altair as alt

from wheatstone._intervals import interval_note
from wheatstone.figures._dots import dot, dots, span
from wheatstone.figures._explained import Claim, Exhibit, Part, Told
from wheatstone.figures._load import Row
from wheatstone.figures._theme import BLUE, ORANGE, finished
from wheatstone.figures._words import count, decimal, percent, quoted

_GREY = "#8a96a3"
_TRIED = {
    "movers look": "the movers of known facts look at the subject alone",
    "movers doubled": "the movers of known facts write twice as much",
    "writers silent": "the heads that write most of the wrong answers write their mean over known facts",
}


def claims(told: Told) -> list[Claim]:
    """How often it is wrong, where the right answer loses, who writes the wrong one, what changes mend."""
    found = told.summary
    first = told.tables["wrong_facts"][0]
    text = (
        f"Facts of this relation that the model gets wrong: {found['wrong']} were looked at, beside {found['known']} "
        f"that it knows. After {quoted(first['prompt'], 80)} it writes {quoted(first['written'])}; right is "
        f"{quoted(first['answer'])}."
    )
    said = [Claim(text, "wrong_facts")]
    if found["led"]:
        text = (
            f"On {found['led']} of {found['wrong']} wrong facts the right answer is ahead of the wrong one after some "
            f"layer; there the wrong one is ahead for good after {found['overtaken_after']} of {found['layers']} "
            "layers (median)."
        )
    else:
        text = "On no wrong fact is the right answer ahead of the wrong one after any layer."
    said.append(Claim(text, "wrong_facts", True))
    heads = "; ".join(
        f"{row['head']} {decimal(row['direct'])}{span(row, 'direct', decimal)} and {decimal(row['to_right'])}"
        for row in found["writers"]
    )
    clear = any(row["direct_low"] is not None and row["direct_low"] > 0 for row in found["writers"])
    lead = "" if clear else " None of them does so on the facts as a whole: no interval lies above 0."
    text = (
        "Heads that write most towards the wrong answers, in logits, and what they write towards right answers of "
        f"known facts: {heads}.{lead}"
    )
    said.append(Claim(text, "wrong_writers"))
    chosen = [row for row in found["mendings"] if row["heads"] != "random"]
    random = {row["change"]: row for row in found["mendings"] if row["heads"] == "random"}
    best = max(chosen, key=lambda row: row["mended"])
    for row in chosen:
        text = (
            f"If {_TRIED[row['change']]} ({row['heads']}), {percent(row['mended'])}{span(row, 'mended', percent)} of "
            f"the wrong facts come out right, with random heads {percent(random[row['change']]['mended'])}; "
            f"{percent(row['known_kept'])} of the known ones stay right."
        )
        brief = (
            f"If {_TRIED[row['change']]}, {percent(row['mended'])} of the wrong facts are mended and "
            f"{percent(1 - row['known_kept'])} of the known ones lost."
        )
        said.append(Claim(text, "mending", row is best, brief))
    if found["begun"]:
        one = told.tables["begun_facts"][0]
        text = (
            f"{count(found['begun'], 'fact')} counted as known by the answer's first token but came out otherwise, "
            f"such as {quoted(one['prompt'], 80)}, which the model goes on with {quoted(one['written'])}."
        )
        said.append(Claim(text, "begun_facts"))
    return said


def exhibits(told: Told) -> list[Exhibit]:
    """Fact by fact, and what was tried."""
    return [
        Exhibit(
            "wrong",
            _chart(told),
            "Left: for each wrong fact, after how many layers the wrong answer is ahead for good; at 0 the right one "
            "never led. Right: the share of wrong facts that a change of the model mends (blue), the same change of "
            "random heads (grey), and the share of known facts that survive it (orange).",
        )
    ]


def _chart(told: Told) -> Any:
    found = told.summary
    facts: list[Row] = [
        {"label": _fact(row), "kind": "overtaken", "value": row["overtakes"], "low": 0, "high": row["overtakes"]}
        for row in sorted(told.tables["wrong_facts"], key=lambda row: row["overtakes"])
    ]
    tried: list[Row] = []
    for row in found["mendings"]:
        random = row["heads"] == "random"
        tried.append(dot(row["change"], row, "mended", "mended, random heads" if random else "mended"))
        if not random:
            kept: Row = {"value": row["known_kept"], "low": None, "high": None}
            tried.append({"label": row["change"], "kind": "known facts that stay right", **kept})
    colours = {
        "overtaken": ORANGE,
        "mended": BLUE,
        "mended, random heads": _GREY,
        "known facts that stay right": ORANGE,
    }
    picture = alt.hconcat(
        dots(facts, f"layers done, of {found['layers']}", colours=colours, width=200, heading="overtaken after"),
        dots(tried, "facts", colours=colours, width=220, format=".0%", heading="what was tried"),
        spacing=30,
    ).resolve_scale(color="independent")
    subtitle = [
        f"{count(found['wrong'], 'wrong fact')} beside {found['known']} known ones; "
        f"{interval_note(found['wrong'], 'lines on the right')}.",
        "Each fact: the right answer ← what the model writes instead.",
    ]
    return finished(
        picture, "Facts that the model gets wrong", subtitle, " ".join(claim.text for claim in claims(told))
    )


def _fact(row: Row) -> str:
    return f"{row['subject']}: {row['answer']} ← {row['written'].strip()[:20]}"


PART = Part("Where it goes wrong", claims, exhibits)
