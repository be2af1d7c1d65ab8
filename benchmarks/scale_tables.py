"""The tables of docs/results/scale.md, of the lines of docs/results/scale.jsonl."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

import numpy as np

from wheatstone._intervals import interval_text, mean_interval

Line = dict[str, Any]


def interval(values: Sequence[float]) -> str:
    """Mean and 95% interval; of too few values, the mean alone."""
    between = interval_text(mean_interval(np.array(values)))
    return f"{statistics.fmean(values):.2f}{between and f' [{between}]'} (n = {len(values)})"


def tables(found: dict[str, Line]) -> str:
    """What stands in the page."""
    parts: list[str] = []
    if line := found.get("gain"):
        *turns, whole = line["rows"]
        parts += [
            "## Two processes on two cores over one on one core",
            "| facts | times the throughput | once all are at work |\n|---|---|---|",
            f"| {whole['facts']}, once | {whole['ratio']:.2f} | {whole['pace']:.2f} |\n"
            f"| {turns[0]['facts']}, in turns | {interval([row['ratio'] for row in turns])} | "
            f"{interval([row['pace'] for row in turns])} |",
            f"{whole['facts']} facts took {whole['one']['seconds']:.0f} s and {whole['two']['seconds']:.0f} s. "
            f"Goal: 1.7. {_state(line)}",
        ]
    if line := found.get("ray"):
        rows = line["rows"]
        starts = {who: statistics.median(row[who]["start"] for row in rows) for who in ("processes", "ray")}
        parts += [
            "## Two actors of Ray over two processes",
            "| | times the throughput of processes |\n|---|---|",
            f"| once all are at work | {interval([row['pace'] for row in rows])} |\n"
            f"| with the start, {rows[0]['ray']['shards']} facts | {interval([row['ratio'] for row in rows])} |",
            f"The first result came after {starts['processes']:.1f} s and {starts['ray']:.1f} s (medians). "
            f"Goal: 0.85 at least. {_state(line)}",
        ]
    if line := found.get("overhead"):
        parts += [
            "## What a shard costs beside its work",
            "| executor | ms for each shard that only writes a small file |\n|---|---|",
            "\n".join(f"| {who} | {1000 * line[who]['each']:.1f} |" for who in ("local", "processes", "ray")),
            f"{line['local']['shards']:,} shards, put in place and noted. Goal: 50 ms. A second start, which "
            f"has all of them to look over and none to do, takes {1000 * line['local']['again']:.1f} ms for each. "
            f"{_state(line)}",
        ]
    if line := found.get("kills"):
        parts += [
            "## Killed at random moments",
            f"{line['shards']} shards of a tiny model ({line['seconds']:.1f} s in all), killed {line['kills']} times: "
            f"{'the same bytes' if line['same'] else 'OTHER BYTES'}, and {line['repeated']:.1%} of the work repeated "
            f"({line['begun']} begun). Each kill loses what is under way, half a shard a worker on average, so "
            f"that the share is kills x workers / (2 x shards): {line['kills'] / 2 / line['shards']:.1%} here. "
            f"Goal: 10%. {_state(line)}",
        ]
    if line := found.get("memory"):
        rows = [
            f"| {dtype} | {line[dtype]['weights']:.0f} | "
            + " | ".join(
                ", ".join(f"{process[name]:.0f}" for process in line[dtype]["processes"])
                for name in ("rss", "pss", "uss", "mapped")
            )
            + " |"
            for dtype in ("bfloat16", "float32")
        ]
        parts += [
            "## Memory of two processes, MB",
            "| weights in | weights | RSS | PSS | own alone | mapped from the file |\n|---|---|---|---|---|---|",
            "\n".join(rows),
            _state(line),
        ]
    if line := found.get("cost"):
        shapes = len({(row["layers"], row["heads"]) for row in line["rows"]})
        parts += [
            "## The cost model on random models",
            "Seconds of a processor = c·layers + a·W·T + b·E·d_model·T, with W weights of the layers, E edges and T "
            "tokens of all prompts; W·T and E·d_model·T in 10⁹.",
            "| | c | a | b | median error | worst |\n|---|---|---|---|---|---|",
            "\n".join(
                f"| {what} | {fit['fixed']:.4f} | {fit['weights']:.3f} | {fit['edges']:.3f} | {fit['median']:.0%} | "
                f"{fit['worst']:.0%} |"
                for what, fit in (("EAP-IG, 5 steps", line["scores"]), ("one circuit of eight", line["circuits"]))
            ),
            f"{len(line['rows'])} points: {shapes} shapes of 4 to 16 layers and 2 to 16 heads, d_model 256; 1 or "
            f"4 prompts of 16 or 64 tokens. {_state(line)}",
        ]
    return "\n\n".join(parts).replace("|\n\n|", "|\n|")  # rows follow their heading


def _state(line: Line) -> str:
    return f"Measured on {line['machine']}, load {line['load']:.1f} at the start, {line['date']}."
