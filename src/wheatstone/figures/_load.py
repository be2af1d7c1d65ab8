"""The run of a circuit, as its pictures read it: no model and no torch."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from wheatstone._effects import lost, support_of, unit_of
from wheatstone._errors import RequestError, RunError
from wheatstone._path import StrPath
from wheatstone._view import Brief
from wheatstone.runs import Row as Row
from wheatstone.runs import Run

_CHANNEL = re.compile(
    r"a(?P<layer>\d+)\.(?P<kind>[hg])(?P<index>\d+)(?:<(?P<input>[qkv])>)?|m(?P<mlp>\d+)(?:\.[ne](?P<part>\d+))?"
)


@dataclass(frozen=True)
class Component:
    """A node or channel name, taken apart.

    Args:
        name: as it is written in the run, such as `a14.h7<q>`.
        kind: `input`, `logits`, `mlp`, `head` or `group` (of heads that share keys and values).
        layer: its layer, or None for `input` and `logits`.
        index: of the head or group, or of the neuron or expert of an MLP.
        reads: `q`, `k` or `v` where it is one of a head's inputs.
    """

    name: str
    kind: str
    layer: int | None = None
    index: int = 0
    reads: str = ""

    @classmethod
    def of(cls, name: str) -> Component:
        """Takes a name apart.

        Raises:
            RunError: it is not the name of a node or channel.
        """
        if name in ("input", "logits"):
            return cls(name, name)
        match = _CHANNEL.fullmatch(name)
        if match is None:
            raise RunError(
                expected="names of nodes and channels such as a14.h7, a14.g2<v> or m17",
                got=repr(name),
                do="check that circuit.json is as Wheatstone wrote it",
            )
        if match["mlp"]:
            return cls(name, "mlp", int(match["mlp"]), int(match["part"] or 0))
        kind = "head" if match["kind"] == "h" else "group"
        return cls(name, kind, int(match["layer"]), int(match["index"]), match["input"] or "")

    @property
    def part(self) -> str:
        """`neuron` or `expert` where it is a part of an MLP."""
        within = self.name.partition(".")[2][:1] if self.kind == "mlp" else ""
        return {"n": "neuron", "e": "expert"}.get(within, "")

    @property
    def node(self) -> str:
        """The name without its input: `a14.h7` of `a14.h7<q>`."""
        return self.name.split("<")[0]


@dataclass(frozen=True)
class DrawnEdge:
    """A kept edge.

    Args:
        sender: who writes.
        receiver: who reads.
        score: what the ranking estimated, or None.
        effect: exact drop in the goal when this edge, or the unit it was removed with, is removed, or None.
        unit: the edges it was removed with; empty where it was removed alone.
        metric: that the score is in units of.
        decision: `in`, `out` or `undecided`, by how often it recurs when prompts are drawn again; empty without a card.
    """

    sender: Component
    receiver: Component
    score: float | None
    effect: float | None
    unit: str = ""
    metric: str = ""
    decision: str = ""

    @property
    def weight(self) -> float:
        """What it is drawn by: how much it supports the behaviour, see `support_of`."""
        return support_of(self.metric, self.score, self.effect)

    @property
    def magnitude(self) -> float:
        """How strongly it is drawn; the sign does not matter."""
        return abs(self.weight)


@dataclass(frozen=True, eq=False)
class RunData(Brief):
    """What the pictures of a circuit are made of.

    Args:
        run: the run; of a circuit by itself, one without a folder.
        circuit: `circuit.json`.
        verification: `verification.json`; empty where an imported circuit was never run.
        card: folder of the tables of the run's card; by default where the run keeps them.
    """

    run: Run
    circuit: Mapping[str, Any]
    verification: Mapping[str, Any]
    card: Path | None = None

    @classmethod
    def load(cls, path: StrPath) -> RunData:
        """Reads a run folder; its tables are read when they are first asked for.

        Raises:
            RunError: there is no run of a circuit, it is of another format, or a file is missing or damaged.
        """
        return cls.of_run(Run.open(path))

    @classmethod
    def of_run(cls, run: Run) -> RunData:
        """Likewise, of an open run."""
        if run.contents.document != "circuit":
            raise RequestError(
                expected="a run with a circuit",
                got=f"{run.path}, a run of `wheatstone {run.contents.command}`",
                do="give the folder of a run of `wheatstone discover` or `wheatstone import`",
            )
        unproven = run.verb == "import" and not run.has("verification")
        verification = {} if unproven else run.document("verification")
        return cls(run, run.result, verification)

    @classmethod
    def of(cls, circuit: Mapping[str, Any]) -> RunData:
        """A circuit by itself, as `circuit.json` has it: its own picture can be drawn, no other.

        Where the circuit was never run, there is no verification.
        """
        evaluation = circuit.get("evaluation")
        examples = circuit["task"]["examples"]
        settings = {name: circuit[name] for name in ("ablation", "metric")}
        manifest = {"verb": "discover", "model": circuit["model"], "prompts": examples, "settings": settings}
        verification = {"faithfulness": evaluation["faithfulness"], "n": len(examples)} if evaluation else {}
        return cls(Run(Path(), manifest), circuit, verification)

    @property
    def path(self) -> Path:
        """The run folder."""
        return self.run.path

    @property
    def manifest(self) -> Mapping[str, Any]:
        """`manifest.json`."""
        return self.run.manifest

    @cached_property
    def edges(self) -> tuple[DrawnEdge, ...]:
        """The circuit's edges, in order of computation."""
        metric, model = str(self.circuit["metric"]), self.circuit["model"]
        share = model["heads"] // model["kv_groups"]
        return tuple(
            DrawnEdge(
                Component.of(edge["from"]),
                Component.of(edge["to"]),
                edge.get("score"),
                edge.get("effect"),
                unit_of(edge, self.granularity, share) or "",
                metric,
                self.decisions.get((edge["from"], edge["to"]), ""),
            )
            for edge in self.circuit["edges"]
        )

    @cached_property
    def decisions(self) -> dict[tuple[str, str], str]:
        """Of each edge of the graph, by the run's card; empty without a card, or for edges at parts of prompts."""
        if self.path == Path() or self.circuit.get("spans"):
            return {}
        return self.run.decisions(self.card)

    def strongest(self, most: int) -> RunData:
        """The same with at most `most` edges, the strongest, in their order."""
        if len(self.edges) <= most:
            return self
        ordered = sorted(range(len(self.edges)), key=lambda place: -self.edges[place].magnitude)
        edges = [self.circuit["edges"][place] for place in sorted(ordered[:most])]
        return replace(self, circuit={**self.circuit, "edges": edges})

    @property
    def goal(self) -> str:
        """What the search was for."""
        return str(self.circuit.get("goal") or self.manifest["settings"].get("goal") or "sufficient")

    @property
    def granularity(self) -> str:
        """What the search removed at once, and so what effects were measured on."""
        return str(self.circuit.get("granularity") or self.manifest["settings"].get("granularity") or "channels")

    @property
    def exact(self) -> bool:
        """Whether every edge's effect was measured."""
        return all(edge.effect is not None for edge in self.edges)

    @property
    def total_edges(self) -> int:
        """Edges of the whole model."""
        return int(self.circuit["evaluation"]["total_edges"])

    @cached_property
    def held_out(self) -> list[Mapping[str, Any]]:
        """Verifications on other prompts; empty where there are none."""
        return self.run.held_out

    @property
    def faithfulness(self) -> float:
        """The circuit's, as verified."""
        return float(self.verification["faithfulness"])

    @property
    def heads_by_effect(self) -> list[str]:
        """The circuit's attention heads, the one with the strongest edge first."""
        strongest: dict[str, float] = {}
        for edge in self.edges:
            if edge.sender.kind == "head":
                name = edge.sender.name
                strongest[name] = max(strongest.get(name, 0.0), edge.magnitude)
        return sorted(strongest, key=lambda name: -strongest[name])

    @cached_property
    def curve(self) -> list[Row]:
        """Faithfulness of the ranking's first edges and of random circuits, by size."""
        return self.run.rows("curve")

    @cached_property
    def trace(self) -> list[Row]:
        """The steps of the search, with how far each got towards the goal as `reached`.

        Older runs call it `faithfulness` under the goal `complete` too, where it is completeness.
        """
        rows = self.run.rows("trace")
        return [{**row, "reached": row.get(lost(self.goal), row.get("faithfulness"))} for row in rows]

    @cached_property
    def lens(self) -> list[Row]:
        """Rank and probability of answer and distractor after every layer."""
        return self.run.rows("lens")

    @cached_property
    def attention(self) -> list[Row]:
        """Attention weights of the circuit's heads."""
        return self.run.rows("attention")
