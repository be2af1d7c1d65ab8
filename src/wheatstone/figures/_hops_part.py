"""Two hops and reversed relations on the page: the share of each relation's circuit that the question's own has."""

from __future__ import annotations

from wheatstone.figures._dots import dots
from wheatstone.figures._explained import Claim, Exhibit, Part, StoredSection
from wheatstone.figures._theme import BLUE, GREY, ORANGE, finished
from wheatstone.figures._words import count, percent, quoted
from wheatstone.mechanisms import HopsSummary, Reappearance
from wheatstone.runs import Row
from wheatstone.tasks import chance, ordinal

_KINDS = {
    "a single hop": BLUE,
    "the relation as it is": BLUE,
    "an unrelated task": ORANGE,
    "as many edges by chance": GREY,
}
_TITLES = {
    "two-hop": "What reappears of the single hops' circuits",
    "reversed": "What reappears of the relation's circuit when it is asked in reverse",
}
_PARTS = {"two-hop": "a single hop", "reversed": "the relation as it is"}


def claims(stored: StoredSection) -> list[Claim]:
    """Facts that were asked for by name, then what of each circuit reappears, compared with chance and other tasks."""
    found = stored.read(HopsSummary)
    subjects = dict.fromkeys(row.subject for row in found.named)
    said = [Claim(_named(found, subject), "hop_questions", True) for subject in subjects]
    for row in found.rows:
        if row.part in found.parts:
            text = (
                f"{_shared(row)}, where chance gives {percent(row.by_chance)} (95% of draws "
                f"{percent(row.chance_low)} to {percent(row.chance_high)}); of its {row.nodes} nodes "
                f"{percent(row.nodes_shared)} ({percent(row.nodes_by_chance)} by chance)."
            )
            brief = f"{_shared(row)} ({percent(row.by_chance)} by chance)."
            said.append(Claim(text, "reappearance", True, brief))
    others = [f"{row.part} {percent(row.shared)}" for row in found.rows if row.part in found.unrelated]
    said.append(Claim(f"Of unrelated tasks' circuits reappear: {', '.join(others)} of the edges.", "reappearance"))
    text = _keeps(found)
    return [*said, Claim(text, "reappearance")] if text else said


def _named(found: HopsSummary, subject: str) -> str:
    """What the model says of one fact, asked whole and in single questions, and how its circuits rank the answer."""
    rows = [row for row in found.named if row.subject == subject]
    said = [
        f"after {quoted(row.prompt, 80)} the model "
        + (
            f"says {quoted(row.answer)} first ({chance(row.probability)})"
            if row.rank == 1
            else f"says {quoted(row.first)} first and ranks {quoted(row.answer)} {ordinal(row.rank)} "
            f"({chance(row.probability)})"
        )
        + ("" if row.circuit_rank is None else f"; its own circuit alone ranks that {ordinal(row.circuit_rank)}")
        for row in rows
    ]
    return f"{subject}, asked for by name: {'; '.join(said)}."


def kind_of(found: HopsSummary) -> str:
    """Whether the question has `two-hop`s or is `reversed`."""
    return found.kind or found.rows[0].whole.partition("/")[0]


def _keeps(found: HopsSummary) -> str:
    """What the question's own circuit keeps: on test questions first, then where it was ranked."""
    circuit = f"The circuit of the {kind_of(found)} question"
    ranked = (
        None
        if found.faithfulness is None
        else f"{percent(found.faithfulness)} on the {count(found.prompts, 'prompt')} it was ranked on"
    )
    if found.held_faithfulness is not None:
        text = f"{circuit} keeps {percent(found.held_faithfulness)} of what the model does on "
        return f"{text}{count(found.held_n, 'test question')}{f' ({ranked})' if ranked else ''}."
    return f"{circuit} keeps, of what the model does, {ranked}; test questions were not run." if ranked else ""


def _shared(row: Reappearance) -> str:
    return f"Of the edges of {row.part} {percent(row.shared)} reappear in {row.whole}"


def exhibits(stored: StoredSection) -> list[Exhibit]:
    """Shares of edges."""
    points: list[Row] = []
    found = stored.read(HopsSummary)
    kind_of_question = kind_of(found)
    for row in found.rows:
        kind = _PARTS[kind_of_question] if row.part in found.parts else "an unrelated task"
        points.append({"label": row.part, "kind": kind, "value": row.shared, "low": None, "high": None})
        ends: Row = {"value": row.by_chance, "low": row.chance_low, "high": row.chance_high}
        points.append({"label": row.part, "kind": "as many edges by chance", **ends})
    picture = dots(points, "edges that reappear", colours=_KINDS, width=360, format=".0%")
    whole = found.rows[0].whole
    subtitle = [
        f"Circuits of {found.edges:,} edges, looked for in that of {whole}.",
        "Grey: as many edges from further down the same ranking; the line has 95% of draws.",
    ]
    said = " ".join(claim.text for claim in claims(stored))
    return [
        Exhibit(
            "reappearance",
            finished(picture, _TITLES[kind_of_question], subtitle, said),
            "Every two circuits share something: look at how far a blue point lies to the right of its grey line, and "
            "of the orange points of tasks that have nothing to do with the question. Far to the right means that the "
            f"{kind_of_question} question is answered with the same parts (100% would be all of them).",
        )
    ]


PART = Part("What a two-hop or reversed question shares with its relations", claims, exhibits)
