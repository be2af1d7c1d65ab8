"""A circuit's card: every line measured on one model, one set of prompts and one set of held-out facts."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from wheatstone._errors import CircuitError, ModelError
from wheatstone._parquet import write_parquet
from wheatstone._path import StrPath
from wheatstone._progress import Reporter, silent
from wheatstone.cards._empty import empty_card
from wheatstone.cards._lines import CardMaterial, lines_of
from wheatstone.cards._prompts import prompts_of, templates_of
from wheatstone.cards._scores import SCORES
from wheatstone.cards._settings import CardSettings
from wheatstone.circuits import Circuit, Experiment, same_weights
from wheatstone.discovery import BY_PROMPT, SEARCHES
from wheatstone.models import ResidualModel, load_model
from wheatstone.runs import CIRCUITS, read_manifest, sound
from wheatstone.tasks import PromptPair, load_task
from wheatstone.verification import Card

_OTHER_FACTS = 16
"""Facts of another task, at most."""
_TOGETHER = 16
"""Prompts of the experiment that others are made like."""


def make_card(
    run: StrPath,
    folder: StrPath,
    settings: CardSettings | None = None,
    *,
    model: str | ResidualModel | None = None,
    device: str = "cpu",
    dtype: str = "float32",
    report: Reporter = silent,
) -> Card:
    """Measures how far a run's circuit can be trusted.

    Args:
        run: folder of a run of `discover` or `import`.
        folder: where tables go: `prompt_scores.parquet` and `edges.parquet`. Scores that an earlier card of the run
            keeps are read instead of made again.
        settings: how; the defaults of `CardSettings` if left out.
        model: the run's model, or where it is now; by default where it was.
        device: where to run.
        dtype: precision.
        report: progress callback.

    Raises:
        RunError: there is no run of a circuit, or one of its files is damaged.
        ModelError: the model cannot be loaded, or it has other weights than the circuit's and the run has a card that
            was measured. Without such a card every line says why nothing was tested.
        CircuitError: the circuit has no edges.
        RequestError: a setting is out of range.
    """
    run = Path(run)
    folder = Path(folder)
    settings = settings or CardSettings()
    settings.check()
    started = time.perf_counter()
    manifest = read_manifest(run, *CIRCUITS)
    circuit = Circuit.load(run)
    if not circuit.edges:
        raise CircuitError(
            expected="a circuit with edges", got=f"{run}, whose circuit has none", do="discover it with another goal"
        )
    with sound(run):
        own, test = prompts_of(run, circuit)
        templates = templates_of(run)
        method, steps = _scoring(manifest["settings"])
    if not own:
        return empty_card(circuit, settings.seed)
    loaded = model
    if not isinstance(loaded, ResidualModel):
        loaded = load_model(loaded or manifest["model"]["id"], device=device, dtype=dtype, report=report)
    try:
        same_weights(loaded, circuit)
    except ModelError as error:
        if (run / "card" / SCORES).is_file():  # of a card that was measured, which this one would replace
            raise
        return empty_card(circuit, settings.seed, f"The circuit is another model's: {error}.")
    # The run's prompts were accepted when it was made, so weak answers are not refused again.
    experiment = Experiment.of(circuit, loaded, own[:_TOGETHER], allow_weak=True)
    with sound(run):
        counterfactuals = int(manifest["settings"].get("counterfactuals") or 1) if test else 1
        ranked = int(manifest.get("ranked_edges") or 0)
    material = CardMaterial(
        experiment=experiment,
        circuit=circuit,
        own=own[: settings.prompts],
        test=test,
        counterfactuals=counterfactuals,
        size=min(max(len(circuit), ranked), experiment.graph.edges),
        method=method,
        steps=steps,
        templates=templates,
        others={name: _facts_of(name, experiment.model, settings.seed, report) for name in settings.against},
    )
    card, tables = lines_of(material, settings, run / "card", folder, started=started, report=report)
    for name, table in tables.items():
        write_parquet(table, folder / name)
    return card


def _facts_of(task: str, model: ResidualModel, seed: int, report: Reporter) -> tuple[PromptPair, ...]:
    """Facts of another task that the model knows."""
    found = load_task(task, model, seed=seed, size=_OTHER_FACTS * 3, report=report)
    return (*found.test, *found.validation, *found.train)[:_OTHER_FACTS]


def _scoring(settings: dict[str, Any]) -> tuple[str, int | None]:
    """The method that edges are scored by prompt by prompt: the run's own where that can be, else EAP-IG."""
    method = str(settings.get("method") or "")
    method = str(settings.get("ranking") or "") if method in SEARCHES else method
    usable = method in BY_PROMPT and not (method == "eap" and settings.get("metric") == "kl")
    steps = settings.get("steps")
    return (method, int(steps) if steps else None) if usable else (BY_PROMPT[0], None)
