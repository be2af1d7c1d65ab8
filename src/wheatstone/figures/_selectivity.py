"""What every task loses without every circuit, as a map and as a page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import altair as alt

from wheatstone.figures._page import PagePart, PageTable, captioned, drawn_of, made_of, page_of, settings_of
from wheatstone.figures._report import Picture
from wheatstone.figures._theme import INK, finished, growing, of_rows, squares, written
from wheatstone.figures._view import Charts, View, itself
from wheatstone.runs import Row, Run
from wheatstone.verification import Estimate, words_of

_TITLE = "What tasks lose without each other's circuits"
_CAPTION = (
    "Rows: circuits that are ablated in the whole model. Columns: tasks. Each cell: share of the task's behaviour that "
    "is lost, in percent, (model − model without the circuit) / (model − empty). The diagonal is framed. What lies "
    "below 0 or above 100 is drawn at the end of the scale."
)


@dataclass(frozen=True, eq=False)
class Matrix:
    """What is drawn.

    Args:
        found: `selectivity.json`.
        cells: rows of `matrix.parquet`.
    """

    found: Mapping[str, Any]
    cells: list[Row]


def matrix(data: Matrix) -> alt.LayerChart:
    """Every circuit against every task.

    When this misleads: a task that depends on few edges loses much without any circuit: compare within a column.
    """
    names = [row["circuit"] for row in data.found["circuits"]]
    tasks = [name for name in names if any(cell["task"] == name for cell in data.cells)]
    side = max(16, min(60, 640 // len(names)))
    rows = [
        cell | {"percent": round(cell["lost"] * 100), "own": cell["circuit"] == cell["task"]} for cell in data.cells
    ]
    axis: dict[str, Any] = {"labelLimit": 180, "labelColor": INK, "domain": False, "ticks": False}
    x = alt.X("task:N", scale=alt.Scale(domain=tasks), axis=alt.Axis(title="task", labelAngle=-60, **axis))
    y = alt.Y("circuit:N", scale=alt.Scale(domain=names), axis=alt.Axis(title="circuit that is ablated", **axis))
    legend = alt.Legend(title="share lost", format=".0%", gradientLength=200, tickCount=4, orient="bottom")
    tooltip = [
        alt.Tooltip("circuit:N", title="without"),
        alt.Tooltip("task:N"),
        alt.Tooltip("lost:Q", format=".1%"),
        alt.Tooltip("low:Q", title="95% from", format=".1%"),
        alt.Tooltip("high:Q", title="to", format=".1%"),
        alt.Tooltip("facts:Q"),
    ]
    heat = squares(rows, x, y, alt.Color("lost:Q", scale=growing(clamp=True), legend=legend), tooltip)
    numbers = written(rows, x, y, "percent:Q", "datum.lost > 0.45", fontSize=8 if side < 24 else 11)
    own = of_rows([row for row in rows if row["own"]]).mark_rect(filled=False, stroke=INK, strokeWidth=2).encode(x, y)
    picture = alt.layer(heat, numbers, own).properties(width=side * len(tasks), height=side * len(names))
    subtitle = ["Share of a task's behaviour that is lost when a circuit is ablated in the whole model, in percent."]
    return finished(picture, _TITLE, subtitle, f"{_TITLE}. {' '.join(lead(data.found))}")


def lead(found: Mapping[str, Any]) -> list[str]:
    """The diagonal against the rest, in words."""
    if found["difference"] is None:
        return ["No circuit could be measured on its own task and on another."]
    own, others, difference = (words_of(Estimate(**found[of])) for of in ("own", "others", "difference"))
    return [
        f"Without a circuit its own task loses {own} of its behaviour on average over circuits, another task {others}: "
        f"a difference of {difference}.",
        f"Of {found['difference']['n']} tasks {found['first']} lose most without their own circuit.",
    ]


def _page(run: Run, drawn: Mapping[str, Picture], missing: Mapping[str, str]) -> str:
    found = run.result
    rows = tuple(
        (
            row["circuit"],
            f"{row['ablated']:,} of {row['edges']:,}",
            _share(row["own"]),
            _share(row["others"]),
            "–" if row["own"] is None else f"{row['clearly_less']} of {row['compared']}",
            "–" if row["own"] is None else str(row["place"]),
        )
        for row in found["circuits"]
    )
    names = ("edges ablated", "own task loses", "others lose, mean", "clearly less", "place")
    columns = (("circuit", False), *((name, True) for name in names))
    caption = (
        "Intervals: of the own task over facts, of the others over tasks. Clearly less: tasks whose interval lies "
        "below the own task's. Place: of the circuit among all by what its own task loses without each; 1 is most."
    )
    parts = [
        PagePart("The matrix", (), drawn_of(captioned(drawn, {"matrix": _CAPTION}), "matrix")),
        PagePart("Circuit by circuit", (), (), (PageTable(caption, columns, rows),)),
    ]
    if found["failed"]:
        parts.append(PagePart("Not measured", tuple(f"{name}: {why}" for name, why in found["failed"].items())))
    return page_of("selectivity", _TITLE, lead(found), parts, made_of(run.manifest, settings_of(run)))


def _share(found: Mapping[str, Any] | None) -> str:
    return "–" if found is None else words_of(Estimate(**found))


def _charts(run: Run) -> Charts:
    return {"matrix": lambda: matrix(Matrix(run.result, run.rows("matrix")))}


VIEW = View(itself, _charts, _page)
