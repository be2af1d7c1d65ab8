"""The head classes of indirect object identification on the page: who acts on whom, as the paper's table."""

from __future__ import annotations

from typing import Any

import altair as alt

from wheatstone._intervals import interval_note
from wheatstone.figures._attribution_part import interval
from wheatstone.figures._dots import dot, dots
from wheatstone.figures._explained import Claim, Exhibit, Part, StoredSection
from wheatstone.figures._roles_part import DOES
from wheatstone.figures._theme import BLUE, ORANGE, finished
from wheatstone.figures._words import count, decimal, percent
from wheatstone.mechanisms import IoiHead, IoiSummary
from wheatstone.runs import Row

_SHOWN = 5
"""Heads of a class that are drawn."""


def claims(stored: StoredSection) -> list[Claim]:
    """A sentence for each class, in the order of the chain from the answer back."""
    found = stored.read(IoiSummary)
    said: list[Claim] = []
    for role, rows in found.classes.items():
        if rows:
            heads = ", ".join(_effect(row) for row in rows[:3])
            more = f" and {len(rows) - 3} more" if len(rows) > 3 else ""
            title = role[0].upper() + role[1:]
            brief = f"{title} heads {DOES[role]}: {', '.join(row.head for row in rows[:3])}{more}."
            said.append(
                Claim(
                    f"{title} heads {DOES[role]}: {heads}{more}. {_on(found)}",
                    "ioi_heads",
                    role in ("name mover", "S-inhibition"),
                    brief,
                )
            )
    if none := [role for role, rows in found.classes.items() if not rows]:
        said.append(Claim(f"This model shows no {', no '.join(none)} heads on these prompts.", "ioi_heads"))
    if found.unclassed:
        heads = ", ".join(
            f"{row.head} ({decimal(_held(row).effect)}, looks most at {row.site} with {percent(row.attention)})"
            for row in found.unclassed[:4]
        )
        said.append(Claim(f"Heads that write to the answer but fit no class of the paper: {heads}.", "ioi_heads"))
    return said


def _held(row: IoiHead) -> IoiHead:
    """The row with its effect on the prompts that did not choose it, where it has one."""
    if row.held_effect is None:
        return row
    return row._replace(effect=row.held_effect, effect_low=row.held_effect_low, effect_high=row.held_effect_high)


def _effect(row: IoiHead) -> str:
    held = _held(row)
    return f"{row.head} ({decimal(held.effect)}{interval(held.effect_low, held.effect_high)})"


def _on(found: IoiSummary) -> str:
    held, n = found.held_n, count(found.n, "prompt")
    if held:
        return f"Logits on {count(held, 'prompt')} other than those that chose them."
    return f"Logits on the {n} that chose them."


def exhibits(stored: StoredSection) -> list[Exhibit]:
    """The table of classes, drawn."""
    if not any(stored.read(IoiSummary).classes.values()):
        return []
    return [
        Exhibit(
            "ioi_classes",
            _chart(stored),
            "Read it from the top: the name movers write the answer, and each class below acts on the one above it. "
            "Left, the logits lost when the head is taken out along that path; blue helps the answer, orange hinders "
            "it. Right, how much of its attention rests on the token its class looks at. IO is the indirect object, S1 "
            "and S2 the two mentions of the subject, S1+1 the word after the first.",
        )
    ]


def _chart(stored: StoredSection) -> Any:
    found = stored.read(IoiSummary)
    effects: list[Row] = []
    looks: list[Row] = []
    for role, rows in found.classes.items():
        for row in rows[:_SHOWN]:
            label = f"{role} · {row.head} · {row.query} → {row.site}"
            kind = "helps" if row.effect > 0 else "hinders"
            effects.append(dot(label, _held(row), "effect", kind))
            looks.append(dot(label, row, "attention", kind))
    colours = {"helps": BLUE, "hinders": ORANGE}
    picture = alt.hconcat(
        dots(effects, "effect along its path (logits)", colours=colours),
        dots(looks, "attention to its token", colours=colours, names=False, width=200, format=".0%"),
        spacing=22,
    ).resolve_scale(color="shared")
    subtitle = [
        f"{_on(found)} Classes chosen on {count(found.n, 'prompt')}, mean logit difference "
        f"{decimal(found.clean)}; {interval_note(found.n, 'lines')}.",
        f"At most the {_SHOWN} strongest heads of a class; the table has all.",
    ]
    said = " ".join(claim.text for claim in claims(stored))
    return finished(picture, "Who finds the indirect object, from the answer back", subtitle, said)


PART = Part("How the indirect object is found", claims, exhibits)
