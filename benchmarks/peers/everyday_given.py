"""What the ten everyday tasks are asked of, in every tool; run by each tool's own Python."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from worker import serve

FOLDER = Path(sys.argv[1])
PAIR: dict[str, Any] = json.loads((FOLDER / "pairs.json").read_text(encoding="utf-8"))[0]
PROMPT, OTHER, ANSWER, DISTRACTOR = (PAIR[name] for name in ("clean", "corrupt", "answer", "distractor"))
POSITIONS = len(PAIR["clean_ids"])
LAYER, HEAD, MLP, STEERED = 23, 4, 17, 10
NEW = 20
CONFIG: dict[str, Any] = json.loads((FOLDER / "config.json").read_text(encoding="utf-8"))
LAYERS, HEADS, SIZE = (CONFIG[name] for name in ("num_hidden_layers", "num_attention_heads", "hidden_size"))
WIDE = SIZE // HEADS
VECTOR = torch.randn(SIZE, generator=torch.Generator().manual_seed(0))
"""Of a head, and what is added to the residual stream."""
torch.set_grad_enabled(False)

Task = tuple[Callable[[], Any], Callable[[Any], Mapping[str, torch.Tensor]]]


def serve_tasks(tasks: Mapping[str, Task]) -> None:
    """Answers requests; a request's `out` is where the numbers of the result are saved, after the clock has stopped.

    Args:
        tasks: by name: what is measured, and the numbers in what it gives back.
    """

    def job(task: Callable[[], Any], numbers: Callable[[Any], Mapping[str, torch.Tensor]]) -> Any:
        def asked(out: str = "") -> Any:
            def describe(result: Any) -> dict[str, Any]:
                if out:
                    torch.save({name: value.detach().float() for name, value in numbers(result).items()}, out)
                return {}

            return task, describe

        return asked

    serve({name: job(*task) for name, task in tasks.items()})
