"""AUROC as MIB measures it on InterpBench, on compiled programs whose circuits are known."""

from __future__ import annotations

from typing import Any

import torch
from compiled_programs import PROGRAMS, compiled_program
from ground_truth import agreement

from mib_parts.areas import auroc, rates
from mib_parts.choose import greedy
from wheatstone import Experiment
from wheatstone.discovery import METHODS, attribute


def of_programs() -> list[dict[str, Any]]:
    """Every scoring method on every program: the area of MIB's ROC curve, and that over all thresholds."""
    rows = list[dict[str, Any]]()
    for name in PROGRAMS:
        program = compiled_program(name)
        experiment, graph, truth = Experiment(program.model, program.pairs), program.model.graph, program.truth.numpy()
        for method in METHODS:
            values = attribute(experiment, method=method).values
            curve = [rates(truth[graph.valid], keep[graph.valid]) for keep in greedy(graph, values)]
            everything = torch.from_numpy(graph.valid)
            ranked = agreement(truth[graph.valid], truth[graph.valid], values.abs()[everything].numpy())
            rows.append({
                "program": name, "edges": graph.edges, "true": int(truth.sum()), "method": method,
                "auroc": auroc(curve), "all": ranked.auroc,
            })  # fmt: skip
    return rows
