"""What is said of one neuron: the tokens it writes, and on given prompts what it does and what that is worth.

All of it as plain values: what `neuron show --json` prints, and what the page is made of without the model.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from wheatstone._errors import ModelError, RunError
from wheatstone._path import StrPath
from wheatstone._progress import Reporter, silent
from wheatstone._version import __version__
from wheatstone.circuits import Experiment
from wheatstone.models import Neuron, ResidualModel, Tokens
from wheatstone.neurons._calibration import calibrate
from wheatstone.neurons._congruence import Congruence
from wheatstone.neurons._neuron_corpus import corpus_facts
from wheatstone.neurons._observed import observe
from wheatstone.neurons._patches import Patching
from wheatstone.neurons._probe_run import neuron_probes
from wheatstone.neurons._scan_read import Scan
from wheatstone.neurons._screen import mlp_recovery, neuron_effects
from wheatstone.neurons._screen_run import dose_rows
from wheatstone.neurons._tokens import ends_of, neurons_of_token
from wheatstone.runs import CIRCUITS, Run
from wheatstone.tasks import PromptPair

_READINGS = ("readout", "embedding")
_SHOWN = 4
"""Prompts whose tokens are shown with the neuron's activation."""


def neuron_facts(
    model: ResidualModel,
    neuron: Neuron,
    *,
    token: int | None = None,
    experiment: Experiment | None = None,
    scan: Scan | None = None,
    probes: StrPath | None = None,
    report: Reporter = silent,
) -> dict[str, Any]:
    """Everything that can be said of a neuron.

    Args:
        model: the model.
        neuron: which.
        token: to compare it with; by default the first prompt's answer, or else the token it is most congruent with.
        experiment: prompts to look at it on.
        scan: what it did in running text.
        probes: a run of `neuron probe`, for the concepts that it detects.
        report: progress callback.

    When this misleads: see `Congruence`, `neuron_effects`, `calibrate` and `doses`; each says what it leaves out.
    """
    probes = None if probes is None else Path(probes)
    tokens: dict[str, Any] = {}
    for reading in _READINGS:
        report("reading weights", _READINGS.index(reading), len(_READINGS))
        congruence = Congruence(model, reading)
        promoted, suppressed, spread = ends_of(congruence, neuron)
        if token is None:
            token = promoted[0].token if experiment is None else int(experiment.encoded.answers[0, 0])
        rivals, rival_spread = neurons_of_token(congruence, token)
        tokens[reading] = {
            "promoted": [row._asdict() for row in promoted],
            "suppressed": [row._asdict() for row in suppressed],
            "histogram": spread._asdict(),
            "with_token": float(congruence.of_neuron(neuron)[token]),
            "token_histogram": rival_spread._asdict(),
            "token_neurons": [{"neuron": str(rival), "congruence": value} for rival, value in rivals],
        }
    report("reading weights", len(_READINGS), len(_READINGS))
    assert token is not None
    facts: dict[str, Any] = {
        "neuron": str(neuron),
        "layer": neuron.layer,
        "index": neuron.index,
        "token": {"id": token, "text": model.decode([token])[0]},
        "congruence": tokens,
        "model": {
            "id": model.id,
            "title": model.title,
            "family": model.family.name,
            "sha256": model.sha256,
            "layers": model.graph.layers,
            "neurons": model.blocks[neuron.layer].neurons,
        },
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "wheatstone": __version__,
        "prompts": None,
        "corpus": None,
        "probes": None,
    }
    if probes is not None:
        _check_weights(Run.open(probes, "neuron probe"), model)
        facts["probes"] = neuron_probes(probes, neuron)
    if experiment is not None:
        facts["prompts"] = _on_prompts(experiment, neuron, token, report)
    if scan is not None:
        facts["corpus"] = corpus_facts(model, neuron, token, scan, report=report)
    return facts


def experiment_of(run: StrPath, model: ResidualModel) -> Experiment:
    """The prompts of a run, for a model that is already loaded.

    Raises:
        ModelError: the run was made with other weights.
        RunError: there is no run, or one without prompts.
    """
    opened = Run.open(run, "neuron", *CIRCUITS)
    manifest = opened.manifest
    _check_weights(opened, model)
    if not manifest["prompts"]:
        raise RunError(
            expected="a run with prompts",
            got=f"{opened.path}, a circuit that was imported without any",
            do="give another run, or import it again with --prompts or --task",
        )
    pairs = [
        PromptPair.model_validate({name: pair[name] for name in PromptPair.model_fields if name in pair})
        for pair in manifest["prompts"]
    ]
    # The run's prompts were accepted when it was made, so weak answers are only recorded.
    allow_weak = True if manifest["settings"].get("allow_weak") else None
    return Experiment(model, pairs, metric=manifest["settings"]["metric"], allow_weak=allow_weak)


def _check_weights(run: Run, model: ResidualModel) -> None:
    theirs = run.manifest["model"]
    if theirs.get("sha256") and model.sha256 and theirs["sha256"] != model.sha256:
        raise ModelError(
            expected=f"the weights of {run.path}, {theirs['id']} ({theirs['sha256'][:12]}…)",
            got=f"{model.id} ({model.sha256[:12]}…)",
            do="give that model with --model",
        )


def _on_prompts(experiment: Experiment, neuron: Neuron, token: int, report: Reporter) -> dict[str, Any]:
    """The neuron on prompts: its effect both ways, its doses, its activation token by token, its calibration."""
    model, encoded = experiment.model, experiment.encoded
    effects: dict[str, dict[str, float]] = {}
    for direction in ("denoising", "noising"):
        patching = Patching(experiment, direction)
        effects[direction] = {
            "all": float(patching.share(neuron_effects(patching, [neuron], report=report))[0]),
            "last": float(patching.share(neuron_effects(patching, [neuron], position=-1, report=report))[0]),
            "mlp": mlp_recovery(patching, [neuron.layer], report=report)[0],
        }
    both = [*encoded.clean.ids.tolist(), *encoded.counterfactual.ids.tolist()]
    lengths = [*encoded.clean.lengths.tolist(), *encoded.counterfactual.lengths.tolist()]
    texts = [row[:length] for row, length in zip(both, lengths, strict=True)]
    seen = observe(model, neuron, token, Tokens.of(texts, model.device), report=report)
    found = calibrate(seen)
    shown = [row for row in range(len(texts)) if row % len(encoded.pairs) < _SHOWN]
    return {
        "n": len(encoded.pairs),
        "metric": experiment.metric.name,
        "clean": float(experiment.clean.mean()),
        "corrupt": float(experiment.corrupt.mean()),
        "answer": encoded.pairs[0].answers[0],
        "distractor": (encoded.pairs[0].distractors or (None,))[0],
        "model_answers": experiment.model_answers.to_dict(),
        "effects": effects,
        "doses": [row._asdict() for row in dose_rows(Patching(experiment), neuron)],
        "activations": [
            {
                "prompts": "clean" if row < len(encoded.pairs) else "counterfactual",
                "pair": row % len(encoded.pairs),
                "tokens": model.decode(texts[row]),
                "activations": seen.activations[seen.texts == row].tolist(),
            }
            for row in shown
        ],
        "calibration": {
            "places": found.places,
            "correlation": None if found.correlation != found.correlation else found.correlation,
            "base": found.base,
            "bins": [
                row._asdict()
                | {
                    name: None if value is None else value._asdict()
                    for name, value in (("probability", row.probability), ("first", row.first), ("effect", row.effect))
                }
                for row in found.bins
            ],
        },
    }
