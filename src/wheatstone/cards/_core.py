"""Which edges of a circuit come back when the prompts are drawn again, as a line of its card and as a table."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from wheatstone._text import count
from wheatstone.cards._scores import edge_columns
from wheatstone.discovery import IN, PromptScores, Recurrence
from wheatstone.verification import NOT_SUPPORTED, NOT_TESTED, SUPPORTED, CoreLine, EdgeRow, Estimate, percents

EDGES = "edges.parquet"
_LEAST = 0.8
"""Overlap of the cores of two halves of the prompts from which edges are said to come back."""
_LISTED = 40
CLAIM = "The same edges come back when the prompts are drawn again."


def core_line(
    keep: Bool[Tensor, " edge"],
    scores: PromptScores,
    found: Recurrence,
    *,
    circuit: Estimate,
    core: Estimate | None,
    measured_on: str,
) -> CoreLine:
    """What recurs of a circuit.

    Args:
        keep: the circuit.
        scores: prompt by prompt.
        found: what recurs in them.
        circuit: faithfulness of the circuit.
        core: of its edges that are in, alone; None where none is.
        measured_on: prompts of these two, in words.
    """
    decisions = {
        "in": int((keep & found.decided_in).sum()),
        "out": int((keep & found.decided_out).sum()),
        "undecided": int((keep & ~found.decided_in & ~found.decided_out).sum()),
    }
    halves = float(np.mean(found.half_edges)) if found.half_edges else None
    nodes = float(np.mean(found.half_nodes)) if found.half_nodes else None
    total = int(keep.sum())
    parts = [
        f"Of {total:,} edges {decisions['in']:,} are in, {decisions['undecided']:,} undecided and "
        f"{decisions['out']:,} out (in: among the {found.size:,} first of at least {percents(IN)} of {found.samples} "
        f"samples of {count(found.prompts, 'prompt')}, scored by {scores.method})."
    ]
    if core is not None:
        alone, whole = percents(core.value), percents(circuit.value)
        parts.append(f"Those that are in keep {alone} alone, the circuit {whole} ({measured_on}).")
    if halves is None:
        verdict = NOT_TESTED
        parts.append(f"Too few prompts ({found.prompts}) to compare two halves of them.")
    else:
        verdict = SUPPORTED if halves >= _LEAST else NOT_SUPPORTED
        parts.append(
            f"What is in on one half of the prompts and on the other overlaps by {halves:.2f} in edges and "
            f"{nodes:.2f} in nodes (asked: {_LEAST} in edges)."
        )
    return CoreLine(
        CLAIM,
        verdict,
        " ".join(parts),
        scores.method,
        found.prompts,
        found.samples,
        found.size,
        decisions,
        int(found.decided_in.sum()),
        found.expected_by_chance,
        found.overlap,
        halves,
        nodes,
        circuit,
        core,
        measured_on,
        _rows(keep, scores, found),
        f"card/{EDGES}",
    )


def with_effects(line: CoreLine, effects: dict[tuple[str, str], Estimate]) -> CoreLine:
    """The line with exact effects of some of its edges."""
    edges = tuple(replace(row, effect=effects.get((row.sender, row.receiver))) for row in line.edges)
    return replace(line, edges=edges)


def edge_table(keep: Bool[Tensor, " edge"], scores: PromptScores, found: Recurrence) -> pa.Table:
    """Every edge of the graph: whether the circuit keeps it, its inclusion, decision, sign and mean score."""
    decision = _decisions(found)
    columns = edge_columns(scores.graph) | {
        "circuit": pa.array(keep.numpy()),
        "inclusion": pa.array(found.inclusion.numpy()),
        "decision": pa.array([_NAMES[at] for at in decision.tolist()]).dictionary_encode(),
        "sign": pa.array(found.sign.numpy()),
        "score": pa.array(scores.values.mean(0).numpy()),
    }
    return pa.table(columns)


_NAMES = ("undecided", "in", "out")


def _decisions(found: Recurrence) -> Int[Tensor, " edge"]:
    return torch.where(found.decided_in, 1, torch.where(found.decided_out, 2, 0))


def _rows(keep: Bool[Tensor, " edge"], scores: PromptScores, found: Recurrence) -> tuple[EdgeRow, ...]:
    mean = scores.values.mean(0)
    strongest = (mean.abs() + 1).masked_fill(~keep, 0).argsort(descending=True, stable=True)
    channels, nodes = scores.graph.valid.nonzero()
    decision = _decisions(found)
    return tuple(
        EdgeRow(
            scores.graph.nodes[nodes[at]],
            scores.graph.channels[channels[at]],
            _NAMES[int(decision[at])],
            float(found.inclusion[at]),
            float(found.sign[at]),
            float(mean[at]),
        )
        for at in strongest[: min(_LISTED, int(keep.sum()))].tolist()
    )
