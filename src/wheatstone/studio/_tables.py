"""A run's edges and tables as Arrow IPC streams, columns a browser reads without parsing."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float, Int

from wheatstone._effects import unit_of
from wheatstone.runs import Run

MOST = 20_000
"""Edges of a view."""


def edge_columns(run: Run, limit: int = MOST) -> pa.Table:
    """The strongest edges of the ranking, and all of the circuit.

    Sorted by |score|, so that the first n rows are the ranking's circuit of n edges: a slider is a prefix. Edges of the
    circuit beyond `limit` follow.

    Args:
        run: the run.
        limit: edges of the ranking at most.

    Returns:
        `sender`, `receiver`, `score`, `effect` (null where it was not measured), `removed_with` (what that was measured
        on; null where the edge was removed alone), `circuit` (whether it is kept) and `rank` (1 is the strongest).
        Metadata: `edges`, how many there are in all, and `weight`, Σ |score| over them.

    Raises:
        RunError: a file is missing or damaged.
    """
    document = run.document("circuit")  # first: runs of other verbs have edges of their own
    ranked = run.table("edges", columns=["sender", "receiver", "score"]).unify_dictionaries()
    (senders, sending), (receivers, receiving) = (_coded(ranked, name) for name in ("sender", "receiver"))
    # One number for each pair of ends.
    code = sending * len(receivers) + receiving
    named, together = kept_edges(document), units_together(document, run.settings.get("granularity"))
    kept = {
        senders[sender] * len(receivers) + receivers[receiver]: (effect, together[sender, receiver])
        for (sender, receiver), effect in named.items()
        if sender in senders and receiver in receivers
    }
    inside = np.isin(code, list(kept))
    chosen, rank, weight = _ranked(ranked["score"].to_numpy().astype(np.float32), inside, limit)
    measured = [kept.get(pair, (None, None)) for pair in code[chosen].tolist()]
    columns = ranked.take(pa.array(chosen)).combine_chunks()
    table = pa.table(
        {
            **{name: columns[name].cast(pa.dictionary(pa.int32(), pa.string())) for name in ("sender", "receiver")},
            "score": columns["score"].cast(pa.float32()),
            "effect": pa.array([effect for effect, _ in measured], pa.float32()),
            "removed_with": pa.array([unit for _, unit in measured], pa.string()),
            "circuit": pa.array(inside[chosen]),
            "rank": pa.array(rank),
        }
    )
    total = (document.get("evaluation") or {}).get("total_edges", len(code))
    return table.replace_schema_metadata({"edges": str(total), "weight": repr(weight)})


def _ranked(
    scores: Float[np.ndarray, " edge"], inside: Bool[np.ndarray, " edge"], limit: int
) -> tuple[Int[np.ndarray, " chosen"], Int[np.ndarray, " chosen"], float]:
    """The `limit` strongest edges by |score|, then all others of the circuit; their ranks from 1; Σ |score|.

    Only the strongest are sorted with their places: millions of others need no more than the sorted values.
    """
    strength = np.nan_to_num(np.abs(scores))
    ascending = np.sort(strength)
    least = ascending[max(0, len(ascending) - limit)] if len(ascending) else 0
    strong = np.flatnonzero(strength >= least)
    strong = strong[np.argsort(-strength[strong], kind="stable")]
    rest = np.concatenate([strong[limit:], np.flatnonzero(strength < least)])
    rest = rest[inside[rest]]
    rest = rest[np.argsort(-strength[rest], kind="stable")]
    stronger = len(ascending) - np.searchsorted(ascending, strength[rest], side="right")
    chosen = np.concatenate([strong[:limit], rest])
    rank = np.concatenate([np.arange(min(limit, len(strong))), np.maximum(stronger, limit)]) + 1
    return chosen, rank.astype(np.int32), float(strength.sum(dtype=np.float64))


def _coded(table: pa.Table, name: str) -> tuple[dict[str, int], Int[np.ndarray, " edge"]]:
    """A column of names as numbers, and the number of each name."""
    column = table[name].combine_chunks().dictionary_encode()
    return {value: at for at, value in enumerate(column.dictionary.to_pylist())}, column.indices.to_numpy().astype(
        np.int64
    )


def kept_edges(circuit: Mapping[str, Any], of: str = "effect") -> dict[tuple[str, str], Any]:
    """The edges of a circuit's document, named as in the table of scores, with their exact effects.

    Args:
        circuit: `circuit.json`.
        of: `effect` or `score`.
    """
    return {ends: edge.get(of) for ends, edge in _by_ends(circuit)}


def units_together(circuit: Mapping[str, Any], searched: str | None = None) -> dict[tuple[str, str], str | None]:
    """By edge, what it was removed with to measure its effect; None where it was removed alone.

    Args:
        circuit: `circuit.json`.
        searched: the granularity in the run's settings, for runs whose circuit does not say it.
    """
    granularity = circuit.get("granularity") or searched or "channels"
    share = circuit["model"]["heads"] // circuit["model"]["kv_groups"]
    return {ends: unit_of(edge, granularity, share, ends[0]) for ends, edge in _by_ends(circuit)}


def _by_ends(circuit: Mapping[str, Any]) -> Iterator[tuple[tuple[str, str], Mapping[str, Any]]]:
    """A circuit's edges with the names of both ends, one for each place in the prompt."""
    spans: Mapping[str, list[int]] = circuit.get("spans") or {}
    for edge in circuit["edges"]:
        at = edge.get("positions")
        places = [name for name, where in spans.items() if at is None or (set(where) <= set(at) if where else not at)]
        for sender in [f"{edge['from']}@{place}" for place in places] or [edge["from"]]:
            yield (sender, edge["to"]), edge


def ipc(table: pa.Table) -> bytes:
    """A table as an Arrow IPC stream."""
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()
