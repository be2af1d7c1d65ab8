"""`circuit.json`, format `wheatstone.circuit/1`: schema, reading and writing."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, ValidationError, model_validator

from wheatstone._bounds import HEADS, LAYERS
from wheatstone._errors import CircuitError, reason
from wheatstone._json import MOST_IN_CIRCUIT, load_json
from wheatstone._text import count
from wheatstone.circuits._circuit import Circuit, Edge, Evaluation, ModelInfo
from wheatstone.models import Graph, Span, SpannedGraph, Split
from wheatstone.tasks import PromptPair

Value = TypeVar("Value")
FORMAT = "wheatstone.circuit/1"
_DIGITS = 6
"""Decimal places of written numbers: about float32's noise in a logit. More would write noise alone; fewer would make
other last digits on another machine rarer, but not impossible."""


_MOST_NODES = 4_000_000
_MOST_PAIRS = 1 << 31
"""Nodes times channels of a model."""
_MOST_PLACES = 50_000_000
"""Edges times spans: what reading a file may cost, whoever wrote it."""


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class _Split(_Strict):
    layer: int = Field(ge=0)
    into: Literal["neurons", "experts"]
    parts: int = Field(ge=1)


class _Model(_Strict):
    id: str
    family: str
    layers: int = Field(ge=1, le=LAYERS.most)
    heads: int = Field(ge=1, le=HEADS.most)
    kv_groups: int = Field(ge=1, le=HEADS.most)
    parallel: bool = False
    coupled_heads: bool = False
    split: tuple[_Split, ...] | None = None
    sha256: str = ""

    @model_validator(mode="after")
    def _splits_are_possible(self) -> _Model:
        layers = [split.layer for split in self.split or ()]
        if layers != sorted(set(layers)) or any(layer >= self.layers for layer in layers):
            raise ValueError("split should name layers of the model, each once and in order")
        nodes = self.layers * (self.heads + 1) + sum(split.parts for split in self.split or ())
        channels = self.layers * (self.heads + 2 * self.kv_groups + 1)
        if nodes > _MOST_NODES or nodes * channels > _MOST_PAIRS or self.kv_groups > self.heads:
            raise ValueError(f"no model has {nodes:,} nodes and {self.kv_groups:,} KV groups to {self.heads:,} heads")
        return self


class _Task(_Strict):
    name: str
    examples: tuple[PromptPair, ...]


class _Edge(_Strict):
    sender: str = Field(alias="from")
    receiver: str = Field(alias="to")
    positions: tuple[NonNegativeInt, ...] | None = None
    score: float | None = None
    effect: float | None = None
    unit: str | None = None


class _Evaluation(_Strict):
    clean: float
    corrupt: float
    circuit: float
    faithfulness: float
    edges: int
    total_edges: int


class CircuitFile(_Strict):
    """The whole document."""

    format: Literal["wheatstone.circuit/1"]
    model: _Model
    ablation: str
    metric: str
    goal: Literal["sufficient", "complete", "both-ways"] | None = None
    granularity: Literal["channels", "heads", "groups"] | None = None
    task: _Task
    spans: dict[str, tuple[NonNegativeInt, ...]] | None = None
    edges: tuple[_Edge, ...]
    evaluation: _Evaluation | None = None

    @classmethod
    def of(cls, circuit: Circuit) -> CircuitFile:
        """A circuit as it is written."""
        graph, none = circuit.model.graph, (None,) * len(circuit.edges)
        units = circuit.units or none
        rows = zip(circuit.edges, circuit.scores or none, circuit.effects or none, units, strict=True)
        return cls(
            format=FORMAT,
            model=_Model(
                id=circuit.model.id,
                family=circuit.model.family,
                layers=graph.layers,
                heads=graph.heads,
                kv_groups=graph.kv_groups,
                parallel=graph.parallel,
                coupled_heads=graph.coupled_heads,
                split=tuple(_Split.model_validate(split._asdict()) for split in graph.split) or None,
                sha256=circuit.model.sha256,
            ),
            ablation=circuit.ablation,
            metric=circuit.metric,
            goal=_not_default(circuit.goal, Circuit.goal),
            granularity=_not_default(circuit.granularity, Circuit.granularity),
            task=_Task(name=circuit.task, examples=circuit.examples),
            spans={span.name: span.positions for span in circuit.spans} or None,
            edges=tuple(
                _Edge.model_validate(
                    {
                        "from": sender,
                        "to": edge.receiver,
                        "positions": at,
                        "score": _round(score),
                        "effect": _round(effect),
                        "unit": unit,
                    }
                )
                for edge, score, effect, unit in rows
                for sender, at in [_placed(edge.sender, circuit.spans)]
            ),
            evaluation=None
            if circuit.evaluation is None
            else _Evaluation.model_validate({name: _round(value) for name, value in vars(circuit.evaluation).items()}),
        )

    def to_circuit(self) -> Circuit:
        """The circuit, its edges checked against its own model's graph."""
        graph = Graph(
            self.model.layers,
            self.model.heads,
            self.model.kv_groups,
            self.model.parallel,
            self.model.coupled_heads,
            tuple(Split(**split.model_dump()) for split in self.model.split or ()),
        )
        spans = self._spans()
        if len(spans) * len(self.edges) > _MOST_PLACES:
            raise CircuitError(
                expected=f"edges times spans to be at most {_MOST_PLACES:,}",
                got=f"{count(len(self.edges), 'edge')} and {count(len(spans), 'span')}",
                do="keep fewer positions apart",
            )
        if spans:
            graph = SpannedGraph.of(graph, spans)
        rows = [(edge, sender) for edge in self.edges for sender in _senders(edge, spans)]
        edges = tuple(Edge(sender, edge.receiver) for edge, sender in rows)
        for edge in edges:
            graph.edge(*edge)
        if len(set(edges)) < len(edges):
            twice = Counter(edges).most_common(1)[0][0]
            raise CircuitError(expected="every edge once", got=f"{twice} twice", do="remove one of the two")
        scores, effects = [edge.score for edge, _ in rows], [edge.effect for edge, _ in rows]
        return Circuit(
            model=ModelInfo(self.model.id, self.model.family, graph, self.model.sha256),
            edges=edges,
            ablation=self.ablation,
            metric=self.metric,
            scores=_all_present(scores),
            effects=_all_present(effects),
            goal=self.goal or Circuit.goal,
            granularity=self.granularity or Circuit.granularity,
            units=_all_present([edge.unit for edge, _ in rows]),
            examples=self.task.examples,
            task=self.task.name,
            evaluation=None if self.evaluation is None else Evaluation(**self.evaluation.model_dump()),
        )

    def _spans(self) -> tuple[Span, ...]:
        """The spans that edges are distinguished by; where the file names none, every position that an edge names."""
        if self.spans:
            return tuple(Span(name, positions) for name, positions in self.spans.items())
        named = sorted({position for edge in self.edges for position in edge.positions or ()})
        return (*(Span(str(position), (position,)) for position in named), Span("elsewhere", ())) if named else ()

    def to_json(self) -> str:
        """The document's text, one edge a line."""
        data = self.model_dump(by_alias=True, exclude_none=True, mode="json")
        edges = ",\n  ".join(json.dumps(edge, ensure_ascii=False) for edge in data["edges"])
        data["edges"] = []
        text = json.dumps(data, ensure_ascii=False, indent=1, allow_nan=False)
        return text.replace('"edges": []', f'"edges": [\n  {edges}\n ]' if edges else '"edges": []', 1) + "\n"

    @classmethod
    def read(cls, path: Path) -> CircuitFile:
        """Reads and checks a document."""
        try:
            data = load_json(path, most=MOST_IN_CIRCUIT)
        except (OSError, ValueError) as error:
            raise CircuitError(
                expected="a circuit.json",
                got=f"{path}: {reason(error)}",
                do="check the path, or discover the circuit again",
            ) from error
        return cls.of_document(data, str(path))

    @classmethod
    def of_document(cls, data: Any, where: str) -> CircuitFile:
        """Checks a document.

        Args:
            data: the document.
            where: what to call it in an error.
        """
        found = data.get("format") if isinstance(data, dict) else None
        if found != FORMAT:
            keys = f" with the keys {', '.join(map(repr, list(data)[:20]))}" if isinstance(data, dict) else ""
            raise CircuitError(
                expected=f"a circuit of format {FORMAT}",
                got=f"{where} of format {found!r}{keys}",
                do="discover the circuit again with this version of wheatstone; "
                "a circuit of another tool is read by `wheatstone import`",
            )
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            first = error.errors()[0]
            at = ".".join(str(part) for part in first["loc"])
            raise CircuitError(
                expected=f"a document of format {FORMAT}",
                got=f"{where}: {first['msg']} at {at}",
                do="correct the file, or discover the circuit again",
            ) from error


def _placed(sender: str, spans: Sequence[Span]) -> tuple[str, tuple[int, ...] | None]:
    """A sender as the file has it: its node, and the positions of its span."""
    node, _, name = sender.partition("@")
    return node, next((span.positions for span in spans if span.name == name), None)


def _senders(edge: _Edge, spans: Sequence[Span]) -> list[str]:
    """An edge's sender at each span it is kept at: all of them where it names no positions.

    The span that takes the tokens of no other has no positions of its own, and an edge kept there has an empty list.

    Raises:
        CircuitError: it is kept at part of a span, or at no span.
    """
    if edge.positions is None:
        return [f"{edge.sender}@{span.name}" for span in spans] or [edge.sender]
    wanted = set(edge.positions)
    kept = [span for span in spans if (wanted.issuperset(span.positions) if span.positions else not wanted)]
    if not kept or wanted != {position for span in kept for position in span.positions}:
        raise CircuitError(
            expected="an edge kept at whole spans",
            got=f"{edge.sender} -> {edge.receiver} at positions {sorted(wanted)}",
            do="correct its positions, or the spans",
        )
    return [f"{edge.sender}@{span.name}" for span in kept]


def _not_default(value: Any, default: str) -> Any:
    """What is written: nothing where it is the default, so that older files and their readers stay valid."""
    return None if value == default else value


def _round(value: float | None) -> float | None:
    return round(value, _DIGITS) if isinstance(value, float) else value


def _all_present(values: list[Value | None]) -> tuple[Value, ...] | None:
    present = [value for value in values if value is not None]
    return tuple(present) if values and len(present) == len(values) else None
