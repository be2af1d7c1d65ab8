"""Facts that come out wrong, on the page: when the wrong answer overtakes, who writes it, what changes it."""

from __future__ import annotations

from typing import Any

import altair as alt

from wheatstone._intervals import interval_note
from wheatstone.figures._dots import dot, dots, span
from wheatstone.figures._explained import Claim, Exhibit, Part, StoredSection
from wheatstone.figures._theme import BLUE, GREY, ORANGE, finished
from wheatstone.figures._words import count, decimal, percent, quoted
from wheatstone.mechanisms import AskedFact, WrongSummary
from wheatstone.runs import Row

_TRIED = {
    "right writers look": "the heads that write most of the right answers look at the subject alone",
    "right writers doubled": "the heads that write most of the right answers write twice as much",
    "wrong writers silent": "the heads that write most of the wrong answers write their mean over right facts",
    # As runs of earlier versions have them.
    "movers look": "the heads that write most of the right answers look at the subject alone",
    "movers doubled": "the heads that write most of the right answers write twice as much",
    "writers silent": "the heads that write most of the wrong answers write their mean over right facts",
}
_VERDICTS = {
    "right": "which is right",
    "wrong": "which is wrong",
    "begun": "which begins as the right answer does and ends otherwise",
}


def claims(stored: StoredSection) -> list[Claim]:
    """How often it is wrong, where the right answer loses, who writes the wrong one, what changes help."""
    found = stored.read(WrongSummary)
    said = [Claim(_named(row), "asked_facts", True) for row in found.named]
    said.append(Claim(_counted(stored), "wrong_facts"))
    if found.led:
        text = (
            f"On {found.led} of {found.wrong} wrong facts the right answer is ahead of the wrong one after some "
            f"layer; there the wrong one is ahead for good after {found.overtaken_after} of {found.layers} "
            "layers (median)."
        )
    else:
        text = f"On none of {found.wrong} wrong facts is the right answer ahead of the wrong one after any layer."
    said.append(Claim(text, "wrong_facts", True))
    heads = "; ".join(
        f"{row.head} {decimal(row.direct)}{span(row, 'direct', decimal)} and {decimal(row.to_right)}"
        for row in found.writers
    )
    clear = any(row.direct_low is not None and row.direct_low > 0 for row in found.writers)
    lead = "" if clear else " None of them does so on the facts as a whole: no interval lies above 0."
    text = (
        f"Heads that write most towards the wrong answers, in logits on {count(found.writers[0].n, 'fact')}"
        f"{_others(found)}, and what they write towards the right answers of other facts: {heads}.{lead}"
    )
    said.append(Claim(text, "wrong_writers"))
    chosen = [row for row in found.mendings if row.heads != "random"]
    random = {row.change: row for row in found.mendings if row.heads == "random"}
    best = max(chosen, key=lambda row: row.mended)
    for row in chosen:
        known = "" if row.known is None else f" of {row.known}"
        text = (
            f"If {_TRIED[row.change]} ({row.heads}), {percent(row.mended)}{span(row, 'mended', percent)} of "
            f"{count(row.n, 'wrong fact')}{_others(found)} come out right, with random heads "
            f"{percent(random[row.change].mended)}; {percent(row.known_kept)}{known} right facts stay right."
        )
        brief = (
            f"If {_TRIED[row.change]}, {percent(row.mended)} of {count(row.n, 'wrong fact')} come out right "
            f"and {percent(1 - row.known_kept)}{known} right facts are lost."
        )
        said.append(Claim(text, "mending", row is best, brief))
    if found.begun:
        one = stored.tables["begun_facts"][0]
        text = (
            f"{count(found.begun, 'fact')} begin with the answer's first token but come out otherwise, such as "
            f"{quoted(one['prompt'], 80)}, after which the model writes {quoted(one['written'])}. They count neither "
            "as right nor as wrong."
        )
        said.append(Claim(text, "begun_facts"))
    return said


def _named(row: AskedFact) -> str:
    right = "" if row.verdict == "right" else f" (right is {quoted(row.answer)})"
    return f"{row.subject}, asked for by name: the model writes {quoted(row.written)}, {_VERDICTS[row.verdict]}{right}."


def _counted(stored: StoredSection) -> str:
    """How the facts came out, with an example."""
    found, first = stored.read(WrongSummary), stored.tables["wrong_facts"][0]
    example = (
        f"After {quoted(first['prompt'], 80)} it writes {quoted(first['written'])}; right is {quoted(first['answer'])}."
    )
    if found.verdicts is None:  # a run of an earlier version
        return (
            f"Facts of this relation that the model gets wrong: {found.wrong} were looked at, and {found.known} "
            f"that it gets right. {example}"
        )
    verdicts = found.verdicts
    return (
        f"Of {count(found.asked, 'fact')} of this relation the model gets {verdicts['right']} right and "
        f"{verdicts['wrong']} wrong; {verdicts['begun']} it begins right and ends otherwise. {found.wrong} wrong "
        f"and {found.known} right ones are looked at below. {example}"
    )


def _others(found: WrongSummary) -> str:
    return " that did not choose them" if found.held_out else ""


def exhibits(stored: StoredSection) -> list[Exhibit]:
    """Fact by fact, and what was tried."""
    return [
        Exhibit(
            "wrong",
            _chart(stored),
            "Left: for each wrong fact, after how many layers the wrong answer is ahead for good; at 0 the right one "
            "never led. Right: the share of wrong facts that come out right when the model is changed (blue), when the "
            "same change is made to random heads (grey), and the share of right facts that stay right (orange).",
        )
    ]


def _chart(stored: StoredSection) -> Any:
    found = stored.read(WrongSummary)
    facts: list[Row] = [
        {"label": _fact(row), "kind": "overtaken", "value": row["overtakes"], "low": 0, "high": row["overtakes"]}
        for row in sorted(stored.tables["wrong_facts"], key=lambda row: row["overtakes"])
    ]
    tried: list[Row] = []
    for row in found.mendings:
        random = row.heads == "random"
        tried.append(dot(row.change, row, "mended", "come out right, random heads" if random else "come out right"))
        if not random:
            kept: Row = {"value": row.known_kept, "low": None, "high": None}
            tried.append({"label": row.change, "kind": "right facts that stay right", **kept})
    colours = {
        "overtaken": ORANGE,
        "come out right": BLUE,
        "come out right, random heads": GREY,
        "right facts that stay right": ORANGE,
    }
    picture = alt.hconcat(
        dots(facts, f"layers done, of {found.layers}", colours=colours, width=200, heading="overtaken after"),
        dots(tried, "facts", colours=colours, width=220, format=".0%", heading="what was tried"),
        spacing=30,
    ).resolve_scale(color="independent")
    subtitle = [
        f"{count(found.wrong, 'wrong fact')} and {found.known} right ones; on the right "
        f"{count(found.mendings[0].n, 'wrong fact')}{_others(found)}; "
        f"{interval_note(found.mendings[0].n, 'lines')}.",
        "Each fact: the right answer ← what the model writes instead.",
    ]
    return finished(
        picture, "Facts that the model gets wrong", subtitle, " ".join(claim.text for claim in claims(stored))
    )


def _fact(row: Row) -> str:
    return f"{row['subject']}: {row['answer']} ← {' '.join(row['written'].split())[:20]}"


PART = Part("Where it goes wrong", claims, exhibits)
