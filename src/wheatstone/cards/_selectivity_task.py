"""One task of a matrix: what it loses without each circuit, fact by fact."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from wheatstone._progress import Reporter, silent
from wheatstone.cards._selectivity_circuits import TaskCircuit
from wheatstone.circuits import Edge, Experiment, same_weights
from wheatstone.models import ResidualModel
from wheatstone.runs import write_json
from wheatstone.tasks import PromptPair
from wheatstone.verification import carried

_TOGETHER = 8
"""Prompts of the experiment that others are made like."""


@dataclass(frozen=True)
class TaskShard:
    """A task as a piece of work; see `Shard`.

    Args:
        of: its circuit, whose ablation and metric its facts are measured with.
        pairs: its facts.
        removed: edges of every circuit that are ablated, by the circuit's name.
    """

    of: TaskCircuit
    pairs: tuple[PromptPair, ...]
    removed: Mapping[str, tuple[Edge, ...]]

    @property
    def name(self) -> str:
        """Of the task."""
        return self.of.name

    @property
    def content(self) -> dict[str, Any]:
        """The facts, how they are measured, and the edges."""
        circuit = self.of.circuit
        examples = circuit.examples if circuit.ablation == "mean" else ()
        return {
            "selectivity": [pair.model_dump(mode="json") for pair in self.pairs],
            "measured": [circuit.ablation, circuit.metric, *(pair.model_dump(mode="json") for pair in examples)],
            "removed": {name: [str(edge) for edge in edges] for name, edges in self.removed.items()},
        }

    def run(self, model: ResidualModel, folder: Path, report: Reporter = silent) -> None:
        """Measures it; writes `result.json`: of each fact the model's change of the metric, and what each circuit costs
        of it."""
        circuit = self.of.circuit
        same_weights(model, circuit)
        experiment = Experiment.of(circuit, model, self.pairs[:_TOGETHER], allow_weak=True)
        masks = torch.stack([replace(circuit, edges=edges).mask(experiment.graph) for edges in self.removed.values()])
        found = carried(experiment.over(self.pairs), masks, complete=True)
        result = {
            "task": self.name,
            "prompts": [pair.prompt for pair in self.pairs],
            "whole": found.whole.tolist(),
            "lost": dict(zip(self.removed, found.part.tolist(), strict=True)),
        }
        write_json(folder / "result.json", result)
