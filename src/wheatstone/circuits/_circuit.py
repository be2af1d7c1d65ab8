"""`Circuit`: a set of kept edges, with what it was found for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from jaxtyping import Bool
from torch import Tensor

from wheatstone._errors import CircuitError
from wheatstone._path import StrPath
from wheatstone._view import Tabular
from wheatstone._viewer import show
from wheatstone.models import Graph, ResidualModel, Span, SpannedGraph
from wheatstone.runs import CIRCUITS, Run
from wheatstone.tasks import PromptPair

if TYPE_CHECKING:
    import pyarrow as pa


class Edge(NamedTuple):
    """An edge by the names of its ends."""

    sender: str
    receiver: str

    def __str__(self) -> str:
        return f"{self.sender}->{self.receiver}"


@dataclass(frozen=True)
class ModelInfo:
    """Which model a circuit belongs to."""

    id: str
    family: str
    graph: Graph
    sha256: str = ""

    @classmethod
    def of(cls, model: ResidualModel, graph: Graph | None = None) -> ModelInfo:
        """What a circuit notes about its model; `graph` where its nodes were distinguished by position."""
        return cls(model.id, model.family.name, graph or model.graph, model.sha256)


@dataclass(frozen=True)
class Evaluation:
    """How a circuit did on the prompts it was found on.

    Args:
        clean: metric of the unablated model, mean over prompts.
        corrupt: metric of the fully ablated model.
        circuit: metric of the circuit.
        faithfulness: (circuit − corrupt) / (clean − corrupt).
        edges: kept edges.
        total_edges: edges of the whole graph.
    """

    clean: float
    corrupt: float
    circuit: float
    faithfulness: float
    edges: int
    total_edges: int


@dataclass(frozen=True, repr=False)
class Circuit(Tabular):
    """Kept edges of one model's graph; every other edge carries the ablation.

    Args:
        model: whose graph it is.
        edges: the kept edges, in order of computation.
        ablation: what all other edges carry.
        metric: what it was found for.
        scores: of each kept edge, the score it was ranked by (an approximation). In units of the metric: a positive
            score raises it, which supports the behaviour except under `kl`.
        effects: of each kept edge, the exact drop in `goal` when it is removed from the circuit; where edges were
            removed in units, the drop when its unit is, the same for all edges of the unit. Positive supports.
        goal: what effects are shares of: `sufficient`, faithfulness; `complete`, completeness; or `both-ways`,
            faithfulness on the prompts or on the swapped ones, whichever is further from 1.
        granularity: what was removed to measure effects: `channels` (single edges), `heads` or `groups`.
        units: of each kept edge, the name of the unit it was removed with; None where single edges were removed.
        examples: the prompts it was found on.
        task: their name.
        evaluation: how it did on them.
    """

    model: ModelInfo
    edges: tuple[Edge, ...]
    ablation: str = "counterfactual"
    metric: str = "logit_diff"
    scores: tuple[float, ...] | None = None
    effects: tuple[float, ...] | None = None
    goal: str = "sufficient"
    granularity: str = "channels"
    units: tuple[str, ...] | None = None
    examples: tuple[PromptPair, ...] = ()
    task: str = ""
    evaluation: Evaluation | None = field(default=None, compare=False)

    @classmethod
    def of_mask(cls, model: ModelInfo, keep: Bool[Tensor, "channel node"], **about: Any) -> Circuit:
        """The circuit that keeps the true entries of a mask."""
        graph = model.graph
        edges = tuple(Edge(graph.nodes[node], graph.channels[channel]) for channel, node in keep.nonzero().tolist())
        return cls(model, edges, **about)

    def mask(self, graph: Graph | None = None) -> Bool[Tensor, "channel node"]:
        """The circuit as a mask over (channel, node).

        Args:
            graph: of the model it will be run in; its own by default.

        Raises:
            CircuitError: that model lacks one of the nodes.
        """
        graph = graph or self.model.graph
        keep = torch.zeros(graph.valid.shape, dtype=torch.bool)
        for edge in self.edges:
            keep[graph.edge(edge.sender, edge.receiver)] = True
        return keep

    @property
    def spans(self) -> tuple[Span, ...]:
        """The parts of the prompts that distinguish its edges; empty where an edge is kept at all positions."""
        return self.model.graph.spans if isinstance(self.model.graph, SpannedGraph) else ()

    @property
    def nodes(self) -> tuple[str, ...]:
        """The nodes that write along a kept edge, in order of computation."""
        senders = {edge.sender for edge in self.edges}
        return tuple(name for name in self.model.graph.nodes if name in senders)

    def __len__(self) -> int:
        return len(self.edges)

    def __iter__(self) -> Iterator[Edge]:
        return iter(self.edges)

    def __contains__(self, edge: object) -> bool:
        return edge in set(self.edges)

    def __or__(self, other: Circuit) -> Circuit:
        return self._with(set(self.edges) | set(self._same(other).edges))

    def __and__(self, other: Circuit) -> Circuit:
        return self._with(set(self.edges) & set(self._same(other).edges))

    def __sub__(self, other: Circuit) -> Circuit:
        return self._with(set(self.edges) - set(self._same(other).edges))

    def __invert__(self) -> Circuit:
        """The complement: every edge of the graph that this circuit does not keep."""
        return replace(
            Circuit.of_mask(self.model, torch.from_numpy(self.model.graph.valid) & ~self.mask()),
            ablation=self.ablation,
            metric=self.metric,
            examples=self.examples,
            task=self.task,
        )

    def _with(self, edges: Iterable[Edge]) -> Circuit:
        graph = self.model.graph
        ordered = sorted(edges, key=lambda edge: graph.edge(edge.sender, edge.receiver))
        return replace(self, edges=tuple(ordered), scores=None, effects=None, units=None, evaluation=None)

    def _same(self, other: Circuit) -> Circuit:
        if other.model.graph != self.model.graph:
            raise CircuitError(
                expected=f"two circuits of one architecture, that of {self.model.id}",
                got=f"one of {other.model.id}",
                do="compare circuits of the same model",
            )
        return other

    def show(self) -> Any:
        """The circuit as a notebook draws it: a map that answers to the pointer, or a still picture.

        Returns:
            A `wheatstone.studio.CircuitView`; leave it as the last line of a cell.
        """
        return show(self)

    def to_arrow(self) -> pa.Table:
        """The kept edges as an Arrow table: sender, receiver, and score and effect where they are known."""
        import pyarrow as pa

        columns: dict[str, Any] = {
            "sender": [edge.sender for edge in self.edges],
            "receiver": [edge.receiver for edge in self.edges],
        }
        known = {"score": self.scores, "effect": self.effects, "unit": self.units}
        return pa.table(columns | {name: list(values) for name, values in known.items() if values is not None})

    def _title(self) -> str:
        about = "" if self.evaluation is None else f", faithfulness {self.evaluation.faithfulness:.3f}"
        total = int(self.model.graph.valid.sum())
        return f"Circuit of {self.model.id}: {len(self.edges):,} of {total:,} edges{about} (n = {len(self.examples)})"

    def to_json(self) -> str:
        """The circuit as `circuit.json` has it; the same circuit always gives the same text."""
        from wheatstone.circuits._format import CircuitFile

        return CircuitFile.of(self).to_json()

    def save(self, path: StrPath) -> None:
        """Writes `circuit.json`; the same circuit always gives the same bytes."""
        Path(path).write_text(self.to_json(), encoding="utf-8")

    @classmethod
    def load(cls, path: StrPath) -> Circuit:
        """Reads `circuit.json`.

        Args:
            path: the file, or a folder that contains it, such as a run.

        Raises:
            RunError: the folder is a damaged run, or one of a verb that finds no circuit.
            CircuitError: the file is missing, not a circuit, of another format version, or names nodes or edges
                that its own model lacks.
        """
        from wheatstone.circuits._format import CircuitFile

        path = Path(path)
        if path.is_dir():
            is_run = (path / "manifest.json").is_file()
            path = Run.open(path, *CIRCUITS).file("circuit.json") if is_run else path / "circuit.json"
        return CircuitFile.read(path).to_circuit()
