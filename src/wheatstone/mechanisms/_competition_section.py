"""Which task circuits act on the run's prompts, and on edits of them towards copying: a section of an explanation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from wheatstone._errors import PromptError
from wheatstone._progress import Reporter
from wheatstone.circuits import Circuit
from wheatstone.lenses import Explanation, Material, Section, distractors, several_prompts, whole_mlps
from wheatstone.mechanisms._competition import competition
from wheatstone.mechanisms._competition_summary import CompetitionSummary, RungStrength, Strength, Verdict
from wheatstone.mechanisms._ladder import copying_ladder
from wheatstone.mechanisms._run_relation import own_relations, task_of_run
from wheatstone.mechanisms._strength import strengths, strongest_path
from wheatstone.mechanisms._task_circuits import COMPETING, task_circuits
from wheatstone.runs import Table
from wheatstone.tasks import PromptPair, bundled_tasks

_PROMPTS = 6
_EDGES = 1000
_COPYING = "induction"
_LEAST_RUNGS = 2
"""Fewest prompts of a rung of the ladder."""


def competing(material: Material, report: Reporter) -> Explanation:
    """Runs every known task's circuit on the run's prompts, alone and ablated, and climbs the ladder into copying.

    When this misleads: see `competition`. All circuits are rankings of one size under the counterfactual ablation, the
    run's task's too; the run's own pruned circuit is not among them.
    """
    model, seed = material.experiment.model, material.seed
    task = task_of_run(material)
    own = any(about.name == task for about in bundled_tasks()) or bool(own_relations(material))
    tasks = tuple(dict.fromkeys((*((task,) if own else ()), *COMPETING)))
    edges = min(_EDGES, model.graph.edges)
    circuits = task_circuits(model, tasks, edges=edges, report=report)
    pairs, held_out = _not_ranked_on(material.experiment.encoded.pairs, circuits)
    found = competition(model, pairs[:_PROMPTS], circuits, draws=1, seed=seed, report=report)
    here = strengths(found)
    ladder, verdicts = list[RungStrength](), list[Verdict]()
    for name, rung in _rungs(material, pairs) if own and task != _COPYING else ():
        two = {name: circuits[name] for name in (task, _COPYING)}
        climbed = competition(model, rung, two, draws=1, seed=seed, report=report)
        ladder += [_rung_strength(name, climbed.model, row) for row in strengths(climbed)]
        verdicts = strongest_path(climbed, task, _COPYING)
    summary = CompetitionSummary(
        edges=edges,
        n=len(found.model),
        model=sum(found.model) / len(found.model),
        circuits=tuple(here),
        task=task if own else None,
        held_out=held_out,
        ladder=tuple(ladder),
        verdicts=tuple(verdicts),
    )
    method = (
        f"Circuits of {edges:,} edges (EAP-IG rankings on six training prompts of each task), n = {len(found.model)} "
        f"of the run's prompts, {'none' if held_out else 'some'} of them among those. Push: of a circuit alone, from "
        "the fully ablated run, towards the answer; share: of what the model does. Drop: of the model without it; own "
        "drop: without the edges that no other has. Beyond: less what a copy with the heads of each layer exchanged "
        "does. Ladder: the same questions after a false answer was stated of another subject, then of this one. "
        "95% intervals over prompts."
    )
    tables = {"competition": Table.of(Strength, here)}
    if ladder:
        tables |= {
            "competition_ladder": Table.of(RungStrength, ladder),
            "competition_verdicts": Table.of(Verdict, verdicts),
        }
    return Explanation(tables, summary, method)


def _not_ranked_on(pairs: Sequence[PromptPair], circuits: Mapping[str, Circuit]) -> tuple[Sequence[PromptPair], bool]:
    """The prompts on which no circuit was ranked, and whether there are enough of them; else all."""
    ranked = {pair.prompt for circuit in circuits.values() for pair in circuit.examples}
    others = [pair for pair in pairs if pair.prompt not in ranked]
    return (others, True) if len(others) >= 2 else (pairs, False)


def _rungs(material: Material, pairs: Sequence[PromptPair]) -> Iterator[tuple[str, Sequence[PromptPair]]]:
    """The ladder's rungs, where answers of other prompts can be stated of these."""
    try:
        rungs = copying_ladder(material.experiment.model, pairs[: 2 * _PROMPTS], times=1)
    except PromptError:
        return
    for name, climbed in rungs:
        if len(climbed) >= _LEAST_RUNGS:
            yield name, climbed[:_PROMPTS]


def _rung_strength(name: str, model: Sequence[float], row: Strength) -> RungStrength:
    wins = sum(value > 0 for value in model)
    numbers = (row.share, row.push, row.push_low, row.push_high, row.own_drop, row.own_drop_low, row.own_drop_high)
    return RungStrength(name, row.circuit, row.n, sum(model) / len(model), wins, *numbers)


def _counterfactual(material: Material) -> str | None:
    ablation = material.experiment.ablation
    return None if ablation == "counterfactual" else f"the counterfactual ablation (this run's is {ablation})"


COMPETITION = Section(
    "competition",
    "Which tasks' circuits are active on these prompts, and does the strongest have its way?",
    competing,
    (several_prompts, distractors, whole_mlps, _counterfactual),
    dear=True,
)
