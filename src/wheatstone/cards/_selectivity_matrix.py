"""The matrix of what every task loses without every circuit, and its diagonal against the rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

import numpy as np

from wheatstone._intervals import mean_interval
from wheatstone.verification import Estimate, ratio_estimate


class Lost(NamedTuple):
    """One cell of the matrix.

    Args:
        circuit: that is ablated in the whole model.
        task: that is measured.
        lost: (model − model without the circuit) / (model − empty), each averaged over facts before dividing.
        low: lower end of its 95% interval over facts.
        high: upper end.
        facts: of the task.
    """

    circuit: str
    task: str
    lost: float
    low: float | None
    high: float | None
    facts: int


def matrix_of(results: Sequence[Mapping[str, Any]]) -> list[Lost]:
    """The cells of the tasks that were measured.

    Args:
        results: of each task, what its shard wrote.
    """
    cells: list[Lost] = []
    for result in results:
        whole = np.array(result["whole"])
        for circuit, values in result["lost"].items():
            found = ratio_estimate(np.array(values), whole)
            cells.append(Lost(circuit, result["task"], found.value, found.low, found.high, found.n))
    return cells


def summary_of(matrix: Sequence[Lost], sizes: Mapping[str, tuple[int, int]]) -> dict[str, Any]:
    """The diagonal against the rest.

    Args:
        matrix: the cells.
        sizes: edges of each circuit, and how many of them are ablated.

    Returns:
        `circuits`, one row for each: what its own task loses, what the others lose on average with a 95% interval over
        tasks, how many of them clearly lose less (their interval lies below its own's), and its place among all
        circuits by what its own task loses without each, from 1; `own`, `others` and `difference`, means over circuits
        with 95% intervals over circuits; and `first`, how many circuits are in first place.
    """
    cells = {(cell.circuit, cell.task): cell for cell in matrix}
    tasks = list(dict.fromkeys(cell.task for cell in matrix))
    rows: list[dict[str, Any]] = []
    for name, (edges, ablated) in sizes.items():
        others = [cells[name, task] for task in tasks if task != name]
        own = cells.get((name, name))
        row: dict[str, Any] = {"circuit": name, "edges": edges, "ablated": ablated}
        row["others"] = asdict(_mean([cell.lost for cell in others])) if others else None
        row["own"] = None if own is None else {"value": own.lost, "low": own.low, "high": own.high, "n": own.facts}
        row["place"] = own and 1 + sum(cells[other, name].lost > own.lost for other in sizes)
        row["clearly_less"] = own and sum(_is_less(cell, own) for cell in others)
        row["compared"] = len(others)
        rows.append(row)
    known = [row for row in rows if row["own"] is not None and row["others"] is not None]
    own, others = ([row[of]["value"] for row in known] for of in ("own", "others"))
    return {
        "circuits": rows,
        "own": asdict(_mean(own)) if known else None,
        "others": asdict(_mean(others)) if known else None,
        "difference": asdict(_mean(np.subtract(own, others).tolist())) if known else None,
        "first": sum(row["place"] == 1 for row in known),
    }


def _mean(values: Sequence[float]) -> Estimate:
    """A mean over circuits or tasks."""
    low, high = mean_interval(np.array(values)) or (None, None)
    return Estimate(float(np.mean(values)), low, high, len(values))


def _is_less(cell: Lost, own: Lost) -> bool:
    return cell.high is not None and own.low is not None and cell.high < own.low
