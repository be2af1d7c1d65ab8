"""A small run folder, written by hand: no model."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

_EDGES: list[tuple[str, str, float, float | None]] = [
    ("input", "m0", 3.0, 0.8125),
    ("m0", "a1.g0<v>", 1.5, 0.5),
    ("m0", "a1.h1<q>", -0.25, -0.0625),
    ("a1.h1", "m1", 0.5, 0.03125),
    ("a1.h1", "logits", 2.0, 0.375),
    ("m1", "logits", 0.125, 0.25),
]

WriteRun = Callable[..., Path]


@pytest.fixture(scope="session")
def write_run(tmp_path_factory: pytest.TempPathFactory) -> WriteRun:
    """Writes a new run folder of a 2-layer, 2-head model; keywords replace what it holds."""

    def write(
        *,
        prompt: str = "The sea is",
        answer: str = " blue",
        tokens: tuple[str, ...] = ("The", " sea", " is"),
        edges: list[tuple[str, str, float, float | None]] = _EDGES,
        prompts: int = 1,
    ) -> Path:
        run = tmp_path_factory.mktemp("run")
        last = len(tokens) - 1
        pair = {
            "prompt": prompt,
            "counterfactual": "The sun is",
            "answers": [answer],
            "distractors": [" bright"],
        }
        model: dict[str, Any] = {
            "id": "tiny",
            "family": "llama",
            "layers": 2,
            "heads": 2,
            "kv_groups": 1,
            "sha256": "c0ffee" * 10,
        }
        rows = ("model", "circuit", "complement", "random", "empty")
        by_row = lambda *values: dict(zip(rows, values, strict=True))  # noqa: E731
        seen = {"rank": 1, "probability": 0.4375, "top": answer}
        files: dict[str, Any] = {
            "manifest": {
                "format": "wheatstone.run/1",
                "verb": "discover",
                "created": "2026-11-22T10:00:00+00:00",
                "versions": {"wheatstone": "9.8.7"},
                "model": {**model, "d_model": 16},
                "settings": {
                    "method": "eap-ig",
                    "steps": 5,
                    "ablation": "counterfactual",
                    "metric": "logit_diff",
                    "unit": "logits",
                    "faithfulness": 0.9,
                },
                "seed": 4321,
                "prompts": [
                    {
                        **pair,
                        "tokens": list(tokens),
                        "counterfactual_tokens": ["The", " sun", *tokens[2:]],
                        "subject_last": 1,
                        "last": last,
                    }
                ]
                * prompts,
                "evaluations": 1234,
                "timings": {"score edges": 0.7},
                "notes": ["only the first token is scored"],
            },
            "circuit": {
                "format": "wheatstone.circuit/1",
                "model": model,
                "ablation": "counterfactual",
                "metric": "logit_diff",
                "task": {"name": "colours", "examples": [pair]},
                "edges": [{"from": a, "to": b, "score": score, "effect": effect} for a, b, score, effect in edges],
                "evaluation": {
                    "clean": 4.0,
                    "corrupt": -1.0,
                    "circuit": 3.6875,
                    "faithfulness": 0.9375,
                    "edges": len(edges),
                    "total_edges": 37,
                },
            },
            "verification": {
                "n": prompts,
                "split": "train",
                "ablation": "counterfactual",
                "metric": "logit_diff",
                "faithfulness": 0.9375,
                "completeness": 0.98,
                "kl": by_row(0.0, 0.3217, 2.5, 2.6, 2.7),
                "hit_at_1": by_row(1.0, 1.0, 0.0, 0.0, 0.0),
                "hit_at_10": by_row(1.0, 1.0, 0.5, 0.0, 0.0),
                "metric_value": by_row(4.0, 3.6875, -0.9, -0.95, -1.0),
                "ci95": {"faithfulness": None if prompts == 1 else [0.8765, 0.9654]},
                "random_draws": 20,
                "prompts": [{"prompt": prompt, "answer": answer, **dict.fromkeys(rows, seen)}] * prompts,
            },
        }
        for file, content in files.items():
            (run / f"{file}.json").write_text(json.dumps(content), encoding="utf-8")
        for table, columns in _tables(len(tokens), prompts, answer).items():
            names, values = columns
            pq.write_table(
                pa.table(dict(zip(names.split(), map(list, zip(*values, strict=True)), strict=True))),
                run / f"{table}.parquet",
            )
        return run

    return write


def _tables(tokens: int, prompts: int, answer: str) -> dict[str, tuple[str, list[tuple[Any, ...]]]]:
    curve = [(size, "ranking", 0, size / 37, 1.0, 0.0) for size in (1, 6, 37)]
    curve += [(6, "random", draw, 0.01 * draw - 0.05, 2.6, 0.0) for draw in range(20)]
    lens = [
        (prompt, run, site, at, layer, kind, token, 100 // (1 + layer * 60) if kind == "answer" else 50, 0.2 * layer)
        for prompt in range(prompts)
        for run in ("model", "circuit")
        for site, at in (("last", tokens - 1), ("subject", 1))
        for layer in range(3)
        for kind, token in (("answer", answer), ("distractor", " bright"))
    ]
    attention = [(0, "a1.h1", query, key, 1 / (query + 1)) for query in range(tokens) for key in range(query + 1)]
    return {
        "curve": ("size kind draw faithfulness kl hit_at_1", curve),
        "trace": ("stage edges faithfulness evaluations", [("ranking", 12, 0.95, 30), ("minimality", 6, 0.9375, 1234)]),
        "lens": ("prompt run site position layer kind token rank probability", lens),
        "attention": ("prompt head query key weight", attention),
    }
