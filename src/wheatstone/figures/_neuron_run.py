"""Reading a run of `wheatstone neuron`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from wheatstone._errors import RunError
from wheatstone._parquet import read_parquet
from wheatstone.runs import read_json, read_manifest


def read_neuron_run(
    run: Path, verb: str, summary: str, tables: Sequence[str]
) -> tuple[dict[str, Any], dict[str, Any], list[list[dict[str, Any]]]]:
    """A run's manifest, its summary and its tables' rows.

    Args:
        run: its folder.
        verb: that made it, such as `probe`.
        summary: name of the JSON file with what was found.
        tables: names of the Parquet files.

    Raises:
        RunError: there is no such run, or a file of it is missing or damaged.
    """
    try:
        manifest, found = read_manifest(run), read_json(run, f"{summary}.json")
        return manifest, found, [read_parquet(run / f"{name}.parquet").to_pylist() for name in tables]
    except (OSError, ValueError) as error:
        raise RunError(
            expected=f"the folder of a run of `wheatstone neuron {verb}`",
            got=f"{run}: {error}",
            do="give the folder that --out named",
        ) from error
