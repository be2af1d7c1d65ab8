"""Facts of the run's relation that the model gets wrong, as a section of an explanation."""

from __future__ import annotations

from typing import Any

from wheatstone._progress import Reporter
from wheatstone.lenses._hallucination import WrongFact, WrongWriter, hallucination
from wheatstone.lenses._mending import Mending
from wheatstone.lenses._section import Explanation, Material, Section, Table, of_task, several_prompts, spans
from wheatstone.lenses._spelling import BegunFact
from wheatstone.tasks import PromptPair, load_task

_FACTS = 24
"""Most facts of either kind: those that the model gets wrong, and those it knows."""
_DRAWS = 2
"""Sets of random heads."""


def wrong(material: Material, report: Reporter) -> Explanation:
    """Asks for every fact of the run's relation in the run's own words, and looks at those that come out wrong.

    When this misleads: see `hallucination`. The run's circuit was found on facts that the model knows; these are
    others of the same relation.
    """
    model, pairs = material.experiment.model, material.experiment.encoded.pairs
    template = template_of(pairs[0])
    task = load_task(material.task, model, known=None, size=None, template=template, seed=material.about["seed"])
    every = (*task.train, *task.validation, *task.test)
    found = hallucination(model, every, most=_FACTS, draws=_DRAWS, seed=material.seed, report=report)
    led = sorted(fact.overtakes for fact in found.facts if fact.right_led > 0)
    summary: dict[str, Any] = {
        "asked": len(every),
        "known": found.known,
        "wrong": len(found.facts),
        "template": template,
        "led": len(led),
        "overtaken_after": led[len(led) // 2] if led else None,
        "layers": model.graph.layers,
        "movers": list(found.movers),
        "writers": [row._asdict() for row in found.writers[:3]],
        "mendings": [row._asdict() for row in found.mendings],
        "begun": len(found.begun),
    }
    method = (
        f"All {len(every)} facts of {material.task} that have a counterfactual, asked as {template!r}; wrong: the top "
        f"token begins no spelling of an answer. Of these and of those it knows the first {_FACTS} each at most. Which "
        "answer is ahead: logit lens at the last token, layer by layer. Writers and movers: direct logit attribution. "
        f"Changes are exact runs, beside {_DRAWS} draws of as many random heads. 95% intervals over facts."
    )
    tables = {
        "wrong_facts": Table.of(WrongFact, found.facts),
        "wrong_writers": Table.of(WrongWriter, found.writers),
        "mending": Table.of(Mending, found.mendings),
        "begun_facts": Table.of(BegunFact, found.begun),
    }
    return Explanation(tables, summary, method)


def template_of(pair: PromptPair) -> str:
    """The prompt with `{subject}` where its subject stands."""
    start, end = pair.spans["subject"]
    return f"{pair.prompt[:start]}{{subject}}{pair.prompt[end:]}"


WRONG = Section(
    "wrong",
    "Which facts of this relation does the model get wrong, where is the right answer overtaken, and what mends it?",
    wrong,
    (of_task("facts/"), several_prompts, spans("subject")),
)
