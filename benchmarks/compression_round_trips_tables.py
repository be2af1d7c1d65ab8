"""The rows of benchmarks/compression_round_trips.py as sentences and a table."""

# ruff: noqa: E501 - a row of a table is one line

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from compression_round_trips import COMMANDS

Row = dict[str, Any]


def random_files(rows: Sequence[Row]) -> Iterator[str]:
    """Bytes that no model foresees."""
    yield "## Round trips\n"
    for model in dict.fromkeys(row["model"] for row in rows):
        some = [row for row in rows if row["model"] == model]
        whole = [
            row for row in some if "/from " not in row["key"]
        ]  # measured in one row, some of them again in another
        some = [max(whole, key=lambda row: row["files"])] if whole else some
        files, symbols, wrong = (sum(row[name] for row in some) for name in ("files", "symbols", "wrong"))
        yield (
            f"{files:,} files of 0 to 4,096 random bytes, {symbols:,} symbols, through the model `{model}` and back,\n"
            f"coded although storing is smaller, every other one with mixing: {wrong} came back wrong.\n"
        )


def texts(rows: Sequence[Row]) -> Iterator[str]:
    """All that is bundled."""
    row = rows[0]
    yield (
        f"All {row['files']} bundled texts, whole, {row['bytes']:,} bytes in {row['symbols']:,} symbols, likewise: {row['wrong']} came back wrong. The\n"
        f"symbols that `{row['of']}` has for them join to other bytes in {row['unjoined']}.\n"
    )


def commands(rows: Sequence[Row]) -> Iterator[str]:
    """Files through the real commands."""
    yield (
        f"Through `wheatstone compress --threads 1` and `decompress` with SmolLM2, the bundled text\n"
        f"`{COMMANDS}`{' and random files' if len(rows) > 1 else ''}. Seconds of the whole command, the model's loading included, on a core that other work shared.\n"
    )
    yield "| file | bytes | compressed | compress, s | decompress, s | came back |\n|---|---|---|---|---|---|"
    for row in sorted(rows, key=lambda row: -row["bytes"]):
        name, back = row["key"].split("/", 1)[1], "wrong" if row["wrong"] else "identical"
        yield f"| {name} | {row['bytes']:,} | {row['code_bytes']:,} | {row['compress_s']:.0f} | {row['decompress_s']:.0f} | {back} |"
    yield ""
