"""Per-prompt scores as a file of a run: read where they fit, made where they do not.

`card/prompt_scores.parquet` has a row for each edge of the graph, in order of computation: `sender`, `receiver`, and
one float32 column for each prompt, `0`, `1`, … The file names the weights, the prompts and the method that it belongs
to, so that scores of other prompts are never taken for these.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from wheatstone._parquet import read_parquet, readable, write_parquet
from wheatstone._path import StrPath
from wheatstone.circuits import Experiment
from wheatstone.discovery import PromptScores
from wheatstone.models import Graph
from wheatstone.tasks import PromptPair

SCORES = "prompt_scores.parquet"
_ABOUT = b"wheatstone"


def identity_of(experiment: Experiment, pairs: Sequence[PromptPair], method: str, steps: int | None) -> str:
    """What scores belong to: weights, prompts, ablation, metric, positions and method."""
    reference = [pair.model_dump() for pair in experiment.reference] if experiment.ablation == "mean" else None
    about = {
        "model": [experiment.model.id, experiment.model.sha256, experiment.model.precision],
        "prompts": [pair.model_dump() for pair in pairs],
        "ablation": [experiment.ablation, reference],
        "metric": experiment.metric.name,
        "nodes": [len(experiment.graph.nodes), len(experiment.graph.channels), str(experiment.spans)],
        "method": [method, steps],
    }
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()


def write_scores(path: StrPath, scores: PromptScores, identity: str) -> None:
    """Writes the scores of every edge on every prompt."""
    path = Path(path)
    columns = edge_columns(scores.graph)
    columns |= {str(at): pa.array(row.numpy().astype(np.float32)) for at, row in enumerate(scores.values)}
    about = json.dumps({"identity": identity, "method": scores.method, "steps": scores.steps})
    write_parquet(pa.table(columns).replace_schema_metadata({_ABOUT: about.encode()}), path)


def read_scores(path: StrPath, graph: Graph, identity: str) -> PromptScores | None:
    """The scores that a run keeps; None where it keeps none that belong to this, or they are damaged."""
    path = Path(path)
    try:
        with readable():
            about = json.loads((pq.read_schema(path).metadata or {})[_ABOUT])
        if about["identity"] != identity:
            return None
        table = read_parquet(path)
        if table.num_rows != graph.edges:
            return None
        names = [str(at) for at in range(table.num_columns - 2)]
        values = np.stack([table.column(name).to_numpy().astype(np.float32) for name in names])
        if not np.isfinite(values).all():
            return None
        return PromptScores(graph, torch.from_numpy(values), str(about["method"]), int(about["steps"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def edge_columns(graph: Graph) -> dict[str, pa.Array]:
    """Sender and receiver of every edge, in order of computation."""
    channels, nodes = graph.valid.nonzero()
    return {
        "sender": pa.array(graph.nodes).take(pa.array(nodes)).dictionary_encode(),
        "receiver": pa.array(graph.channels).take(pa.array(channels)).dictionary_encode(),
    }
