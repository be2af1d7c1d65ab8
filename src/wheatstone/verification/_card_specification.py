"""Whether a claim depends on how it is measured: the circuit under other ablations, metrics, templates and
counterfactuals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from jaxtyping import Bool
from torch import Tensor

from wheatstone._errors import WheatstoneError
from wheatstone._intervals import MINIMUM
from wheatstone._progress import Reporter, silent
from wheatstone._side import why
from wheatstone.circuits import ABLATIONS, Experiment
from wheatstone.tasks import PromptPair, weak_change
from wheatstone.verification._card import (
    NOT_SUPPORTED,
    NOT_TESTED,
    SUPPORTED,
    SpecificationLine,
    SpecificationRow,
    percents,
)
from wheatstone.verification._carried import Carried, carried, carried_alike

SPECIFICATION_CLAIM = "The claim is the same under other ablations, metrics, templates and counterfactuals."
_METRICS = ("logit_diff", "prob_diff")


def specification_line(
    experiments: Sequence[Experiment],
    keep: Bool[Tensor, "channel node"],
    others: Bool[Tensor, "circuit channel node"],
    *,
    least: float,
    complete: bool = False,
    asked: Mapping[str, Sequence[PromptPair]] | None = None,
    measured_on: str,
    report: Reporter = silent,
) -> SpecificationLine:
    """Measures a circuit under each other ablation with its own metric, with each other metric under its own ablation,
    and where the same facts are asked otherwise.

    Args:
        experiments: those that the circuit was found in, with the facts; see `Experiment.over`.
        keep: the circuit.
        others: circuits that chance gives, beside it; may be none.
        least: share of the behaviour that is claimed to be kept.
        complete: whether the circuit is judged by what is lost without it.
        asked: the facts in other words or against other counterfactuals, by what differs.
        measured_on: which facts these are, in words.
        report: progress callback.

    When this misleads: under zero ablation nodes write what they never write on text, and a model without any edge is
    no baseline of its behaviour. A mean is that of the counterfactual prompts of these facts. A template that the
    circuit was found with is no new wording: a run of a task learns with all of its templates by default.
    """
    own, metric = experiments[0].ablation, experiments[0].metric.name
    own_metrics = (metric, *(name for name in _METRICS if name != metric))
    ways = {own: own_metrics} | {ablation: (metric,) for ablation in ABLATIONS if ablation != own}
    masks, rows = torch.cat([keep[None], others]), list[SpecificationRow]()
    for done, (ablation, metrics) in enumerate(ways.items()):
        report("specifications", done, len(ways))
        rows += _rows(experiments, masks, ablation, metrics, complete)
    rows += [_asked(experiments[0], keep, name, pairs, complete) for name, pairs in (asked or {}).items()]
    report("specifications", len(ways), len(ways))
    measured = [row for row in rows if row.kept is not None]
    facts = {pair.prompt for each in experiments for pair in each.encoded.pairs}
    if len(measured) < 2 or len(facts) < MINIMUM:
        few = f"Fewer than {MINIMUM} facts do not show whether a claim about the behaviour changes."
        none = "No other specification could be measured." if len(measured) < 2 else few
        return SpecificationLine(SPECIFICATION_CLAIM, NOT_TESTED, none, least, tuple(rows), measured_on)
    first, *rest = [(row, row.kept.value >= least) for row in measured if row.kept is not None]
    differing = [row for row, holds in rest if holds != first[1]]
    held = "keeps" if first[1] else "does not keep"
    about = f"{measured_on}; {first[0].ablation} ablation, {first[0].metric}"
    said = f"The circuit {held} at least {percents(least)} of the behaviour as it was found ({about})."
    if differing:
        against = ", ".join(
            f"{row.asked or f'{row.ablation} ablation with {row.metric}'} {percents(row.kept.value)}"
            for row in differing
            if row.kept
        )
        why_ = f"{said} That changes with the specification: {against}."
        return SpecificationLine(SPECIFICATION_CLAIM, NOT_SUPPORTED, why_, least, tuple(rows), measured_on)
    why_ = f"{said} That is the same under all {len(measured)} specifications that were measured."
    return SpecificationLine(SPECIFICATION_CLAIM, SUPPORTED, why_, least, tuple(rows), measured_on)


def _asked(
    experiment: Experiment,
    keep: Bool[Tensor, "channel node"],
    name: str,
    pairs: Sequence[PromptPair],
    complete: bool,
) -> SpecificationRow:
    """What the circuit keeps where the same facts are asked otherwise."""
    row = SpecificationRow(experiment.ablation, experiment.metric.name, asked=name)
    if experiment.ablation == "mean":
        return replace(row, missing="The means are of the prompts that the circuit was found with.")
    try:
        parts = list(experiment.over(pairs))
        clean, empty = (float(torch.cat([getattr(each, of) for each in parts]).mean()) for of in ("clean", "corrupt"))
        if weak_change(row.metric, clean, empty):
            return replace(row, missing="Asked like this, the model has too little to lose for a share of it.")
        return replace(row, kept=carried(parts, keep[None], complete=complete).share())
    except WheatstoneError as error:
        return replace(row, missing=why(error))


def _rows(
    experiments: Sequence[Experiment],
    masks: Bool[Tensor, "circuit channel node"],
    ablation: str,
    metrics: Sequence[str],
    complete: bool,
) -> list[SpecificationRow]:
    """What the first circuit and the others keep under one ablation, by each metric that can be measured."""
    measured: dict[str, list[Experiment]] = {}
    found: dict[str, Carried] = {}
    missing: dict[str, str] = {}
    for metric in metrics:
        try:
            measured[metric] = [each.under(ablation, metric) for each in experiments]
        except WheatstoneError as error:
            missing[metric] = why(error)
    try:
        if measured:
            every = carried_alike(list(measured.values()), masks, complete=complete)
            found = dict(zip(measured, every, strict=True))
    except WheatstoneError as error:
        missing |= dict.fromkeys(measured, why(error))
    rows: list[SpecificationRow] = []
    for metric in metrics:
        if metric in missing:
            rows.append(SpecificationRow(ablation, metric, missing=missing[metric]))
            continue
        random = found[metric].share(slice(1, None)).value if len(masks) > 1 else None
        rows.append(SpecificationRow(ablation, metric, found[metric].share(), random))
    return rows
