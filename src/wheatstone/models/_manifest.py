"""What every run that reads a model says of itself: versions, model, settings, timings, what it was computed on."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import torch

from wheatstone._version import __version__
from wheatstone.models._memory import memory_budget
from wheatstone.models._residual import ResidualModel
from wheatstone.runs import FORMAT


def manifest_without_prompts(
    model: ResidualModel, verb: str, settings: Mapping[str, Any], *, seed: int, seconds: Mapping[str, float]
) -> dict[str, Any]:
    """The manifest of a run that reads a model, but not on prompts.

    Args:
        model: the model.
        verb: the command that made the run.
        settings: of that verb.
        seed: of everything that is drawn.
        seconds: what each stage took.
    """
    return {
        "format": FORMAT,
        "verb": verb,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {
            "wheatstone": __version__,
            "python": platform.python_version(),
            **{name: version(name) for name in ("torch", "transformers")},
        },
        "model": {
            "id": model.id,
            "title": model.title,
            "family": model.family.name,
            "sha256": model.sha256,
            "layers": model.graph.layers,
            "heads": model.graph.heads,
            "kv_groups": model.graph.kv_groups,
            "d_model": model.d_model,
            "dtype": model.precision,
            "device": model.device.type,
        },
        "settings": dict(settings),
        "computed_on": computed_on(model.device),
        "seed": seed,
        "prompts": [],
        "evaluations": 0,
        "timings": {stage: round(taken, 3) for stage, taken in seconds.items()},
        "notes": [],
    }


def computed_on(device: torch.device, memory: int | None = None) -> dict[str, Any]:
    """What the last digits of a run depend on besides model, input, settings, seed and versions.

    Args:
        device: that the model is on.
        memory: bytes that a batch of circuits might take; default `memory_budget`.

    Returns:
        The processor or GPU, the vector instructions that torch uses, the number of threads, and the memory budget.
    """
    gpu = device.type == "cuda"
    return {
        "processor": torch.cuda.get_device_name(device) if gpu else platform.machine(),
        "kernel": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "memory_budget": memory_budget(device) if memory is None else memory,
    }
