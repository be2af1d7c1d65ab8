"""An edit to make and everything it is judged by: what should have changed with it, and what should not."""

from __future__ import annotations

import re
from collections.abc import Sequence
from random import Random
from typing import Literal

from pydantic import BaseModel, ConfigDict

from wheatstone._errors import RequestError
from wheatstone.editing._request import EditRequest
from wheatstone.models import ResidualModel, joined
from wheatstone.tasks import PHRASES, Relation, bundled_relation, bundled_relations

Kind = Literal["efficacy", "paraphrase", "neighbourhood", "two hops", "portability", "negation", "locality"]
KINDS: tuple[Kind, ...] = (
    "efficacy",
    "paraphrase",
    "neighbourhood",
    "two hops",
    "portability",
    "negation",
    "locality",
)
CHANGED: tuple[Kind, ...] = ("efficacy", "paraphrase", "two hops", "portability")
"""Kinds whose answer an edit should change; that of the others it should leave, but for `negation`."""
NEGATION: Kind = "negation"
"""The kind whose answer should be neither the new object nor anything in particular."""
_NEIGHBOURS, _ELSEWHERE, _HOPS = 4, 3, 2


class Probe(BaseModel):
    """A prompt that an edit is judged by.

    Args:
        kind: `efficacy`, the request itself; `paraphrase`, the relation's other templates; `two hops`, a second
            relation of the new object; `portability`, what else follows from the new fact, such as the other way round;
            `negation`, the question with a "not"; `neighbourhood`, other subjects of the relation; `locality`, other
            relations.
        prompt: the prompt.
        answers: what should follow; of a prompt that should not change, what is true; of `negation`, what should not
            follow.
        others: what used to be right and no longer is; of `negation`, what should not have followed before the edit.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Kind
    prompt: str
    answers: tuple[str, ...]
    others: tuple[str, ...] = ()


class Case(BaseModel):
    """A request with its probes.

    Args:
        name: of the case, unique among those of its source.
        group: the relation, or the file.
        request: the edit to make.
        probes: the request itself first.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    group: str
    request: EditRequest
    probes: tuple[Probe, ...]

    @classmethod
    def of(cls, name: str, group: str, request: EditRequest, probes: Sequence[Probe]) -> Case:
        """A case whose first probe is the request, and whose last is it or a paraphrase negated, where one can be.

        Args:
            name: of the case.
            group: the relation, or the file.
            request: the edit to make.
            probes: the others.
        """
        old = (request.truth,) if request.truth else ()
        first = Probe(kind="efficacy", prompt=request.prompt, answers=(request.target,), others=old)
        asked = (probe.prompt for probe in (first, *probes) if probe.kind in ("efficacy", "paraphrase"))
        denied = (text for prompt in asked if (text := negated(prompt, request.subject)) is not None)
        last = [Probe(kind=NEGATION, prompt=text, answers=(request.target,), others=old) for text in denied][:1]
        return cls(name=name, group=group, request=request, probes=(first, *probes, *last))


def negated(prompt: str, subject: str) -> str | None:
    """A prompt with "not" after the last is, are, was or were behind its subject; None where there is none.

    Args:
        prompt: such as `The capital of Germany is`.
        subject: as it is written there.
    """
    before, found, after = prompt.partition(subject)
    verbs = list(re.finditer(r"(?<!\w)(is|are|was|were)(?!\w)(?! not\b)", after))
    if not found or not verbs:
        return None
    at = verbs[-1].end()
    return f"{before}{subject}{after[:at]} not{after[at:]}"


def relation_cases(
    model: ResidualModel, names: Sequence[str], each: int, *, seed: int = 0, known: bool = True
) -> list[Case]:
    """Cases from bundled relations: a subject gets another object of its relation.

    Args:
        model: whose tokens tell objects apart.
        names: of relations.
        each: maximum number of cases per relation.
        seed: of every choice.
        known: take facts only whose answer is the model's most likely next token.

    Raises:
        RequestError: there is no such relation.
    """
    relations = {name: bundled_relation(name) for name in bundled_relations()}
    cases: list[Case] = []
    for name in names:
        if name not in relations:
            bundled_relation(name)
        draw = Random(f"{seed} {name}")
        cases += _cases(model, relations[name], relations, each, draw, known=known)
    if not cases:
        raise RequestError(
            expected=f"relations that {model.id} knows facts of", got=", ".join(names) or "none", do="name others"
        )
    return cases


def _cases(
    model: ResidualModel, relation: Relation, relations: dict[str, Relation], each: int, draw: Random, *, known: bool
) -> list[Case]:
    facts, (template, *paraphrases) = list(relation.facts), relation.templates
    prompts = [template.replace("{subject}", fact.subject) for fact in facts]
    firsts = [
        {token for answer in fact.answers for token in model.continuation(joined(prompt, answer))[:1]}
        for prompt, fact in zip(prompts, facts, strict=True)
    ]
    order = draw.sample(range(len(facts)), len(facts))
    if known:
        asked_for = [prompts[index] for index in order[: 6 * each]]
        best = model.forward(model.tokens(asked_for)).logits.argmax(-1).tolist()
        order = [index for index, token in zip(order, best, strict=False) if token in firsts[index]]
    cases: list[Case] = []
    for index in order[:each]:
        fact = facts[index]
        others = [other for other in range(len(facts)) if not firsts[other] & firsts[index]]
        if not others:
            continue
        target = facts[draw.choice(others)].answers[0]
        first = model.continuation(joined(prompts[index], target))[0]
        request = EditRequest(
            prompt=prompts[index],
            subject=fact.subject,
            target=target,
            truth=fact.answers[0],
        )
        probes = [
            Probe(
                kind="paraphrase",
                prompt=text.replace("{subject}", fact.subject),
                answers=(target,),
                others=fact.answers,
            )
            for text in paraphrases[:_HOPS]
        ]
        apart = [other for other in range(len(facts)) if other != index and first not in firsts[other]]
        probes += [
            Probe(
                kind="neighbourhood",
                prompt=prompts[other],
                answers=facts[other].answers,
            )
            for other in draw.sample(apart, min(_NEIGHBOURS, len(apart)))
        ]
        probes += _ported(relation, relations, fact.subject, target, fact.answers, draw)
        elsewhere = [name for name, other in relations.items() if other.kind == "factual" and name != relation.name]
        for name in draw.sample(elsewhere, min(_ELSEWHERE, len(elsewhere))):
            other = draw.choice(relations[name].facts)
            prompt = relations[name].templates[0].replace("{subject}", other.subject)
            if fact.subject not in prompt:
                probes.append(Probe(kind="locality", prompt=prompt, answers=other.answers))
        cases.append(Case.of(f"{relation.name}/{fact.subject}", relation.name, request, probes))
    return cases


def _ported(
    relation: Relation,
    relations: dict[str, Relation],
    subject: str,
    target: str,
    truth: Sequence[str],
    draw: Random,
) -> list[Probe]:
    """What follows from the new fact: a second relation of the new object, and the new object's subject."""
    probes: list[Probe] = []
    if (phrase := PHRASES.get(relation.name)) is not None:
        for other in relations.values():
            answers = {fact.subject: fact.answers for fact in other.facts}
            old = {answer for one in truth for answer in answers.get(one, ())}
            if target in answers and not old & set(answers[target]) and old:
                prompt = other.templates[0].replace("{subject}", phrase.replace("{subject}", subject))
                probes.append(Probe(kind="two hops", prompt=prompt, answers=answers[target], others=tuple(sorted(old))))
        probes = draw.sample(probes, min(_HOPS, len(probes)))
    probes += [
        Probe(kind="portability", prompt=text.replace("{object}", target), answers=(subject,))
        for text in relation.reverse_templates[:1]
    ]
    return probes
