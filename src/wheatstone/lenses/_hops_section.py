"""How much of the single-hop circuits a composed or reversed question's circuit has, as a section of an explanation."""

from __future__ import annotations

from wheatstone._progress import Reporter
from wheatstone.lenses._reappearance import Reappearance, reappearance
from wheatstone.lenses._section import Explanation, Material, Section, Table, of_task
from wheatstone.lenses._task_circuits import task_circuits

_UNRELATED = ("ioi", "greater-than")
"""What any two circuits share is seen on these."""
_EDGES, _POOL = 1000, 5000


def hops(material: Material, report: Reporter) -> Explanation:
    """Looks for the circuits of a composed question's parts in its own; see `reappearance`."""
    model, seed = material.experiment.model, material.about["seed"]
    parts = parts_of(material.task)
    compared = (*parts, *_UNRELATED)
    edges, pool = (min(count, model.graph.edges) for count in (_EDGES, _POOL))
    circuits = task_circuits(model, (material.task, *compared), edges=edges, seed=seed, report=report)
    pools = task_circuits(model, compared, edges=pool, seed=seed, report=report)
    whole = circuits[material.task]
    rows = reappearance({name: circuits[name] for name in compared}, pools, whole, material.task, seed=material.seed)
    kept = whole.evaluation
    summary = {
        "edges": edges,
        "parts": list(parts),
        "unrelated": list(_UNRELATED),
        "prompts": len(whole.examples),
        "faithfulness": None if kept is None else kept.faithfulness,
        "rows": [row._asdict() for row in rows],
    }
    method = (
        f"Circuits of one size: the first {edges:,} edges of each task's EAP-IG ranking on {len(whole.examples)} "
        "training questions or fewer that the model knows, not the run's own pruned circuit. By chance: as many edges "
        f"from the first {pool:,} of the part's own ranking, 200 draws, mean with the middle 95% of draws. "
        f"{' and '.join(_UNRELATED)} are unrelated and share what any two circuits share."
    )
    return Explanation({"reappearance": Table.of(Reappearance, rows)}, summary, method)


def parts_of(task: str) -> tuple[str, ...]:
    """The single hops of a two-hop question, or the relation that is asked in reverse."""
    return tuple(f"facts/{relation}" for relation in task.partition("/")[2].split("+"))


HOPS = Section(
    "hops",
    "How much of the single-hop circuits does the composed or reversed question's circuit use?",
    hops,
    (of_task("two-hop/", "reversed/"),),
)
