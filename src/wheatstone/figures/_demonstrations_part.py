"""In-context learning on the page: accuracy with and without demonstrations, and without the heads that enter."""

from __future__ import annotations

from wheatstone._intervals import interval_note
from wheatstone.figures._dots import dot, dots, span
from wheatstone.figures._explained import Claim, Exhibit, Part, StoredSection
from wheatstone.figures._theme import BLUE, finished
from wheatstone.figures._words import count, percent, quoted, visible
from wheatstone.mechanisms import DemonstrationsSummary, InContextRow, QuestionRow

_CONDITIONS = {
    "no demonstrations": "no demonstrations",
    "demonstrations": "with demonstrations",
    "entering": "… without the heads that enter",
    "random": "… without as many random heads",
    "most attended": "… without the most attended heads",
}


def claims(stored: StoredSection) -> list[Claim]:
    """What demonstrations bring, which heads enter, and what they are worth."""
    found = stored.read(DemonstrationsSummary)
    rows = {row.condition: row for row in found.rows}
    shown, alone = rows["demonstrations"], rows["no demonstrations"]
    asked = f", asked as {quoted(found.template, 60)}" if found.template else ""
    unstated = (
        ""
        if found.template
        else " Without them the question does not say what is asked, so that the two cannot be compared."
    )
    text = (
        f"With demonstrations {_right(shown)} of {shown.n} questions are answered right, without {_right(alone)} "
        f"({found.task}{asked}).{unstated}"
    )
    brief = (
        f"Demonstrations raise the questions answered right from {percent(alone.accuracy)} to "
        f"{percent(shown.accuracy)} ({count(shown.n, 'question')})."
    )
    lead = bool(found.template) and shown.accuracy > alone.accuracy
    said = [Claim(_question(row), "in_context_questions", True) for row in found.named]
    said.append(Claim(text, "in_context", lead, brief))
    if found.entering:
        text = (
            f"{count(found.entering_count, 'head')} write only in the circuit with demonstrations; the strongest: "
            f"{', '.join(found.entering)}."
        )
        said.append(Claim(text, "in_context"))
        entering, random, attended = (rows[name] for name in ("entering", "random", "most attended"))
        text = (
            f"Without {count(entering.heads, 'head')} of these {_right(entering)} are right; without as many random "
            f"ones {_right(random)}; without those that attend most to the demonstrations {_right(attended)} "
            f"({count(entering.n, 'question')})."
        )
        said.append(Claim(text, "in_context", True, text))
    else:
        said.append(Claim("No head writes only in the circuit with demonstrations.", "in_context"))
    return said


def _question(row: QuestionRow) -> str:
    ways = ", ".join(
        f"{way} the model begins {quoted(visible(first), 20)} ({'right' if right else 'wrong'})"
        for way, first, right in (
            ("with demonstrations", row.shown, row.shown_right),
            ("without", row.alone, row.alone_right),
        )
    )
    return f"{row.subject}, asked for by name: {ways}; right is {quoted(row.answer, 20)}."


def _right(row: InContextRow) -> str:
    return f"{percent(row.accuracy)}{span(row, 'accuracy', percent)}"


def exhibits(stored: StoredSection) -> list[Exhibit]:
    """Accuracy under each condition."""
    found = stored.read(DemonstrationsSummary)
    rows = {row.condition: row for row in found.rows}
    points = [dot(label, rows[name], "accuracy") for name, label in _CONDITIONS.items()]
    picture = dots(points, "questions answered right", colours={"": BLUE}, width=360, format=".0%")
    n = rows["demonstrations"].n
    subtitle = [
        f"{count(n, 'question')} of {found.task}; {interval_note(n, 'lines')}.",
        f"Heads enter if they write only in the circuit with demonstrations ({found.edges:,} edges).",
    ]
    said = " ".join(claim.text for claim in claims(stored))
    chart = finished(picture, "What demonstrations bring, and who brings it", subtitle, said)
    return [
        Exhibit(
            "in_context",
            chart,
            "From the second row downwards: if the heads that enter with demonstrations are what helps, taking them "
            "out must cost more than taking out as many random heads.",
        )
    ]


PART = Part("What demonstrations bring", claims, exhibits)
