"""Results of editing as they stand in docs/results/editing.md."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean, median
from typing import Any

import numpy as np

from wheatstone._intervals import MINIMUM_ORDERS, SHARE, crossed_interval, mean_interval
from wheatstone.editing import KINDS, AbilityRow, Evaluation, score_rows

PAGE = Path(__file__).parents[1] / "docs/results/editing.md"
RESULTS = PAGE.with_suffix(".jsonl")
COMPARED = "r-rome"
"""Tried in more than one layer."""
OWN_LAYERS = ("ultraedit", "locft-bf")
"""Methods that write in late layers of their own; in layer 6 they are not what their papers describe."""
Line = dict[str, Any]


def layer_of(method: str, layer: int) -> int | None:
    """Where a method's lines were measured to be compared with others in a layer; None in layers of its own."""
    return None if method in OWN_LAYERS else layer


def lines(results: Path) -> list[Line]:
    """What is there."""
    return [json.loads(line) for line in results.read_text("utf-8").splitlines()] if results.exists() else []


def write_part(name: str, text: str) -> None:
    """Puts text between the page's marks of a name."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, rest = PAGE.read_text("utf-8").split(begin)
    PAGE.write_text(f"{before}{begin}\n{text}{end}{rest.split(end)[1]}", "utf-8")


def tables(found: Sequence[Line], methods: Sequence[str], layer: int) -> str:
    """A table for each length of sequence, all methods in one layer; and one method in every layer it was tried in."""
    parts: list[str] = []
    here = [line for line in found if line["layer"] == layer]
    for kind in sorted({_kind(line) for line in here}):
        rows = {name: [one for one in here if (one["method"], *_kind(one)) == (name, *kind)] for name in methods}
        title = _title(*kind, max(map(len, rows.values()))) + f", in layer {layer}"
        parts += [f"\n### {title}\n", *_table({_name(name, of): of for name, of in rows.items() if of})]
    alone = [line for line in found if (line["method"], line["sequence"]) == (COMPARED, 1)]
    by_layer = {at: [line for line in alone if line["layer"] == at] for at in sorted({one["layer"] for one in alone})}
    if len(by_layer) > 1:
        both = set[str].intersection(*({line["case"] for line in of} for of in by_layer.values()))
        rows = {f"layer {at}": [line for line in of if line["case"] in both] for at, of in by_layer.items()}
        parts += [f"\n### `{COMPARED}` in {' and in '.join(rows)}, the same cases\n", *_table(rows)]
    return "\n".join(parts) + "\n"


def _kind(line: Line) -> tuple[int, bool]:
    """How many facts were changed, and whether by one edit."""
    return line["sequence"], line.get("together", False)


def _title(sequence: int, together: bool, judged: int) -> str:
    if sequence == 1:
        return "One edit at a time"
    how = f"{sequence} facts in one edit" if together else f"{sequence} edits, one on another"
    which = "all judged" if judged >= sequence else f"{judged} of them, evenly spread, judged"
    return f"{how}, {which} at the end"


def _name(method: str, rows: Sequence[Line]) -> str:
    """With how many of a sequence's edits were made, where an earlier one had made the model say a target already."""
    made = (row["sequence"] if row.get("together") else row.get("edits", row["sequence"]) for row in rows)
    short = min((edits for edits, row in zip(made, rows, strict=True) if edits < row["sequence"]), default=None)
    return f"`{method}`" + ("" if short is None else f" (as few as {short} made)")


def _table(rows_of: Mapping[str, Sequence[Line]]) -> list[str]:
    """The lines of each name as a row: teacher-forced [interval] / free."""
    heads = [*KINDS, "score", "perplexity", "fluency", "seconds", "MB", "n"]
    parts = ["| method | " + " | ".join(heads) + " |", "|---" * (len(heads) + 1) + "|"]
    for name, rows in rows_of.items():
        evaluations = [Evaluation.from_document(row) for row in rows]
        scores = {row.kind: row for row in score_rows(evaluations)}
        cells: list[str] = []
        for kind in (*KINDS, "score"):
            row = scores.get(kind)
            if row is None:
                cells.append("–")
                continue
            interval = "" if row.low is None else f" [{row.low:.0%}–{row.high:.0%}]"
            cells.append(f"{row.teacher_forced:.0%}{interval} / {row.free:.0%}")
        before = fmean(one.fluency_before for one in evaluations)
        cells += [
            f"×{median(one.perplexity for one in evaluations):.3f}",
            f"{fmean(one.fluency for one in evaluations):.2f} ({before:.2f})",
            f"{median([row['processor_seconds'] for row in rows if row['processor_seconds'] is not None] or [0]):.1f}",
            f"{median([row['memory_mb'] for row in rows if row['memory_mb'] is not None] or [0]):.0f}",
            str(len(rows)),
        ]
        parts.append(f"| {name} | " + " | ".join(cells) + " |")
    return parts


def use_tables(found: Sequence[Line], methods: Sequence[str], layer: int) -> str:
    """For each length of sequence: probes as people read the answers, and what else the model can do."""
    parts: list[str] = []
    here = [line for line in found if line["layer"] == layer_of(line["method"], layer)]
    for sequence, batch in sorted({(line["sequence"], line["batch"]) for line in here}):
        rows = {
            name: [one for one in here if (one["method"], one["sequence"], one["batch"]) == (name, sequence, batch)]
            for name in methods
        }
        rows = {name: of for name, of in rows.items() if of}
        how = "One edit at a time" if sequence == 1 else f"{sequence:,} facts, {batch} an edit, judged at the end"
        parts += [f"\n### {how}\n", *_use_table(rows)]
        if sequence > 1:
            parts += ["", *_ability_table(rows)]
    return "\n".join(parts) + "\n" if parts else "\nNothing is measured yet.\n"


def _use_table(rows_of: Mapping[str, Sequence[Line]]) -> list[str]:
    """Whole text [interval] over the cases that have it, then teacher-forced / eight tokens over all."""
    parts = ["| method | " + " | ".join((*KINDS, "cases", "orders")) + " |", "|---" * (len(KINDS) + 3) + "|"]
    for name, rows in rows_of.items():
        cases = [row for row in rows if "case" in row]
        orders = sorted({row["order"] for row in cases})
        cells = [_use_cell(cases, orders, kind) for kind in KINDS]
        parts.append(
            f"| `{name}` | " + " | ".join([*cells, str(len({row["case"] for row in cases})), str(len(orders))]) + " |"
        )
    return parts


def _use_cell(rows: Sequence[Line], orders: Sequence[int], kind: str) -> str:
    """Over cases, and over orders where there are enough; no interval where either is too few."""
    evaluations = {(row["order"], row["case"]): Evaluation.from_document(row) for row in rows}
    means = [mean for one in evaluations.values() if (mean := one.mean(kind)) is not None]
    if not means:
        return "–"
    forced, free = (fmean(column) for column in zip(*means, strict=True))
    names = sorted({case for _, case in evaluations})
    table = [
        [evaluations[order, case].whole(kind) if (order, case) in evaluations else None for order in orders]
        for case in names
    ]
    values = np.array([row for row in table if None not in row], dtype=float).T
    if not values.size:
        return f"– ({forced:.0%} / {free:.0%})"
    over = crossed_interval(values, bounds=SHARE) if len(orders) >= MINIMUM_ORDERS else None
    over = over or (mean_interval(values[0], bounds=SHARE) if len(orders) == 1 else None)
    interval = f" [{over[0]:.0%}–{over[1]:.0%}]" if over else ""
    return f"{values.mean():.0%}{interval}, n = {values.shape[1]} ({forced:.0%} / {free:.0%})"


def _ability_table(rows_of: Mapping[str, Sequence[Line]]) -> list[str]:
    """Of each method the mean over its orders; the range of orders in brackets."""
    found = {
        name: [[AbilityRow(*one) for one in row["abilities"]] for row in rows if "abilities" in row]
        for name, rows in rows_of.items()
    }
    every = [row for states in found.values() for state in states for row in state]
    names = list(dict.fromkeys(row.name for row in every if row.measure == "accuracy"))
    before = {row.name: f"{row.before:.0%}, n = {row.n}" for row in every if row.measure == "accuracy"}
    heads = ["perplexity", *(f"{name} ({before[name]})" for name in names), "largest growth of a norm"]
    parts = ["| method | " + " | ".join(heads) + " |", "|---" * (len(heads) + 1) + "|"]
    for name, states in found.items():
        if states:
            cells = [_spread([_one(state, "text") for state in states], "×{:.3f}")]
            cells += [_spread([100 * _one(state, task) for state in states], "{:+.0f} points") for task in names]
            norms = [max((row.change for row in state if row.measure == "norm"), default=1.0) for state in states]
            parts.append(f"| `{name}` | " + " | ".join([*cells, _spread(norms, "×{:.2f}")]) + " |")
    return parts


def _one(rows: Sequence[AbilityRow], name: str) -> float:
    return next(row.change for row in rows if row.name == name)


def _spread(values: Sequence[float], form: str) -> str:
    ends = "" if len(values) == 1 else f" [{form.format(min(values))} to {form.format(max(values))}]"
    return form.format(fmean(values)) + ends
