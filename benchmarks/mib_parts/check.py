"""MIB's own evaluation against ours, on tiny models that both read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peers import environments
from peers.process import Driver
from peers.subjects import folder

import wheatstone as ws
from mib_parts.areas import rates
from mib_parts.choose import greedy, ungrouped
from mib_parts.files import read_scores, write_scores
from mib_parts.measure import curves, scores
from wheatstone.circuits import Circuit, ModelInfo, to_eap_json
from wheatstone.models import Graph

MODELS = ("tiny-gpt2", "tiny-grouped")
FILES = {"eap": "json", "eap-ig": "pt", "drawn": "json"}
"""Whose scores are compared, and in which format of file; `drawn` ones are random."""
_TRUE = 0.15
"""Share of the edges that are true in the circuit that ROC curves are compared on."""
_SIDES = {"TPR": "true", "FPR": "false", "precision": "precision"}


def compare(cache: Path, mib: Path, eap_ig: Path, reference: Path | None = None) -> list[dict[str, Any]]:
    """The largest differences, a row for each model and kind of scores.

    Args:
        cache: where the environment and the models are.
        mib: a checkout of MIB's circuit track.
        eap_ig: a checkout of EAP-IG.
        reference: folder whose `MODEL/mib.json` take MIB's results for the drawn scores: the tests'.
    """
    rows = list[dict[str, Any]]()
    for name in MODELS:
        place = folder(cache, name)
        model, pairs = subject(place)
        truth = cache / f"{name}-truth.json"
        circuit = Circuit.of_mask(ModelInfo.of(model), true_edges(model.graph))
        truth.write_text(to_eap_json(circuit, d_model=model.d_model), encoding="utf-8")
        python = environments.TL3.python(cache)
        with Driver("MIB", python, "drive_mib.py", (str(place), str(eap_ig), str(mib)), cache / "logs") as peer:
            for kind, ending in FILES.items():
                file = cache / f"{name}-{kind}.{ending}"
                write_scores(file, model, drawn(model.graph) if kind == "drawn" else scores(model, pairs, kind))
                theirs = _theirs(peer, file, truth)
                rows.append({"model": name, "method": kind, "file": ending, "edges": model.graph.edges})
                rows[-1] |= gaps(theirs, model, pairs, read_scores(file, model))
                if reference and kind == "drawn":
                    (reference / name / "mib.json").write_text(json.dumps(theirs) + "\n", encoding="utf-8")
    return rows


def subject(place: Path) -> tuple[ws.ResidualModel, list[ws.PromptPair]]:
    """A model with MIB's graph, and its pairs."""
    pairs = [
        ws.PromptPair(
            prompt=row["clean"], counterfactual=row["corrupt"],
            answers=(row["answer"],), distractors=(row["distractor"],),
        )
        for row in json.loads((place / "pairs.json").read_text(encoding="utf-8"))
    ]  # fmt: skip
    return ungrouped(ws.load_model(str(place))), pairs


def drawn(graph: Graph) -> torch.Tensor:
    """Scores that depend on nothing that is computed."""
    return torch.randn(graph.valid.shape, generator=torch.Generator().manual_seed(1)) * torch.from_numpy(graph.valid)


def true_edges(graph: Graph) -> torch.Tensor:
    """A circuit of edges drawn at random."""
    draw = torch.rand(graph.valid.shape, generator=torch.Generator().manual_seed(0)) < _TRUE
    return draw & torch.from_numpy(graph.valid)


def _theirs(peer: Driver, file: Path, truth: Path) -> dict[str, Any]:
    """What MIB's code makes of a file of scores."""
    found: dict[str, Any] = {"roc": peer.ask("roc", truth=str(truth), file=str(file))}
    for name in ("score", "size"):
        for log in (False, True):
            answer = peer.ask("areas", file=str(file), log=log, absolute=name == "size")
            found[f"{name}, log" if log else name] = answer
    cost = ("seconds", "cpu", "peak_mb")
    return {name: {key: each[key] for key in each if key not in cost} for name, each in found.items()}


def gaps(
    theirs: dict[str, Any], model: ws.ResidualModel, pairs: list[ws.PromptPair], values: torch.Tensor
) -> dict[str, float]:
    """Largest differences of faithfulness, of areas, of the numbers of edges, and of the rates of ROC curves."""
    found = {"faithfulness": 0.0, "cpr": 0.0, "cmd": 0.0, "edges after pruning": 0.0}
    for name, curve in curves(model, pairs, values).items():
        for log in (False, True):
            there = theirs[f"{name}, log" if log else name]
            here = {"faithfulness": curve.faithfulness, "edges after pruning": curve.edges} | vars(curve.areas(log=log))
            for key in found:
                gap = np.abs(np.subtract(here[key], there["edges" if key not in there else key]))
                found[key] = max(found[key], float(gap.max()))
    graph = model.graph
    truth, valid = true_edges(graph).numpy(), graph.valid
    points = [rates(truth[valid], keep[valid]) for keep in greedy(graph, values)]
    here = np.array([[getattr(point, side) for point in points] for side in _SIDES.values()])
    return found | {"rates": float(np.abs(here - [theirs["roc"][name] for name in _SIDES]).max())}
