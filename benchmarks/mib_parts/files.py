"""MIB's files: a score for every edge, or circuits, as EAP-IG's `Graph` writes them (`importances.json` or `.pt`)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from mib_parts.areas import FRACTIONS
from wheatstone._disk import replaced
from wheatstone._errors import CircuitError, reason
from wheatstone.circuits import Circuit, ModelInfo, to_eap_json
from wheatstone.circuits._foreign import open_foreign
from wheatstone.circuits._interop import eap_scores, from_eap_document
from wheatstone.models import Graph, ResidualModel


def write_scores(path: Path, model: ResidualModel, values: Float[Tensor, "channel node"]) -> None:
    """Writes the scores of all edges of an ungrouped model, as `.json` or, a tenth of its size, `.pt`.

    Args:
        path: of the file.
        model: the model.
        values: scores of its edges.
    """
    graph = model.graph
    with replaced(path) as partial:
        if path.suffix == ".pt":
            torch.save(_tensors(model, values), partial)
            return
        valid = torch.from_numpy(graph.valid)
        scores = tuple(values[valid].tolist())
        everything = Circuit.of_mask(ModelInfo.of(model), valid, ablation="counterfactual", metric="", scores=scores)
        document = json.loads(to_eap_json(everything, d_model=model.d_model))
        for row in (*document["nodes"].values(), *document["edges"].values()):
            row["in_graph"] = False  # scores alone: MIB chooses the circuits
        partial.write_text(json.dumps(document), encoding="utf-8")


def _tensors(model: ResidualModel, values: Tensor) -> dict[str, Any]:
    graph = model.graph
    return {
        "cfg": {
            "n_layers": graph.layers,
            "n_heads": graph.heads,
            "parallel_attn_mlp": graph.parallel,
            "d_model": model.d_model,
        },
        "src_nodes": list(graph.nodes),
        "dst_nodes": [_of_head(name) for name in graph.channels],
        "edges_scores": values.T.contiguous(),
        "edges_in_graph": torch.zeros(values.T.shape, dtype=torch.bool),
        "nodes_in_graph": torch.zeros(len(graph.nodes), dtype=torch.bool),
    }


def _of_head(channel: str) -> str:
    """The name of a channel where every head has its own key and value."""
    return channel.replace(".g", ".h")


def read_scores(path: Path, model: ResidualModel) -> Float[Tensor, "channel node"]:
    """Scores of all edges of an ungrouped model from a file; edges that it leaves out have 0.

    Raises:
        CircuitError: it cannot be read, or is of another architecture.
    """
    graph = model.graph
    if path.suffix == ".pt":
        return _read_tensors(path, graph, "edges_scores").float()
    _, document = open_foreign(path)
    from_eap_document(document, ModelInfo.of(model))  # its size
    values = torch.zeros(graph.valid.shape)
    for edge, score in eap_scores(document, graph).items():
        values[graph.edge(edge.sender, edge.receiver)] = score
    return values


def read_circuits(folder: Path, model: ResidualModel) -> Tensor:
    """The nine circuits of a submission, smallest first, as masks [circuit, channel, node].

    Raises:
        CircuitError: there are others than nine files, or one of them cannot be read.
    """
    files = sorted(path for path in folder.iterdir() if path.suffix in (".json", ".pt"))
    if len(files) != len(FRACTIONS) - 1:
        raise CircuitError(
            expected=f"one file of scores, or {len(FRACTIONS) - 1} circuits of the fractions of edges "
            f"{', '.join(map(str, FRACTIONS[:-1]))}",
            got=f"{len(files)} files in {folder}",
            do="give a folder of one MIB submission",
        )
    masks = [_read_circuit(path, model) for path in files]
    return torch.stack(sorted(masks, key=lambda mask: int(mask.sum())))


def _read_circuit(path: Path, model: ResidualModel) -> Tensor:
    if path.suffix == ".pt":
        return _read_tensors(path, model.graph, "edges_in_graph").bool()
    _, document = open_foreign(path)
    return from_eap_document(document, ModelInfo.of(model)).mask()


def _read_tensors(path: Path, graph: Graph, key: str) -> Tensor:
    """One matrix of a `.pt` file, [channel, node]. The file is read as tensors alone: nothing in it is run."""
    try:
        document = torch.load(path, map_location="cpu", weights_only=True)
        config, found = document["cfg"], document[key]
        shape = (config["n_layers"], config["n_heads"], bool(config["parallel_attn_mlp"]))
    except Exception as error:  # what torch and the unpickler raise has no common class
        raise CircuitError(
            expected=f"a circuit of EAP-IG's Graph.to_pt, with cfg and {key}",
            got=f"{path}: {reason(error)}",
            do="write it with EAP-IG, or as JSON",
        ) from error
    if shape != (graph.layers, graph.heads, graph.parallel) or found.T.shape != graph.valid.shape:
        raise CircuitError(
            expected=f"scores of {graph.layers} layers and {graph.heads} heads, [{len(graph.nodes)} nodes, "
            f"{len(graph.channels)} channels]",
            got=f"{path} of {shape[0]} layers and {shape[1]} heads, {list(found.shape)}",
            do="give the model the circuit was found in",
        )
    return found.T
