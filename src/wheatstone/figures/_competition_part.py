"""Circuit competition on the page: how active each task's circuit is, and how that moves along the ladder of edits."""

from __future__ import annotations

import altair as alt

from wheatstone._intervals import interval_note
from wheatstone.figures._dots import dot, dots, span
from wheatstone.figures._explained import Claim, Exhibit, Part, StoredSection
from wheatstone.figures._theme import BLUE, GREY, ORANGE, finished
from wheatstone.figures._words import count, decimal, percent
from wheatstone.mechanisms import CompetitionSummary, RungStrength, Strength, Verdict

_OWN = "with its task's own circuit"


def claims(stored: StoredSection) -> list[Claim]:
    """Each circuit's share and own drop; how they move along the ladder; whether the stronger has its way."""
    found = stored.read(CompetitionSummary)
    said: list[Claim] = []
    for row in found.circuits:
        share = "" if row.share is None else f", {percent(row.share)} of what the model does"
        text = (
            f"The circuit of {row.circuit} alone pushes {decimal(row.push)} logits"
            f"{span(row, 'push', decimal)} towards the answer{share}; without the {count(row.own_edges, 'edge')} "
            f"that only it has, {decimal(row.own_drop)}{span(row, 'own_drop', decimal)} logits are lost."
        )
        said.append(Claim(text, "competition"))
    active = [row for row in found.circuits if _beyond(row)]
    names = ", ".join(row.circuit for row in active) or "none"
    said.append(
        Claim(
            "Circuits whose own edges do more on these prompts than the same edges between other heads: "
            f"{names}{'' if active else ' (no interval lies above 0)'}.",
            "competition",
            True,
        )
    )
    rungs: dict[str, list[RungStrength]] = {}
    for row in found.ladder:
        rungs.setdefault(row.rung, []).append(row)
    for name, rows in rungs.items():
        drops = "; ".join(f"{row.circuit} {decimal(row.own_drop)}{span(row, 'own_drop', decimal)}" for row in rows)
        text = (
            f"{name[0].upper()}{name[1:]}: the answer is ahead on {rows[0].wins} of {rows[0].n} prompts, by "
            f"{decimal(rows[0].model)} logits; lost without own edges: {drops}."
        )
        said.append(Claim(text, "competition_ladder"))
    said += [_verdict(row, found.verdicts) for row in found.verdicts if row.of == "circuits"]
    return said


def _beyond(row: Strength) -> bool:
    return row.own_beyond_low is not None and row.own_beyond_low > 0


def _verdict(row: Verdict, rows: tuple[Verdict, ...]) -> Claim:
    """Whether the data support that the strongest path sets the token."""
    copies = next(other for other in rows if (other.measure, other.of) == (row.measure, "copies"))
    least = max(row.same, copies.agrees)
    supported = row.agrees_low is not None and row.agrees_low > least
    what = "alone" if row.measure == "push" else "lost without its own edges"
    text = (
        f"On the last rung the stronger of the two circuits ({what}) has its way on {percent(row.agrees)}"
        f"{span(row, 'agrees', percent)} of {count(row.n, 'prompt')}; copies between other heads agree on "
        f"{percent(copies.agrees)}, always naming the more frequent winner on {percent(row.same)}. "
        f"{'This supports' if supported else 'This does not support'} that the strongest path sets the token."
    )
    return Claim(text, "competition_verdicts")


def exhibits(stored: StoredSection) -> list[Exhibit]:
    """The circuits on the prompts, and along the ladder."""
    found = stored.read(CompetitionSummary)
    rows = found.circuits
    colours = {_OWN: BLUE, "another task's circuit": GREY}

    def kind(row: Strength) -> str:
        return _OWN if row.circuit == found.task else "another task's circuit"

    shown = {
        "push": "alone (push)",
        "own_drop": "lost without its own edges",
        "own_beyond": "… beyond a copy between other heads",
    }
    panels = [
        dots(
            [dot(row.circuit, row, field, kind(row)) for row in rows],
            "logits",
            colours=colours,
            names=field == "push",
            width=200,
            heading=heading,
        )
        for field, heading in shown.items()
    ]
    subtitle = [
        f"{count(found.n, 'prompt')}, circuits of {found.edges:,} edges; {interval_note(found.n, 'lines')}.",
        f"The model prefers the answer by {decimal(found.model)} logits. Right is towards the answer.",
    ]
    said = " ".join(claim.text for claim in claims(stored))
    made = [
        Exhibit(
            "competition",
            finished(alt.hconcat(*panels, spacing=20), "Which circuits act on these prompts", subtitle, said),
            "A circuit acts on these prompts if its row lies right of 0 in the last panel: its own edges then do more "
            "than the same wiring between other heads. A large push alone (left) says little, for all circuits share "
            "early edges and MLPs.",
        )
    ]
    if found.ladder:
        tint = {str(found.task): BLUE, "induction": ORANGE}
        points = [dot(row.rung, row, "own_drop", row.circuit) for row in found.ladder]
        picture = dots(points, "logits towards the answer lost without own edges", colours=tint, width=380)
        subtitle = [
            f"The same questions on every rung; {count(found.ladder[0].n, 'prompt')}; "
            f"{interval_note(found.ladder[0].n, 'lines')}.",
        ]
        caption = (
            "From top to bottom the question is edited towards copying: a false answer is stated of another subject, "
            "then of the asked one. If two circuits compete, the blue one (recall) stays right of 0 while the orange "
            "one (copying) moves to the left, where it speaks for the false answer."
        )
        title = "From recalling to copying, rung by rung"
        made.append(Exhibit("competition_ladder", finished(picture, title, subtitle, said), caption))
    return made


PART = Part("Which circuits compete", claims, exhibits)
