"""The head classes of indirect object identification on the page: who acts on whom, as the paper's table."""

from __future__ import annotations

from typing import Any

import altair as alt

from wheatstone._intervals import interval_note
from wheatstone.figures._attribution_part import interval
from wheatstone.figures._dots import dot, dots
from wheatstone.figures._explained import Claim, Exhibit, Part, Told
from wheatstone.figures._load import Row
from wheatstone.figures._theme import BLUE, ORANGE, finished
from wheatstone.figures._words import count, decimal, percent

_DOES = {
    "name mover": "look at the indirect object and write its name",
    "negative name mover": "look at the indirect object and write against its name",
    "S-inhibition": "look at the second mention of the subject and steer the name movers' queries away from it",
    "duplicate-token": "look from the second mention back at the first and tell the S-inhibition heads",
    "induction": "look from the second mention at the word after the first and tell the S-inhibition heads",
    "previous-token": "look from the word after the first mention at the mention, which is where induction heads look",
}
_SHOWN = 5
"""Heads of a class that are drawn."""


def claims(told: Told) -> list[Claim]:
    """A sentence for each class, in the order of the chain from the answer back."""
    found = told.summary
    said: list[Claim] = []
    for role, rows in found["classes"].items():
        if rows:
            heads = ", ".join(
                f"{row['head']} ({decimal(row['effect'])}{interval(row['effect_low'], row['effect_high'])})"
                for row in rows[:3]
            )
            more = f" and {len(rows) - 3} more" if len(rows) > 3 else ""
            title = role[0].upper() + role[1:]
            brief = f"{title} heads {_DOES[role]}: {', '.join(row['head'] for row in rows[:3])}{more}."
            said.append(
                Claim(
                    f"{title} heads {_DOES[role]}: {heads}{more}.",
                    "ioi_heads",
                    role in ("name mover", "S-inhibition"),
                    brief,
                )
            )
    if none := [role for role, rows in found["classes"].items() if not rows]:
        said.append(Claim(f"This model shows no {', no '.join(none)} heads on these prompts.", "ioi_heads"))
    if found["unclassed"]:
        heads = ", ".join(
            f"{row['head']} ({decimal(row['effect'])}, looks most at {row['site']} with {percent(row['attention'])})"
            for row in found["unclassed"][:4]
        )
        said.append(Claim(f"Heads that write to the answer but fit no class of the paper: {heads}.", "ioi_heads"))
    return said


def exhibits(told: Told) -> list[Exhibit]:
    """The table of classes, drawn."""
    if not any(told.summary["classes"].values()):
        return []
    return [
        Exhibit(
            "ioi_classes",
            _chart(told),
            "Read it from the top: the name movers write the answer, and each class below acts on the one above it. "
            "Left, the logits lost when the head is taken out along that path; blue helps the answer, orange hinders "
            "it. Right, how much of its attention rests on the token its class looks at. IO is the indirect object, S1 "
            "and S2 the two mentions of the subject, S1+1 the word after the first.",
        )
    ]


def _chart(told: Told) -> Any:
    effects: list[Row] = []
    looks: list[Row] = []
    for role, rows in told.summary["classes"].items():
        for row in rows[:_SHOWN]:
            label = f"{role} · {row['head']} · {row['query']} → {row['site']}"
            kind = "helps" if row["effect"] > 0 else "hinders"
            effects.append(dot(label, row, "effect", kind))
            looks.append(dot(label, row, "attention", kind))
    colours = {"helps": BLUE, "hinders": ORANGE}
    picture = alt.hconcat(
        dots(effects, "effect along its path (logits)", colours=colours),
        dots(looks, "attention to its token", colours=colours, names=False, width=200, format=".0%"),
        spacing=22,
    ).resolve_scale(color="shared")
    subtitle = [
        f"{count(told.summary['n'], 'prompt')}, mean logit difference {decimal(told.summary['clean'])}; "
        f"{interval_note(told.summary['n'], 'lines')}.",
        f"At most the {_SHOWN} strongest heads of a class; the table has all.",
    ]
    said = " ".join(claim.text for claim in claims(told))
    return finished(picture, "Who finds the indirect object, from the answer back", subtitle, said)


PART = Part("How the indirect object is found", claims, exhibits)
