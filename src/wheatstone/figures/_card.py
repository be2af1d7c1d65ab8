"""`card.html`: a circuit's card as one page. A verdict in words for each claim, and the numbers behind it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from wheatstone._intervals import interval_text
from wheatstone._path import StrPath
from wheatstone.checkpoints import shown_name
from wheatstone.figures._circuit import chart as circuit_chart
from wheatstone.figures._load import RunData
from wheatstone.figures._page import PagePart, PagePicture, PageTable, page_of
from wheatstone.figures._report import Picture, title_of
from wheatstone.figures._words import count, decimal, percent, warnings_of
from wheatstone.runs import sound
from wheatstone.verification import (
    NOT_SUPPORTED,
    NOT_TESTED,
    SUPPORTED,
    Card,
    CoreLine,
    Estimate,
    HeldOutLine,
    NullLine,
    SecondLine,
    SelectivityLine,
    SpecificationLine,
)

_TITLES = {
    "held_out": "Does it hold on facts that it was not found on?",
    "core": "Do the same edges come back?",
    "null": "Does chance do the same?",
    "second": "Can other edges do the same?",
    "specification": "Does the claim depend on how it is measured?",
    "selectivity": "Is it about this behaviour?",
}
_NUMBER, _WORDS = True, False


def card_page(run: StrPath, folder: StrPath, card: Card, document: Mapping[str, Any]) -> str:
    """Composes the page of a card.

    Args:
        run: the run.
        folder: of the card's tables.
        card: its card.
        document: `card.json`, for the settings and the date.

    Returns:
        The page, as HTML that needs no other file.

    Raises:
        RunError: the run cannot be read.
    """
    run, folder = Path(run), Path(folder)
    with sound(run):
        data = replace(RunData.load(run), card=folder)
        return page_of(
            "circuit card",
            title_of(data),
            _lead(card),
            [_verdicts(card), *(_part(name, line, data) for name, line in card.lines)],
            _facts(data, card, document),
            warnings_of(data.manifest),
        )


def _lead(card: Card) -> list[str]:
    """How many claims are supported; there is no overall score."""
    by: dict[str, list[str]] = {SUPPORTED: [], NOT_SUPPORTED: [], NOT_TESTED: []}
    for _, line in card.lines:
        by[line.verdict].append(line.claim)
    said = [f"A circuit of {count(card.edges, 'edge')} ({percent(card.edges / card.total_edges)} of the model's)."]
    for verdict, words in ((SUPPORTED, "Supported"), (NOT_SUPPORTED, "Not supported"), (NOT_TESTED, "Not tested")):
        if by[verdict]:
            said.append(f"{words}: {len(by[verdict])} of {len(card.lines)} claims.")
    return said


def _verdicts(card: Card) -> PagePart:
    rows = tuple((line.claim, line.verdict, line.why) for _, line in card.lines)
    caption = (
        "Each claim is judged by its own numbers. “Not supported” means that the numbers do not show it: the claim may "
        "be false, or the facts too few to decide."
    )
    columns = (("claim", _WORDS), ("verdict", _WORDS), ("why", _WORDS))
    return PagePart("What can be said of it", (), (), (PageTable(caption, columns, rows),))


def _part(name: str, line: Any, data: RunData) -> PagePart:
    tables = {
        "held_out": _held_out,
        "core": _core,
        "null": _null,
        "second": _second,
        "specification": _specification,
        "selectivity": _selectivity,
    }
    text = (f"{line.verdict.capitalize()}. {line.why}",)
    pictures = _map(data) if name == "core" else ()
    return PagePart(_TITLES[name], text, pictures, tuple(tables[name](line)))


def _map(data: RunData) -> tuple[PagePicture, ...]:
    """The circuit by which of its edges recur; none where that was not counted."""
    if not data.decisions:
        return ()
    caption = (
        "The circuit by layer, read upwards. Colour: how often an edge is among the strongest when the prompts are "
        "drawn again. Dashed edges suppress the answer."
    )
    return (PagePicture("circuit", Picture.of(circuit_chart(data, by_decision=True)), caption),)


def _held_out(line: HeldOutLine) -> list[PageTable]:
    if line.kept is None:
        return []
    rows = [
        ("share kept of a fact, mean", *_cells(line.kept), "at any number of facts, however often one looks"),
        ("faithfulness of the means", *_cells(line.faithfulness), "for a number of facts that was fixed before"),
    ]
    stopped = "" if line.facts == line.available else " The question was decided after these."
    changed = f" {count(line.left_out, 'fact')} left out, on which the model itself does not change its answer."
    left = changed if line.left_out else ""
    caption = (
        f"{line.facts} of {count(line.available, 'held-out fact')} measured, in random order.{stopped}{left} In "
        f"the first line a share of 1.2 counts as 0.8; its interval: {line.bound}."
    )
    columns = (("number", _WORDS), ("value", _NUMBER), ("95% interval", _NUMBER), ("facts", _NUMBER), ("valid", _WORDS))
    return [PageTable(caption, columns, tuple(rows))]


def _core(line: CoreLine) -> list[PageTable]:
    if not line.samples:
        return []
    numbers = [
        ("edges of the circuit: in", f"{line.decisions['in']:,}"),
        ("edges of the circuit: undecided", f"{line.decisions['undecided']:,}"),
        ("edges of the circuit: out", f"{line.decisions['out']:,}"),
        ("edges of the whole model that are in", f"{line.recurring:,}"),
        ("of these expected by chance, at most", decimal(line.expected_by_chance or 0.0, 1)),
        ("overlap of two samples (Jaccard, edges)", _number(line.overlap)),
        ("overlap of two halves of the prompts, edges that are in", _number(line.half_edges)),
        ("overlap of two halves, nodes", _number(line.half_nodes)),
        (f"faithfulness of the circuit ({line.measured_on})", _with_interval(line.circuit)),
        ("faithfulness of its edges that are in, alone", _with_interval(line.core)),
    ]
    caption = (
        f"{line.samples} bootstrap samples of {count(line.prompts, 'prompt')}; each keeps the {line.size:,} edges of "
        f"the largest mean score ({line.method}). In: kept by at least 90% of samples; out: by at most 10%."
    )
    edges = [
        (
            f"{row.sender} → {row.receiver}",
            row.decision,
            decimal(row.inclusion),
            percent(row.sign),
            decimal(row.score, 3),
            _with_interval(row.effect) if row.effect else "not measured",
        )
        for row in line.edges
    ]
    columns = (
        *(("edge", _WORDS), ("decision", _WORDS), ("inclusion", _NUMBER), ("same sign", _NUMBER)),
        *(("mean score", _NUMBER), ("exact effect", _NUMBER)),
    )
    listed = (
        f"The circuit's {len(edges)} edges of the strongest scores; every edge of the model is in {line.listed}. "
        "Same sign: share of prompts on which the score has the sign of its mean. Exact effect: share of the behaviour "
        "lost when the edge alone is removed from the circuit, with its 95% interval over prompts."
    )
    summary = PageTable(caption, (("number", _WORDS), ("value", _NUMBER)), tuple(numbers))
    return [summary, PageTable(listed, columns, tuple(edges))]


def _null(line: NullLine) -> list[PageTable]:
    if not line.rows:
        return []
    rows = [
        (f"{row.name}: not tested, {row.missing}", "", "", "", "", "")
        if row.missing
        else (
            row.name,
            f"{row.draws:,}",
            _with_interval(row.kept),
            _with_interval(row.against),
            _with_interval(row.specificity, 1) if row.specificity else "–",
            percent(row.shared or 0.0),
        )
        for row in line.rows
    ]
    caption = (
        f"Faithfulness on {line.measured_on}. Evenly drawn circuits match the size alone. With heads exchanged, size, "
        "layers and connections are the circuit's, and heads of a layer have changed places. Shuffled answers: the "
        f"{line.size:,} edges of the largest scores when each prompt is given another's answers, against as many with "
        "the true answers. A dash: chance keeps about nothing, or may, and no ratio is given."
    )
    columns = (
        *(("circuits", _WORDS), ("draws", _NUMBER), ("kept", _NUMBER), ("compared with", _NUMBER)),
        *(("times as much", _NUMBER), ("own edges in them", _NUMBER)),
    )
    return [PageTable(caption, columns, tuple(rows))]


def _second(line: SecondLine) -> list[PageTable]:
    if line.goal is None:
        return []
    numbers = [
        ("share of the behaviour to keep", percent(line.goal)),
        ("edges that the same scoring needs, of all", "none found" if line.first is None else f"{line.first:,}"),
        ("edges without the circuit's", "none found" if line.edges is None else f"{line.edges:,}"),
        ("largest size tried", f"{line.largest:,}"),
        ("indispensable edges that both may use", ", ".join(line.spared) or "none"),
        ("overlap of nodes", _number(line.nodes_shared)),
        (f"faithfulness of the second ({line.measured_on})", _with_interval(line.faithfulness)),
        ("model without the circuit's edges", _with_interval(line.without_first)),
        ("model without the second's edges", _with_interval(line.without_second)),
        ("model without either's", _with_interval(line.without_both)),
    ]
    tables = [
        PageTable(
            "A circuit of the same scoring that may not use the first one's edges. Indispensable: without one of them "
            "the whole model loses at least half of the behaviour.",
            (("number", _WORDS), ("value", _NUMBER)),
            tuple(numbers),
        )
    ]
    if line.backups:
        rows = [
            (row.head, percent(row.intact), percent(row.ablated), _with_interval(row.growth, 4)) for row in line.backups
        ]
        caption = "Heads whose direct effect on the answer grows most when the circuit's edges are ablated."
        columns = (
            ("head", _WORDS),
            ("in the whole model", _NUMBER),
            ("without the circuit", _NUMBER),
            ("growth", _NUMBER),
        )
        tables.append(PageTable(caption, columns, tuple(rows)))
    return tables


def _specification(line: SpecificationLine) -> list[PageTable]:
    if not line.rows:
        return []
    rows = [
        (
            row.ablation,
            row.metric,
            row.asked or "as found",
            row.missing or _with_interval(row.kept),
            "–" if row.random is None else percent(row.random),
        )
        for row in line.rows
    ]
    columns = (
        ("ablation", _WORDS),
        ("metric", _WORDS),
        ("prompts", _WORDS),
        ("faithfulness", _WORDS),
        ("heads exchanged", _NUMBER),
    )
    caption = f"Faithfulness of the circuit, and mean of circuits with heads exchanged, on {line.measured_on}."
    return [PageTable(caption, columns, tuple(rows))]


def _selectivity(line: SelectivityLine) -> list[PageTable]:
    if not line.rows:
        return []
    own = [("its own", _with_interval(line.own))]
    rows = [*own, *((row.task, row.missing or _with_interval(row.lost)) for row in line.rows)]
    caption = "Share of each task's behaviour that is lost when the circuit's edges are ablated in the whole model."
    return [PageTable(caption, (("task", _WORDS), ("lost", _WORDS)), tuple(rows))]


def _facts(data: RunData, card: Card, document: Mapping[str, Any]) -> dict[str, str]:
    model = data.manifest["model"]
    settings = {
        name: f"{value:,}" if isinstance(value, int) else str(value)
        for name, value in document["settings"].items()
        if value not in ((), [])
    }
    return {
        "made": str(document["created"]),
        "model": f"{shown_name(model)}, family {model['family']}",
        "weights (SHA-256)": str(model["sha256"] or "unknown"),
        "circuit": f"{count(card.edges, 'edge')}, goal {card.goal}; see report.html",
        **settings,
        "time": ", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in card.seconds.items()),
        "version": str(document["wheatstone"]),
    }


def _cells(found: Estimate | None) -> tuple[str, str, str]:
    if found is None:
        return "–", "", ""
    return decimal(found.value), interval_text((found.low, found.high)), str(found.n)


def _number(value: float | None) -> str:
    return "–" if value is None else decimal(value)


def _with_interval(found: Estimate | None, digits: int = 2) -> str:
    """`0.87 (0.80 to 0.93)`."""
    if found is None:
        return "–"
    between = interval_text((found.low, found.high), digits)
    return f"{decimal(found.value, digits)} ({between})" if between else decimal(found.value, digits)
