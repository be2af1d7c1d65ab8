"""Scores agree with those of auto-circuit 1.0.1, transformer-lens 4.3 and EAP-IG's own code, where defined alike.

Their scores were written by `benchmarks/peers.py --parts scores --reference tests/discovery/peers`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from scipy.stats import spearmanr
from tolerance import rounding

import wheatstone as ws
from wheatstone.models import ResidualModel

PEERS = Path(__file__).parent / "peers"
CASES = [
    pytest.param(folder.name, words, id=f"{folder.name}: {words}")
    for folder in sorted(PEERS.iterdir())
    for words in json.loads((folder / "peers.json").read_text(encoding="utf-8"))
]


def test_every_peer_is_here() -> None:
    words = " ".join(str(case.values[1]) for case in CASES)
    assert all(peer in words for peer in ("auto-circuit", "transformer-lens", "EAP-IG, EAP", "points", "exact"))


@pytest.mark.parametrize(("name", "words"), CASES)
def test_scores_agree(name: str, words: str) -> None:
    model = ws.load_model(str(PEERS / name))
    record: dict[str, Any] = json.loads((PEERS / name / "peers.json").read_text(encoding="utf-8"))[words]
    ours = _ours(model, _pairs(name), record["ours"])
    graph = model.graph
    theirs = torch.zeros(ours.shape)
    for edge, score in record["scores"].items():
        theirs[graph.edge(*edge.split("->"))] = score
    valid = torch.from_numpy(graph.valid)
    a, b = ours[valid], theirs[valid]
    assert len(a) == len(record["scores"])
    rank, _ = cast(tuple[float, float], spearmanr(a, b))
    assert rank > 0.999
    scale = (a @ b / (a @ a)).item()
    # EAP-IG divides by the number of prompts twice.
    exact = rounding(model, passes=3)
    assert scale == exact.near(0.25 if words.startswith("EAP-IG") and "exact" not in words else 1)
    exact.check(b, scale * a, magnitude=b.abs().max().item())


def _pairs(name: str) -> list[ws.PromptPair]:
    rows = json.loads((PEERS / name / "pairs.json").read_text(encoding="utf-8"))
    return [
        ws.PromptPair(
            prompt=row["clean"],
            counterfactual=row["corrupt"],
            answers=(row["answer"],),
            distractors=(row["distractor"],),
        )
        for row in rows
    ]


def _ours(model: ResidualModel, pairs: list[ws.PromptPair], which: str) -> torch.Tensor:
    if "corrupt" in which:
        # With prompt and answer exchanged, the gradient is taken on the corrupt prompt; scores keep their sign.
        pairs = [
            ws.PromptPair(
                prompt=pair.counterfactual,
                counterfactual=pair.prompt,
                answers=pair.distractors,
                distractors=pair.answers,
            )
            for pair in pairs
        ]
    return ws.score_edges(model, pairs, method=which.split("`")[1], steps=5).values
