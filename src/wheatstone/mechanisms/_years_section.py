"""Greater-than as a section of an explanation: predicted years, MLPs, neurons, the run's circuit on other forms."""

from __future__ import annotations

from wheatstone._progress import Reporter
from wheatstone.lenses import Explanation, Material, Section, everywhere, of_task, several_prompts, spans, whole_mlps
from wheatstone.mechanisms._greater_than import (
    YEAR_FORMS,
    YearCell,
    YearForm,
    year_cells,
    year_forms,
    year_probabilities,
    year_sums,
)
from wheatstone.mechanisms._mlp_neurons import NeuronOfMlp, mlps_to_logits, strongest_neurons
from wheatstone.mechanisms._years_summary import MlpToLogits, YearsSummary
from wheatstone.runs import Table

_STARTS = 40
"""Prompts of the matrix."""
_PATCHED = 12
"""Prompts on which MLP and neurons are chosen, on which they are measured, and of each form."""
_COPIES = 2
"""Copies with exchanged heads that the circuit is compared with."""


def years(material: Material, report: Reporter) -> Explanation:
    """Reads the years that follow the run's prompts, and what carries them.

    MLP and neurons are chosen on some prompts and measured on others, where there are enough.

    When this misleads: the matrix has the whole two digits, teacher-forced; MLPs, neurons and circuit are measured by
    the first token alone, which is the tens digit where a tokenizer writes digit by digit.
    """
    experiment, model, seed = material.experiment, material.experiment.model, material.seed
    pairs = experiment.encoded.pairs
    report("predicted years", 0, None)
    asked = [(pair.prompt, _start(pair.prompt, pair.spans["YY"])) for pair in pairs]
    asked = [(prompt, start) for prompt, start in asked if 0 < start < 99][:_STARTS]
    starts = [start for _, start in asked]
    found = year_probabilities(model, [prompt for prompt, _ in asked])
    chosen, *others = (
        (material.first(_PATCHED),) if material.halves is None else (half.first(_PATCHED) for half in material.halves)
    )
    few, held_out = chosen.experiment, others[0].experiment if others else None
    best = mlps_to_logits(few, report=report)[0].mlp
    mlps = mlps_to_logits(held_out or few, report=report)
    neurons, kept = strongest_neurons(few, int(best[1:]), held_out=held_out, seed=seed, report=report)
    forms = year_forms(model, material.circuit, YEAR_FORMS, count=_PATCHED, draws=_COPIES, seed=seed, report=report)
    tables = {
        "greater_than_years": Table.of(YearCell, year_cells(found, starts)),
        "mlps_to_logits": Table.of(MlpToLogits, mlps),
        "neurons_of_mlp": Table.of(NeuronOfMlp, neurons),
        "greater_than_forms": Table.of(YearForm, forms),
    }
    summary = YearsSummary(
        sums=year_sums(found, starts),
        mlp=next(row for row in mlps if row.mlp == best),
        kept=kept,
        metric=experiment.metric.name,
        metric_value=float(experiment.clean.double().mean()),
        n=material.n,
    )
    method = (
        f"Matrix: probability of the two digits 00 to 99, teacher-forced, after the first {len(asked)} prompts. MLPs: "
        f"path patching straight to the logits, {few.metric.name} of the first token. Neurons of the strongest MLP: "
        f"screened by gradient, {3 * kept.neurons} patched exactly. MLP and neurons are chosen on {kept.chosen_on} "
        f"prompts and measured on {kept.n} {'others' if kept.held_out else 'prompts, the same'}. Kept: all other "
        f"neurons of that MLP patched, compared with {kept.draws} draws of as many random ones. Forms: the run's "
        f"circuit, {_PATCHED} prompts of each, probability difference of the first token, compared with {_COPIES} "
        "copies with the heads of each layer exchanged. 95% intervals over prompts."
    )
    return Explanation(tables, summary, method)


def _start(prompt: str, place: tuple[int, int]) -> int:
    return int(prompt[slice(*place)])


YEARS = Section(
    "years",
    "Which years does the model predict, and which MLPs and neurons carry that?",
    years,
    (of_task("greater-than"), several_prompts, spans("YY"), whole_mlps, everywhere),
)
