"""The tables that every run with a circuit has, with their columns also where they have no rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple
from pathlib import Path

from wheatstone._effects import lost
from wheatstone.discovery import CurvePoint, SearchStep
from wheatstone.lenses import AttentionRow, LensRow
from wheatstone.runs import Table, write_table


def write_curves(
    folder: Path,
    curve: Sequence[CurvePoint],
    trace: Sequence[SearchStep],
    lens: Sequence[LensRow],
    attention: Sequence[AttentionRow],
    goal: str = "sufficient",
) -> None:
    """Writes `curve`, `trace`, `lens` and `attention`.

    Args:
        folder: of the run.
        curve: faithfulness by size.
        trace: the steps of the search; how far each got is named by what the goal measures.
        lens: the answer by layer.
        attention: of the circuit's strongest heads.
        goal: of the search.
    """
    write_table(Table.of(CurvePoint, map(astuple, curve)), folder / "curve.parquet")
    write_table(Table.of(SearchStep, map(astuple, trace)), folder / "trace.parquet", reached=lost(goal))
    write_table(Table.of(LensRow, lens), folder / "lens.parquet")
    write_table(Table.of(AttentionRow, attention), folder / "attention.parquet")
