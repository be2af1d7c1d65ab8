"""The run's relation asked with and without demonstrations, as a section of an explanation."""

from __future__ import annotations

from wheatstone._progress import Reporter
from wheatstone.lenses import Explanation, Material, Section
from wheatstone.mechanisms._demonstrations_summary import DemonstrationsSummary, InContextRow, QuestionRow
from wheatstone.mechanisms._in_context import in_context
from wheatstone.mechanisms._run_relation import about_relation, check_subjects, is_named, relations_of_run, task_of_run
from wheatstone.mechanisms._wrong_section import template_of
from wheatstone.runs import Table
from wheatstone.tasks import PromptPair, Task, load_facts, load_task, relation_named

_SHOTS = 3
"""Demonstrations, where the run's own prompts have none."""
_TRAIN, _TEST = 6, 30
"""Questions that circuits are found on, and questions that are asked."""
_EDGES = 1000
_NAMED = 10
"""Heads that are named, and ablated at most."""


def demonstrations(material: Material, report: Reporter) -> Explanation:
    """Finds the heads that enter with demonstrations and ablates them; see `in_context`.

    The relation is asked in words that say what is asked, with demonstrations and without: the run's own, or the
    relation's first template for a run of `icl…`, whose bare "Q: … A:" states no task once its demonstrations are gone.
    """
    model, given = material.experiment.model, relations_of_run(material)
    assert given is not None
    (relation,), seed = given.relations, material.about["seed"]
    name = task_of_run(material) if given.room == "icl" else f"icl-{_SHOTS}/{relation}"
    template = _template(material, given.room, relation)
    known, every = (
        load_task(name, model, seed=seed, known=rank, size=size, template=template, report=report)
        for rank, size in ((10, 100), (None, None))
    )
    train = known.train[:_TRAIN]
    test = _asked(material, every, train, f"facts/{relation}")
    edges = min(_EDGES, model.graph.edges)
    found = in_context(model, train, test, heads=_NAMED, edges=edges, seed=material.seed, report=report)
    summary = DemonstrationsSummary(
        task=name if given.room == "icl" else f"icl-{_SHOTS}/{relation}",
        template=template,
        found_on=len(train),
        edges=len(found.with_demonstrations),
        entering=tuple(found.entering[:_NAMED]),
        entering_count=len(found.entering),
        most_attended=tuple(found.most_attended[:_NAMED]),
        both=tuple(sorted(set(found.entering[:_NAMED]) & set(found.most_attended[:_NAMED]))),
        rows=tuple(found.rows),
        named=tuple(row for row in found.questions if is_named(material, row.subject)),
    )
    method = (
        f"{name} asked as {template!r}, which states the task without demonstrations too: circuits of "
        f"{len(found.with_demonstrations):,} edges (EAP-IG ranking) on {len(train)} training questions that the model "
        "knows, with their demonstrations and without. Entering: heads that write only with them. Accuracy: top token "
        f"an answer, {len(test)} other questions, known or not; ablated heads write their mean over the training "
        "prompts. 95% intervals over questions."
    )
    tables = {
        "in_context": Table.of(InContextRow, found.rows),
        "in_context_questions": Table.of(QuestionRow, found.questions),
    }
    return Explanation(tables, summary, method)


def _template(material: Material, room: str, relation: str) -> str:
    """Words that ask the relation's question whole."""
    return relation_named(relation).templates[0] if room == "icl" else template_of(material.experiment.encoded.pairs[0])


def _asked(material: Material, every: Task, train: tuple[PromptPair, ...], facts: str) -> list[PromptPair]:
    """The questions that are asked: those of subjects that were named, then test questions; none of the training."""
    check_subjects(material.subjects, load_facts(facts, material.experiment.model).facts)
    known = {subject_of(pair) for pair in train}
    others = [pair for pair in (*every.train, *every.validation) if subject_of(pair) not in known]
    named = [pair for pair in (*every.test, *others) if is_named(material, subject_of(pair))]
    rest = [pair for pair in every.test if not is_named(material, subject_of(pair))]
    return [*named, *rest][: max(_TEST, len(named))]


def subject_of(pair: PromptPair) -> str:
    """The text of its span `subject`."""
    return pair.prompt[slice(*pair.spans["subject"])]


DEMONSTRATIONS = Section(
    "demonstrations",
    "Which heads enter when demonstrations precede the question, and are they what helps?",
    demonstrations,
    (about_relation("icl", "facts"),),
    dear=True,
)
