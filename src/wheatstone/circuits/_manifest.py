"""What every run of an experiment says of itself: the model's part, and its prompts with their tokens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wheatstone.circuits._experiment import Experiment
from wheatstone.models import computed_on, manifest_without_prompts


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
