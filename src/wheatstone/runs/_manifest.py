"""What every run of an experiment says of itself: versions, model, settings, prompts with their tokens, timings."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import torch

from wheatstone._version import __version__
from wheatstone.circuits import Experiment
from wheatstone.models import ResidualModel, memory_budget
from wheatstone.runs._folder import FORMAT


def manifest_of(
    experiment: Experiment, verb: str, settings: Mapping[str, Any], *, seed: int, seconds: Mapping[str, float]
) -> dict[str, Any]:
    """A run's `manifest.json`, to which a verb may add.

    Args:
        experiment: model, prompts and metric.
        verb: the command that made the run.
        settings: of that verb.
        seed: of everything that is drawn.
        seconds: what each stage took.
    """
    encoded = experiment.encoded
    lengths = encoded.clean.lengths.tolist()
    settings = {**settings, "unit": experiment.metric.unit}
    return manifest_without_prompts(experiment.model, verb, settings, seed=seed, seconds=seconds) | {
        "prompts": [
            {
                **pair.model_dump(mode="json"),
                "ids": clean[:length],
                "counterfactual_ids": counterfactual[:length],
                "tokens": experiment.model.decode(clean[:length]),
                "counterfactual_tokens": experiment.model.decode(counterfactual[:length]),
                "subject_last": subject,
                "last": length - 1,
            }
            for pair, clean, counterfactual, length, subject in zip(
                encoded.pairs,
                encoded.clean.ids.tolist(),
                encoded.counterfactual.ids.tolist(),
                lengths,
                encoded.subject_last.tolist(),
                strict=True,
            )
        ],
        "computed_on": computed_on(experiment.model.device, experiment.memory),
        "evaluations": experiment.evaluations,
        "model_answers": experiment.model_answers.to_dict(),
        "notes": list(encoded.notes),
    }


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
