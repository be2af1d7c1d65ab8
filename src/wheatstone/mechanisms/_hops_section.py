"""How much of the single-hop circuits a two-hop or reversed question's circuit has, as a section of an explanation."""

from __future__ import annotations

from wheatstone._progress import Reporter
from wheatstone.lenses import Explanation, Material, Section
from wheatstone.mechanisms._hop_questions import hop_questions
from wheatstone.mechanisms._hops_summary import HopQuestion, HopsSummary, Reappearance
from wheatstone.mechanisms._reappearance import reappearance
from wheatstone.mechanisms._run_relation import about_relation, relations_of_run, task_of_run
from wheatstone.mechanisms._task_circuits import held_out_faithfulness, task_circuits
from wheatstone.runs import Table
from wheatstone.tasks import relations_in

_UNRELATED = ("ioi", "greater-than")
"""What any two circuits share is seen on these."""
_EDGES, _POOL = 1000, 5000


def hops(material: Material, report: Reporter) -> Explanation:
    """Looks for the circuits of a question's hops, or of the relation it reverses, in its own; see `reappearance`.

    Facts that were asked for by name are asked whole and hop by hop, see `hop_questions`.
    """
    model, seed = material.experiment.model, material.about["seed"]
    task, given = task_of_run(material), relations_of_run(material)
    assert given is not None
    parts = parts_of(task)
    compared = (*parts, *_UNRELATED)
    edges, pool = (min(count, model.graph.edges) for count in (_EDGES, _POOL))
    circuits = task_circuits(model, (task, *compared), edges=edges, seed=seed, report=report)
    pools = task_circuits(model, compared, edges=pool, seed=seed, report=report)
    whole = circuits[task]
    rows = reappearance({name: circuits[name] for name in compared}, pools, whole, task, seed=material.seed)
    named = hop_questions(model, task, parts, circuits, material.subjects, seed=seed)
    kept = whole.evaluation
    held_n, held = held_out_faithfulness(model, task, whole, seed=seed)
    summary = HopsSummary(
        kind=given.room,
        edges=edges,
        parts=parts,
        unrelated=_UNRELATED,
        prompts=len(whole.examples),
        faithfulness=None if kept is None else kept.faithfulness,
        held_n=held_n,
        held_faithfulness=held,
        rows=tuple(rows),
        named=tuple(named),
    )
    method = (
        f"Circuits of one size: the first {edges:,} edges of each task's EAP-IG ranking on {len(whole.examples)} "
        "training questions or fewer that the model knows, not the run's own pruned circuit. By chance: as many edges "
        f"from the first {pool:,} of the part's own ranking, 200 draws, mean with the middle 95% of draws. "
        f"{' and '.join(_UNRELATED)} are unrelated and share what any two circuits share. What the circuit keeps is "
        f"measured on {held_n} test questions."
    )
    tables = {"reappearance": Table.of(Reappearance, rows), "hop_questions": Table.of(HopQuestion, named)}
    return Explanation(tables, summary, method)


def parts_of(task: str) -> tuple[str, ...]:
    """The single hops of a two-hop question, or the relation that is asked in reverse."""
    given = relations_in(task)
    return tuple(f"facts/{relation}" for relation in given.relations) if given else ()


HOPS = Section(
    "hops",
    "How much does the circuit of a two-hop or reversed question share with those of the relations it is made of?",
    hops,
    (about_relation("two-hop", "reversed"),),
)
