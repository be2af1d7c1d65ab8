"""The relation that a run is about, bundled or a file of the user's, and its facts by subject."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from random import Random

from wheatstone._errors import PromptError, RequestError
from wheatstone.lenses import Material, Need
from wheatstone.tasks import (
    Fact,
    PromptPair,
    Relation,
    Relations,
    encodes,
    load_facts,
    missing_file,
    relation_named,
    relations_in,
    task_now,
    with_counterfactuals,
)

_ROOMS = {
    "facts": "a relation (facts/… or a relation's .json file)",
    "reversed": "a reversed relation (reversed/…)",
    "two-hop": "two hops (two-hop/…)",
    "icl": "demonstrations (icl…/…)",
}


def files_of_run(material: Material) -> dict[str, dict[str, str]]:
    """The user's own files that the run's task was made from, as the run recorded them."""
    return dict(material.about.get("files") or {})


def task_of_run(material: Material) -> str:
    """The run's task, its files by their whole paths."""
    return task_now(material.task, files_of_run(material))


def relations_of_run(material: Material) -> Relations | None:
    """The relations that the run's task asks about; None where it is made from none."""
    return relations_in(task_of_run(material))


def about_relation(*rooms: str) -> Need:
    """A run of a task that is made from a relation in certain ways, its file as it was.

    Args:
        rooms: out of `facts`, `reversed`, `two-hop`, `icl`.
    """

    def missing(material: Material) -> str | None:
        found = relations_in(material.task) if material.task else None
        if found is None or found.room not in rooms:
            got = f"this is one of {material.task}" if material.task else "this is one of given prompts"
            return f"a run of {' or '.join(_ROOMS[room] for room in rooms)} ({got})"
        return missing_file(material.task, files_of_run(material))

    return missing


def own_relations(material: Material) -> tuple[Relation, ...]:
    """The user's own relations that the run is about, where their files are still as they were."""
    found = relations_of_run(material)
    if found is None or missing_file(material.task, files_of_run(material)) is not None:
        return ()
    try:
        return tuple(relation_named(name) for name in found.relations if name.endswith(".json"))
    except PromptError:  # a file that is no relation
        return ()


def facts_of_run(material: Material, template: str) -> list[PromptPair]:
    """Every fact of the run's relation in some words, each paired with another of its token length.

    Facts of all splits may be paired with each other, for nothing is learnt from these pairs. The subjects that were
    asked for by name come first.

    Raises:
        RequestError: a subject of that name is not in the relation, or has no pair.
    """
    model = material.experiment.model
    facts = load_facts(task_of_run(material), model, template=template, seed=material.about.get("seed", 0)).facts
    check_subjects(material.subjects, facts)
    made, alone = with_counterfactuals(model, facts, Random(material.about.get("seed", 0)))
    pairs = {fact.subject: pair for fact, pair in made if encodes(model, pair)}
    for name in material.subjects:
        if not any(same_subject(name, subject) for subject in pairs):
            length = len(model.encode(next(fact for fact in facts if same_subject(name, fact.subject)).question))
            raise RequestError(
                expected=f"a subject with another of its token length ({length} in the prompt) and another answer",
                got=repr(name),
                do=f"choose another subject; {len(alone)} of {len(facts)} facts have none",
            )
    first = [pair for subject, pair in pairs.items() if is_named(material, subject)]
    return [*first, *(pair for subject, pair in pairs.items() if not is_named(material, subject))]


def check_subjects(names: Sequence[str], facts: Sequence[Fact]) -> None:
    """Refuses a subject that no fact is about.

    Raises:
        RequestError: with the subjects that are spelled most alike.
    """
    subjects = [fact.subject for fact in facts]
    for name in names:
        if not any(same_subject(name, subject) for subject in subjects):
            near = get_close_matches(name, subjects, 3, 0.5) or subjects[:3]
            raise RequestError(
                expected=f"a subject of the run's relation, such as {', '.join(near)}",
                got=repr(name),
                do="choose one of the relation's subjects",
            )


def is_named(material: Material, subject: str) -> bool:
    """Whether a subject was asked for by name."""
    return any(same_subject(name, subject) for name in material.subjects)


def same_subject(one: str, other: str) -> bool:
    """Whether two names are the same but for case and outer blanks."""
    return one.strip().casefold() == other.strip().casefold()
