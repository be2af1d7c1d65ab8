"""Results of editing as they stand in docs/results/editing.md."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean, median
from typing import Any

from wheatstone.editing import KINDS, Evaluation, score_rows

PAGE = Path(__file__).parents[1] / "docs/results/editing.md"
RESULTS = PAGE.with_suffix(".jsonl")
COMPARED = "r-rome"
"""Tried in more than one layer."""
Line = dict[str, Any]


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
            f"{median(row['processor_seconds'] for row in rows):.1f}",
            f"{median(row['memory_mb'] for row in rows):.0f}",
            str(len(rows)),
        ]
        parts.append(f"| {name} | " + " | ".join(cells) + " |")
    return parts
