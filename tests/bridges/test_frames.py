"""Results as frames of pandas and polars, and as what else reads Arrow's stream interface."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import wheatstone as ws


@pytest.fixture(scope="module")
def rows(tiny_folder: Path) -> ws.LogitAttribution:
    return ws.logit_attribution(ws.load_model(str(tiny_folder))("w3 w1 w4"), "w5", "w6")


def test_pandas(rows: ws.LogitAttribution) -> None:
    frame = rows.to_pandas()
    assert isinstance(frame, pd.DataFrame)
    assert frame.to_dict("records") == rows.to_arrow().to_pylist()


def test_polars_shares_the_memory(rows: ws.LogitAttribution) -> None:
    """Also where polars reads the result by itself."""
    table = rows.to_arrow()
    address = table["direct"].chunk(0).buffers()[1].address
    for frame in (rows.to_polars(), pl.DataFrame(rows)):
        assert frame.to_dicts() == table.to_pylist()
    again = pl.from_arrow(table).to_arrow()["direct"].chunk(0)  # pyright: ignore
    assert again.buffers()[1].address == address


def test_arrow(rows: ws.LogitAttribution) -> None:
    assert pa.table(rows).equals(rows.to_arrow())
