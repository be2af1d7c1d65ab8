"""Activation patching by layer and position: which place, at which token, brings the answer back.

For every layer and position the residual stream that the layer reads, what its attention writes and what its MLP
writes are patched from the one run into the other, each alone and exactly.

Sources: Meng et al. 2022 (arXiv 2202.05262), section 2.1, for the three maps; Miller and Neo 2023 for the score.
"""

from __future__ import annotations

from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor

from wheatstone._progress import Reporter, silent
from wheatstone.neurons._patches import Patching

SITES = ("residual", "attention", "mlp")


class RecoveryRow(NamedTuple):
    """One row of recovery.parquet.

    Args:
        site: `residual` (what the layer reads), `attention` or `mlp` (what it writes).
        layer: from 0.
        position: counted from the end, -1 for the last; None for all positions at once (`attention` and `mlp` alone,
            for of the residual stream that is the whole run).
        recovery: share of the difference that the place carries there (see `Patching`).
        prompts: how many have that position.
    """

    site: str
    layer: int
    position: int | None
    recovery: float
    prompts: int


def recovery_by_place(patching: Patching, *, report: Reporter = silent) -> list[RecoveryRow]:
    """Patches every sublayer and residual stream, by position and altogether.

    Args:
        patching: the runs.
        report: progress callback.

    Returns:
        Rows by site, position and layer. Positions before the first token that differs have 0 without a run.

    When this misleads: early residual streams at the changed token recover everything, because all that follows is
    computed from them; a place that recovers nothing alone may be needed together with others.
    """
    graph = patching.experiment.model.graph
    stream = patching.other.stream - patching.plain.stream
    writes = stream.diff(dim=0)
    width = patching.tokens.width
    places: list[tuple[str, int, int | None, int, Tensor]] = []
    for position in [*range(-width, 0), None]:
        for layer in range(graph.layers):
            mlp, heads = graph.mlp_nodes(layer).start, graph.head_nodes(layer).start
            before = 0 if layer == 0 else graph.mlp_nodes(layer - 1).start
            sites = {
                "residual": (before, stream[2 * layer]),
                "attention": (heads, writes[2 * layer]),
                "mlp": (mlp, writes[2 * layer + 1]),
            }
            places += [
                (site, layer, position, node, change)
                for site, (node, change) in sites.items()
                if position is not None or site != "residual"
            ]
    at = {position: patching.at(position) for position in {place[2] for place in places}}

    def change(index: int) -> Float[Tensor, "batch pos d_model"]:
        *_, position, _, difference = places[index]
        return difference * at[position][..., None].to(difference.device)

    effects = patching.effects([place[3] for place in places], change, stage="patching layers", report=report)
    experiment = patching.experiment
    gaps = (experiment.clean - experiment.corrupt).cpu()
    rows: list[RecoveryRow] = []
    for (site, layer, position, *_), effect in zip(places, effects, strict=True):
        there = at[position].any(-1).cpu()
        recovery = float(effect[there].sum() / gaps[there].sum())
        rows.append(RecoveryRow(site, layer, position, recovery, int(there.sum())))
    order = {site: number for number, site in enumerate(SITES)}
    return sorted(rows, key=lambda row: (order[row.site], row.position is None, row.position or 0, row.layer))
