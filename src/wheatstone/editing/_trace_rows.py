"""Traces as rows: one prompt's effects by what a token is, and their mean over the prompts of a relation."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from wheatstone._intervals import DIFFERENCE, mean_intervals
from wheatstone.editing._tracing import ROLES, SITES, Trace


class TraceRow(NamedTuple):
    """One row of a trace, of one prompt or over prompts.

    Args:
        site: `state`, `mlp` or `attention`.
        role: of the token.
        layer: restored, or in the middle of the window.
        effect: indirect effect, in probability of the answer; its mean over prompts.
        low: lower end of the 95% interval over prompts; None for fewer than four.
        high: upper end.
        n: prompts that have such a token.
    """

    site: str
    role: str
    layer: int
    effect: float
    low: float | None
    high: float | None
    n: int


def prompt_rows(trace: Trace) -> list[TraceRow]:
    """One prompt's effects by what a token is; several tokens of one role are averaged."""
    rows: list[TraceRow] = []
    for site, effects in trace.effects.items():
        for role in ROLES:
            here = [place for place, position in enumerate(trace.positions) if trace.role(position) == role]
            if here:
                by_layer = effects[:, here].mean(1).tolist()
                rows += [TraceRow(site, role, layer, effect, None, None, 1) for layer, effect in enumerate(by_layer)]
    return rows


def mean_rows(rows: Iterable[TraceRow]) -> list[TraceRow]:
    """Average indirect effects over prompts, with intervals.

    Args:
        rows: of single prompts, all of them.
    """
    found: dict[tuple[str, str], dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        found[row.site, row.role][row.layer].append(row.effect)
    means: list[TraceRow] = []
    for site, role in sorted(found, key=lambda key: (SITES.index(key[0]), ROLES.index(key[1]))):
        layers = found[site, role]
        by_layer = np.array(list(layers.values()))
        intervals = mean_intervals(by_layer, bounds=DIFFERENCE)
        means += [
            TraceRow(site, role, layer, float(values.mean()), *interval, len(values))
            for layer, values, interval in zip(layers, by_layer, intervals, strict=True)
        ]
    return means


def trace_rows(traces: Sequence[Trace]) -> list[TraceRow]:
    """Average indirect effects over prompts, by what a token is, with intervals.

    Args:
        traces: of prompts of a relation.
    """
    return mean_rows(row for trace in traces for row in prompt_rows(trace))
