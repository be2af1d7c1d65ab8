"""Greater-than as a section of an explanation: years foreseen, MLPs, neurons, and the run's circuit on other forms."""

from __future__ import annotations

from typing import Any

from wheatstone._progress import Reporter
from wheatstone.circuits import Experiment
from wheatstone.lenses._greater_than import (
    YEAR_FORMS,
    YearCell,
    YearForm,
    year_cells,
    year_forms,
    year_probabilities,
    year_sums,
)
from wheatstone.lenses._mlp_neurons import MlpToLogits, NeuronOfMlp, mlps_to_logits, strongest_neurons
from wheatstone.lenses._section import (
    Explanation,
    Material,
    Section,
    Table,
    everywhere,
    of_task,
    several_prompts,
    spans,
    whole_mlps,
)

_STARTS = 40
"""Prompts of the matrix."""
_PATCHED = 12
"""Prompts on which MLPs and neurons are patched, and of each form."""
_COPIES = 2
"""Copies with exchanged heads that the circuit stands beside."""


def years(material: Material, report: Reporter) -> Explanation:
    """Reads the years that follow the run's prompts, and who carries them.

    When this misleads: the matrix has the whole two digits, teacher-forced; MLPs, neurons and circuit are measured by
    the first token alone, which is the tens digit where a tokenizer writes digit by digit.
    """
    experiment, model, seed = material.experiment, material.experiment.model, material.seed
    pairs = experiment.encoded.pairs
    report("years foreseen", 0, None)
    asked = [(pair.prompt, _start(pair.prompt, pair.spans["YY"])) for pair in pairs]
    asked = [(prompt, start) for prompt, start in asked if 0 < start < 99][:_STARTS]
    starts = [start for _, start in asked]
    found = year_probabilities(model, [prompt for prompt, _ in asked])
    few = Experiment(
        model, pairs[:_PATCHED], ablation=experiment.ablation, metric=experiment.metric.name, reference=pairs
    )
    mlps = mlps_to_logits(few, report=report)
    neurons, kept = strongest_neurons(few, int(mlps[0].mlp[1:]), seed=seed, report=report)
    forms = year_forms(model, material.circuit, YEAR_FORMS, count=_PATCHED, draws=_COPIES, seed=seed, report=report)
    tables = {
        "greater_than_years": Table.of(YearCell, year_cells(found, starts)),
        "mlps_to_logits": Table.of(MlpToLogits, mlps),
        "neurons_of_mlp": Table.of(NeuronOfMlp, neurons),
        "greater_than_forms": Table.of(YearForm, forms),
    }
    summary: dict[str, Any] = {
        "sums": year_sums(found, starts)._asdict(),
        "mlp": mlps[0]._asdict(),
        "kept": kept._asdict(),
        "metric": experiment.metric.name,
    }
    method = (
        f"Matrix: probability of the two digits 00 to 99, teacher-forced, after the first {len(asked)} prompts. MLPs: "
        f"path patching straight to the logits, {few.metric.name} of the first token, {len(few.encoded.pairs)} "
        f"prompts; neurons of the strongest MLP: screened by gradient, {3 * kept.neurons} patched exactly. Kept: all "
        f"other neurons of that MLP patched, beside {kept.draws} draws of as many random ones. Forms: the run's "
        f"circuit, {_PATCHED} prompts of each, probability difference of the first token, beside {_COPIES} copies "
        "with the heads of each layer exchanged. 95% intervals over prompts."
    )
    return Explanation(tables, summary, method)


def _start(prompt: str, place: tuple[int, int]) -> int:
    return int(prompt[slice(*place)])


YEARS = Section(
    "years",
    "Which years does the model foresee, and which MLPs and neurons see to it?",
    years,
    (of_task("greater-than"), several_prompts, spans("YY"), whole_mlps, everywhere),
)
