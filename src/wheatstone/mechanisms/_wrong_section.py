"""Facts of the run's relation that the model gets wrong, as a section of an explanation."""

from __future__ import annotations

from collections import Counter

from wheatstone._progress import Reporter
from wheatstone.lenses import Explanation, Material, Section, several_prompts, spans
from wheatstone.mechanisms._hallucination import WrongFact, hallucination
from wheatstone.mechanisms._run_relation import about_relation, facts_of_run, is_named
from wheatstone.mechanisms._spelling import BegunFact
from wheatstone.mechanisms._wrong_summary import AskedFact, Mending, WrongSummary, WrongWriter
from wheatstone.runs import Table
from wheatstone.tasks import PromptPair

_FACTS = 24
"""Most facts of either kind: those that the model gets wrong, and those it gets right."""
_DRAWS = 2
"""Sets of random heads."""


def wrong(material: Material, report: Reporter) -> Explanation:
    """Asks for every fact of the run's relation in the run's own words, and looks at those that come out wrong.

    When this misleads: see `hallucination`. The run's circuit was found on facts that the model knows; these are
    others of the same relation.
    """
    model, pairs = material.experiment.model, material.experiment.encoded.pairs
    template = template_of(pairs[0])
    every = facts_of_run(material, template)
    most = max(_FACTS, len(material.subjects))
    found = hallucination(model, every, most=most, draws=_DRAWS, seed=material.seed, report=report)
    led = sorted(fact.overtakes for fact in found.facts if fact.right_led > 0)
    verdicts = Counter(fact.verdict for fact in found.asked)
    summary = WrongSummary(
        asked=len(every),
        verdicts={name: verdicts[name] for name in ("right", "wrong", "begun")},
        named=tuple(fact for fact in found.asked if is_named(material, fact.subject)),
        known=found.known,
        wrong=len(found.facts),
        template=template,
        led=len(led),
        overtaken_after=led[len(led) // 2] if led else None,
        layers=model.graph.layers,
        right_writers=tuple(found.right_writers),
        writers=tuple(found.writers[:3]),
        mendings=tuple(found.mendings),
        held_out=found.held_out,
        begun=len(found.begun),
    )
    halves = (
        "one half of them and tried on the other" if found.held_out else "them and tried on the same, as they are few"
    )
    method = (
        f"All {len(every)} facts of {material.task} that have another of their token length, asked as {template!r}. "
        "Right: what the model writes, eight tokens or more up to the end of a sentence, says an answer: its words in "
        "a row, without regard to case, accents and punctuation; an answer in small letters may have words before it "
        "or be its last word alone, a name only words in small letters. First tokens that are no words are passed "
        f"over. The first {most} facts at most that are wrong, and that are right. Which answer is ahead: logit lens "
        f"at the last token. Writers: direct logit attribution; heads are chosen on {halves}. Changes are exact runs, "
        f"compared with {_DRAWS} draws of as many random heads. 95% intervals over facts."
    )
    tables = {
        "wrong_facts": Table.of(WrongFact, found.facts),
        "wrong_writers": Table.of(WrongWriter, found.writers),
        "mending": Table.of(Mending, found.mendings),
        "begun_facts": Table.of(BegunFact, found.begun),
        "asked_facts": Table.of(AskedFact, found.asked),
    }
    return Explanation(tables, summary, method)


def template_of(pair: PromptPair) -> str:
    """The prompt with `{subject}` in place of its subject."""
    start, end = pair.spans["subject"]
    return f"{pair.prompt[:start]}{{subject}}{pair.prompt[end:]}"


WRONG = Section(
    "wrong",
    "Which facts of this relation does the model get wrong, where is the right answer overtaken, and what changes it?",
    wrong,
    (about_relation("facts"), several_prompts, spans("subject")),
)
