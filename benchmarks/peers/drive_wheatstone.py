"""Wheatstone, in a process of its own as its peers are; `worker.py` says how.

python drive_wheatstone.py MODEL_FOLDER
"""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path
from typing import Any

import torch
from worker import serve

import wheatstone as ws
from wheatstone.models._single_edge import SingleEdges

model = ws.load_model(sys.argv[1])
rows = json.loads((Path(sys.argv[1]) / "pairs.json").read_text())
pairs = [
    ws.PromptPair(
        prompt=row["clean"],
        counterfactual=row["corrupt"],
        answers=(row["answer"],),
        distractors=(row["distractor"],),
    )
    for row in rows
]
assert [model.encode(pair.prompt) for pair in pairs] == [row["clean_ids"] for row in rows]
swapped = [
    ws.PromptPair(
        prompt=pair.counterfactual,
        counterfactual=pair.prompt,
        answers=pair.distractors,
        distractors=pair.answers,
    )
    for pair in pairs
]
"""With prompts and answers exchanged, EAP takes its gradient on the corrupt prompt, and its scores keep their sign."""


def score(method: str, steps: int = 1, scores: bool = False, on_corrupt: bool = False) -> Any:
    """`score_edges`: loading the prompts, both passes and all scores."""

    def work() -> ws.EdgeScores:
        return ws.score_edges(model, swapped if on_corrupt else pairs, method=method, steps=steps)

    return work, lambda found: {"edges": model.graph.edges, "scores": by_name(found.values) if scores else {}}


def exact_sample(batches: int, seed: int = 0) -> Any:
    """The runs of `exact` for a sample of its batches, so that the time of one edge can be told."""
    experiment = ws.Experiment(model, pairs)

    @torch.no_grad()
    def work() -> int:
        runs = SingleEdges(model, experiment.encoded.clean, experiment.ablated, experiment.memory)
        chosen = random.Random(seed).sample(list(runs.batches()), batches)
        return sum(len(experiment.values_of(runs.run(edges))) for edges in chosen)

    return work, lambda done: {"edges": model.graph.edges, "done": done}


def by_name(values: torch.Tensor) -> dict[str, float]:
    """Scores by the names of edges."""
    graph = model.graph
    return {
        f"{graph.nodes[node]}->{graph.channels[channel]}": float(values[channel, node])
        for channel, node in zip(*graph.valid.nonzero(), strict=True)
    }


def search(**options: Any) -> Any:
    """`discover`: the whole search."""

    def describe(circuit: ws.Circuit) -> dict[str, Any]:
        assert circuit.evaluation is not None
        return {"edges": model.graph.edges, "kept": len(circuit), "faithfulness": circuit.evaluation.faithfulness}

    return lambda: ws.discover(model, pairs, **options), describe


serve({
    "eap": lambda **o: score("eap", **o),
    "eap-ig": lambda **o: score("eap-ig", **o),
    "gim": lambda **o: score("gim", **o),
    "relp": lambda **o: score("relp", **o),
    "ceap": lambda **o: score("ceap", **o),
    "exact": lambda **o: score("exact", **o),
    "exact-sample": exact_sample,
    "verified": lambda faithfulness=0.9: search(faithfulness=faithfulness),
    "acdc": lambda **o: search(method="acdc", **o),
})  # fmt: skip
