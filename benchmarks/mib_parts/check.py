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
from mib_parts.measure import Curve, curves, scores
from wheatstone.circuits import Circuit, ModelInfo, to_eap_json

MODELS = ("tiny-gpt2", "tiny-grouped")
METHODS = ("eap", "eap-ig")
_DRAWN = 0.15
"""Share of the edges that are true in the circuit that ROC curves are compared on."""


def compare(cache: Path, mib: Path, eap_ig: Path) -> list[dict[str, Any]]:
    """The largest differences, a row for each model, method and format of the file."""
    rows = list[dict[str, Any]]()
    for name in MODELS:
        place = folder(cache, name)
        model = ungrouped(ws.load_model(str(place)))
        pairs = [
            ws.PromptPair(
                prompt=row["clean"], counterfactual=row["corrupt"],
                answers=(row["answer"],), distractors=(row["distractor"],),
            )
            for row in json.loads((place / "pairs.json").read_text())
        ]  # fmt: skip
        python = environments.TL3.python(cache)
        with Driver("MIB", python, "drive_mib.py", (str(place), str(eap_ig), str(mib)), cache / "logs") as peer:
            for method, ending in zip(METHODS, ("json", "pt"), strict=True):
                file = cache / f"{name}-{method}.{ending}"
                write_scores(file, model, scores(model, pairs, method))
                values = read_scores(file, model)
                rows.append({"model": name, "method": method, "file": ending, "edges": model.graph.edges})
                rows[-1] |= _areas(peer, file, curves(model, pairs, values))
                rows[-1] |= {"rates": _roc(peer, file, model, values, cache / f"{name}-truth.json")}
    return rows


def _areas(peer: Driver, file: Path, ours: dict[str, Curve]) -> dict[str, float]:
    """Largest differences of faithfulness, of areas and of the numbers of edges."""
    gaps = {"faithfulness": 0.0, "cpr": 0.0, "cmd": 0.0, "counts": 0.0}
    for name, curve in ours.items():
        for log in (False, True):
            theirs = peer.ask("areas", file=str(file), log=log, absolute=name == "size")
            here = {"faithfulness": curve.faithfulness, "counts": curve.edges} | vars(curve.areas(log=log))
            for key in gaps:
                there = theirs["edges" if key == "counts" else key]
                gaps[key] = max(gaps[key], float(np.max(np.abs(np.subtract(here[key], there)))))
    return gaps


def _roc(peer: Driver, file: Path, model: ws.ResidualModel, values: torch.Tensor, truth: Path) -> float:
    """Largest difference of the rates along the ROC curve, against a circuit of edges drawn at random."""
    valid = model.graph.valid
    draw = torch.rand(valid.shape, generator=torch.Generator().manual_seed(0)) < _DRAWN
    circuit = Circuit.of_mask(ModelInfo.of(model), draw & torch.from_numpy(valid))
    truth.write_text(to_eap_json(circuit, d_model=model.d_model), encoding="utf-8")
    theirs = peer.ask("roc", truth=str(truth), file=str(file))
    ours = [rates(draw.numpy()[valid], keep[valid]) for keep in greedy(model.graph, values)]
    sides = {"TPR": "true", "FPR": "false", "precision": "precision"}
    return max(
        abs(getattr(point, side) - there)
        for name, side in sides.items()
        for point, there in zip(ours, theirs[name], strict=True)
    )
