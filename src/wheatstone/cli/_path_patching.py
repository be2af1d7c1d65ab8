"""`wheatstone path-patching`: what chosen nodes do to the answer along chosen paths alone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Column, Table

from wheatstone._effects import direction_of
from wheatstone._errors import RequestError, check_choice
from wheatstone.cli._answers import print_answers
from wheatstone.cli._loading import load
from wheatstone.cli._options import (
    AllowWeakOption,
    DeviceOption,
    DtypeOption,
    MetricOption,
    ModelOption,
    SeedOption,
    check_names,
)
from wheatstone.cli._output import JsonOption, Output
from wheatstone.cli._prompts import PromptOptions
from wheatstone.cli._settings import options_of

if TYPE_CHECKING:
    from wheatstone.circuits import Experiment
    from wheatstone.discovery import PathEffects

_THROUGH = ("mlps", "direct")
_NODE = re.compile(r"a\d{1,4}\.[hg]\d{1,4}|m\d{1,4}(\.[ne]\d{1,9})?|input", re.ASCII)
_CHANNEL = re.compile(r"a\d{1,4}\.[hg]\d{1,4}<[qkv]>|m\d{1,4}(\.[ne]\d{1,9})?|logits", re.ASCII)
_MOST = 25
"""Senders that are printed; the JSON document has all."""


@options_of(apart=("template", "skip_bad"))
def path_patching(
    *,
    model: ModelOption = "smollm2-135m",
    prompts: PromptOptions,
    sender: Annotated[
        list[str] | None,
        typer.Option(
            "--sender",
            help="Node to ablate along the paths (a14.h7, m3, input), in a run of its own; may be repeated. Several "
            "joined by + go together. Every node before a receiver by default.",
        ),
    ] = None,
    receiver: Annotated[
        list[str] | None,
        typer.Option(
            "--receiver",
            help="Channel where the paths end (a23.h4<q>, a23.g1<v>, m17, logits); may be repeated, all in every run. "
            "logits by default.",
        ),
    ] = None,
    through: Annotated[
        str,
        typer.Option("--through", help="mlps: the edge and every way through MLPs between. direct: the edge alone."),
    ] = "mlps",
    ablation: Annotated[
        str, typer.Option("--ablation", help="What an ablated path carries: counterfactual, mean or zero.")
    ] = "counterfactual",
    metric: MetricOption = None,
    allow_weak: AllowWeakOption = False,
    seed: SeedOption = 0,
    device: DeviceOption = "cpu",
    dtype: DtypeOption = "float32",
    as_json: JsonOption = False,
) -> None:
    """Ablate nodes along the paths to chosen receivers alone, and show what the metric loses.

    Heads between keep what they wrote on the clean prompt; what the receivers then read differently goes on to the
    logits as in any run. Of a task, its training split is used.
    """
    from wheatstone.checkpoints import check_layers

    groups = [tuple(name.split("+")) for name in sender] if sender else None
    check_layers(model, (*(name for group in groups or () for name in group), *(receiver or ())))
    output = Output("path-patching", as_json)
    with output.starting() as report:
        pairs = prompts.pairs()
        from wheatstone.circuits import Experiment
        from wheatstone.discovery import path_patching as patched

        check_names(ablation=ablation, metric=metric)
        _check_paths(groups, receiver or (), through)
        loaded = load(model, device, dtype, report)
        found = prompts.load_task(loaded, seed, report)
        experiment = Experiment(
            loaded,
            found.train if found else pairs,
            ablation=ablation,
            metric=metric or (found.metric if found else "logit_diff"),
            allow_weak=allow_weak,
        )
        effects = patched(experiment, groups, receiver or ("logits",), through=through, report=report)
    output.document(_document(effects, experiment))
    print_answers(output, experiment.model_answers)
    output.print(_table(effects, experiment))


def _check_paths(senders: Sequence[Sequence[str]] | None, receivers: Sequence[str], through: str) -> None:
    """Refuses words that no model could have, before one is loaded.

    Raises:
        RequestError: one is no node, no channel or no way through.
    """
    check_choice("--through", through, _THROUGH)
    for names, pattern, what in (
        ([name for group in senders or () for name in group], _NODE, "a --sender such as a14.h7, m3 or input"),
        (receivers, _CHANNEL, "a --receiver such as a23.h4<q>, a23.g1<v>, m17 or logits"),
    ):
        for name in names:
            if not pattern.fullmatch(name):
                raise RequestError(expected=what, got=repr(name)[:200], do="write it so")


def _document(effects: PathEffects, experiment: Experiment) -> dict[str, Any]:
    return {
        "receivers": list(effects.receivers),
        "through": effects.through,
        "ablation": experiment.ablation,
        "metric": experiment.metric.name,
        "clean": float(experiment.clean.mean()),
        "corrupt": float(experiment.corrupt.mean()),
        "n": experiment.clean.numel(),
        "model_answers": experiment.model_answers.to_dict(),
        "effects": [
            {"sender": name, "effect": float(values.mean()), "by_prompt": values.tolist()}
            for name, values in zip(effects.senders, effects.values, strict=True)
        ],
    }


def _table(effects: PathEffects, experiment: Experiment) -> Table:
    """The strongest senders."""
    fewer = direction_of(experiment.metric.name) > 0
    change, total = ("lost", experiment.clean) if fewer else ("gained", experiment.corrupt)
    title = f"{experiment.metric.name} {change} ({experiment.metric.unit}; {float(total.mean()):.2f} in all)"
    table = Table("sender", Column(title, justify="right"), box=None, title_justify="left")
    table.title = f"Paths to {', '.join(effects.receivers)}, {effects.through} (n = {experiment.clean.numel()})"
    rows = effects.ranking()
    for name, effect in rows[:_MOST]:
        table.add_row(name, f"{effect:+.3f}")
    if len(rows) > _MOST:
        table.add_row(f"… and {len(rows) - _MOST} more, with --json", "")
    return table
