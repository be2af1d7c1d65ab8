"""Circuits in files of this and other tools: which format a file has, and the circuit in it.

A further format is one more entry of `FORMATS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from wheatstone._errors import CircuitError, reason
from wheatstone._json import MOST_IN_CIRCUIT, parse_json, read_bounded
from wheatstone._path import StrPath
from wheatstone._view import Brief
from wheatstone.circuits._circuit import Circuit, Edge, ModelInfo
from wheatstone.circuits._format import FORMAT, CircuitFile
from wheatstone.circuits._interop import eap_scores, from_eap_document
from wheatstone.models import ResidualModel, SpannedGraph

Document = Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Imported(Brief):
    """A circuit that a file holds.

    Args:
        circuit: the circuit, in the model's own graph.
        scores: of every edge that the file scores, kept or not.
        format: of the file, in words.
    """

    circuit: Circuit
    scores: Mapping[Edge, float]
    format: str


@dataclass(frozen=True)
class ForeignFormat:
    """A format of files.

    Args:
        name: in words.
        fits: whether a document looks like it.
        model: the model that a document names; empty where it names none.
        read: makes the circuit of a document, given the model, the ablation and the metric; None of an attribution
            graph, which is no circuit.
    """

    name: str
    fits: Callable[[Document], bool]
    model: Callable[[Document], str]
    read: Callable[[Document, ResidualModel, str, str], Imported] | None


def open_foreign(path: StrPath, *, graphs: bool = False) -> tuple[ForeignFormat, Document]:
    """A file's document and its format, before any model is loaded.

    Args:
        path: the file.
        graphs: also take what is no circuit, an attribution graph (`wheatstone.graphs.from_circuit_tracer`).

    Raises:
        CircuitError: it cannot be read, or its format is not known.
    """
    path = Path(path)
    readable = [form.name for form in FORMATS if form.read]
    expected = f"a circuit as {' or '.join(readable)}"
    try:
        data = read_bounded(path)
        # EAP-IG writes NaN for nodes that have no score.
        document: Any = parse_json(data, finite=False, most=MOST_IN_CIRCUIT)
    except UnicodeDecodeError as error:
        raise CircuitError(
            expected=expected,
            got=f"{path}, which is not UTF-8 text; a pickled graph (.pt) is never read",
            do="write it as JSON, in EAP-IG with `Graph.to_json`",
        ) from error
    except (OSError, ValueError) as error:
        raise CircuitError(
            expected=expected, got=f"{path}: {reason(error)}", do="check the path, or write the file again"
        ) from error
    found = document if isinstance(document, dict) else {}
    form = next((form for form in FORMATS if form.fits(found)), None)
    if form is None:
        keys = f"the keys {', '.join(repr(key[:40]) for key in list(found)[:20])}" if found else "no JSON object"
        raise CircuitError(
            expected=f"{expected} (format {FORMAT}; or cfg, nodes and edges)",
            got=f"{path} with {keys}",
            do="export the circuit in one of these formats",
        )
    if form.read is None and not graphs:
        raise CircuitError(
            expected=expected,
            got=f"{path}, {form.name}",
            do="import it with `wheatstone import`, or give a circuit",
        )
    return form, found


def _own(document: Document, model: ResidualModel, _ablation: str, _metric: str) -> Imported:
    """Our own `circuit.json`, which says itself what it was found for."""
    circuit = CircuitFile.of_document(document, "the file").to_circuit()
    split, theirs = model.like(circuit.model.graph), circuit.model.graph
    ours = SpannedGraph.of(split.graph, circuit.spans) if circuit.spans else split.graph
    if ours != theirs:
        raise CircuitError(
            expected=f"a circuit of {ours.layers} layers, {ours.heads} heads and {ours.kv_groups} KV groups",
            got=f"{theirs.layers} layers, {theirs.heads} heads and {theirs.kv_groups} KV groups",
            do="give the model the circuit was found in, with --model",
        )
    if not circuit.model.sha256:
        circuit = replace(circuit, model=ModelInfo.of(model, theirs))
    scores = dict(zip(circuit.edges, circuit.scores, strict=True)) if circuit.scores else {}
    return Imported(circuit, scores, "circuit.json")


def _eap_ig(document: Document, model: ResidualModel, ablation: str, metric: str) -> Imported:
    info = ModelInfo.of(model)
    circuit = from_eap_document(document, info, ablation=ablation, metric=metric)
    return Imported(circuit, eap_scores(document, info.graph), "EAP-IG graph")


def _named(document: Document, part: str, key: str) -> str:
    """A text inside a part of a document; empty where it is none."""
    inside = document.get(part)
    value = inside.get(key) if isinstance(inside, dict) else None
    return value if isinstance(value, str) else ""


FORMATS: tuple[ForeignFormat, ...] = (
    ForeignFormat(
        name="circuit.json",
        fits=lambda document: document.get("format") == FORMAT,
        model=lambda document: _named(document, "model", "id"),
        read=_own,
    ),
    ForeignFormat(
        name="an EAP-IG graph (Graph.to_json)",
        fits=lambda document: {"cfg", "edges"} <= document.keys(),
        model=lambda document: _named(document, "cfg", "model_name"),
        read=_eap_ig,
    ),
    ForeignFormat(
        name="an attribution graph of circuit-tracer or Neuronpedia",
        fits=lambda document: {"nodes", "links"} <= document.keys(),
        model=lambda document: _named(document, "metadata", "scan"),
        read=None,
    ),
)
"""Every format that is recognised."""
