"""The rows of benchmarks/compression_speed.py as tables."""

# ruff: noqa: E501 - a row of a table is one line

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from wheatstone._intervals import interval_text, mean_interval, median_interval

Row = dict[str, Any]
GOALS = {1_000: 5, 20_000: 20}


def speed(rows: Sequence[Row]) -> Iterator[str]:
    """Time and size of each choice."""
    yield "## Time and size of each choice\n"
    yield (
        "`wheatstone compress` and `decompress --threads 2` of the first bytes of the bundled books, once each. Seconds of the\n"
        "whole command, the model's loading included: by the clock, in brackets of both processors together. Load: processes\n"
        "that wanted one of the two cores just before; much of the clock is then other work's.\n"
    )
    yield "| bytes | choice | compressed | change | compress, s | decompress, s | load | came back |\n|---|---|---|---|---|---|---|---|"
    for size in sorted({row["bytes"] for row in rows}):
        some = [row for row in rows if row["bytes"] == size]
        usual = next((row["code_bytes"] for row in some if row["choice"] == "as it is"), 0)
        for row in some:
            change = "" if row["choice"] == "as it is" or not usual else f"{row['code_bytes'] / usual - 1:+.1%}"
            times = [f"{row[f'{verb}_s']:.0f} ({row[f'{verb}_cpu_s']:.0f})" for verb in ("compress", "decompress")]
            back = "wrong" if row["wrong"] else "identical"
            yield f"| {size:,} | {row['choice']} | {row['code_bytes']:,} | {change} | {' | '.join(times)} | {row['load']:.1f} | {back} |"
    for size, goal in GOALS.items():
        usual = next((row for row in rows if row["bytes"] == size and row["choice"] == "as it is"), None)
        if usual is not None:
            clock = max(usual["compress_s"], usual["decompress_s"])
            cpu = max(usual["compress_cpu_s"], usual["decompress_cpu_s"])
            verdict = "reached" if clock <= goal else "missed"
            yield f"\n{size:,} bytes in {goal} s each way on two cores: {verdict}, {clock:.0f} s by the clock and {cpu:.0f} s of processor time."
    yield ""


def steps(rows: Sequence[Row]) -> Iterator[str]:
    """Processor time of a step by lanes."""
    yield "## A step in 8 bits\n"
    yield (
        f"Processor milliseconds of one step of one thread after {rows[0]['length']} tokens, SmolLM2: with the weights as they are by transformers'\n"
        f"module (`--exact`), with weights in 8 bits, and of mixing and coding, which both have. Medians of {len(rows[0]['exact_s'])} alternations,\n"
        "on a machine where other work shared caches and memory; intervals of 95%.\n"
    )
    yield "| lanes | as they are | in 8 bits | times as fast | mixing and coding | load |\n|---|---|---|---|---|---|"
    for row in rows:
        exact, rounded, coding = (np.array(row[name]) for name in ("exact_s", "rounded_s", "coding_s"))
        share = exact / rounded
        interval = interval_text(median_interval(share)) or "-"
        yield (
            f"| {row['lanes']} | {1e3 * np.median(exact):.0f} | {1e3 * np.median(rounded):.0f} | {np.median(share):.1f} ({interval}) "
            f"| {1e3 * np.median(coding):.0f} | {row['load']:.0f} |"
        )
    yield ""


def rounding(rows: Sequence[Row]) -> Iterator[str]:
    """What rounding costs in bits."""
    exact, rounded = (np.concatenate([row[name] for row in rows]) for name in ("exact_bits", "rounded_bits"))
    change = rounded / exact - 1
    interval = mean_interval(change)
    between = f", 95% interval {interval[0]:+.2%} to {interval[1]:+.2%}" if interval else ""
    yield (
        f"Weights in 8 bits cost {rounded.sum() / exact.sum() - 1:+.2%} bits on {len(exact)} pieces of {rows[0]['tokens']} tokens of {' and '.join(row['key'] for row in rows)}\n"
        f"(mean of the pieces {change.mean():+.2%}{between}; {change.min():+.2%} to {change.max():+.2%}).\n"
    )


def general(rows: Sequence[Row]) -> Iterator[str]:
    """LZMA beside Zstandard."""
    yield "## LZMA or Zstandard\n"
    yield (
        "First bytes of the bundled texts and of shared libraries as blocks: LZMA as files have it (LZMA2 without its container,\n"
        "extreme preset), and Zstandard at level 22 without its checksum and size.\n"
    )
    yield "| kind | bytes a block | blocks | LZMA | Zstandard | blocks where Zstandard is smaller | the smaller of both saves |\n|---|---|---|---|---|---|---|"
    for row in rows:
        saved = 1 - row["either"] / row["lzma"]
        yield f"| {row['kind']} | {row['size']:,} | {row['blocks']} | {row['lzma']:,} | {row['zstd']:,} | {row['zstd_smaller']} | {saved:.2%} |"
    yield ""
