"""The bundled relations: every file is well formed, leaks no answer, and is on the page that documents it."""

from __future__ import annotations

import json
import re
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from wheatstone.models import ResidualModel

PAGE = (Path(__file__).parents[2] / "docs/relations.md").read_text(encoding="utf-8")
FOLDER = files("wheatstone.tasks").joinpath("data/relations")
NAMES = sorted(file.name.removesuffix(".json") for file in FOLDER.iterdir() if file.name.endswith(".json"))
Text = Annotated[str, StringConstraints(min_length=1, pattern=r"^\S(.*\S)?$")]
Template = Annotated[str, StringConstraints(min_length=1, pattern=r"\S$")]


class Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Source(Strict):
    name: Text
    version: Text
    licence: Text
    url: Text


class Fact(Strict):
    subject: Text
    answers: Annotated[tuple[Text, ...], Field(min_length=1)]


class Relation(Strict):
    name: Text
    kind: Literal["factual", "linguistic", "commonsense", "bias"]
    description: Text
    templates: Annotated[tuple[Template, ...], Field(min_length=3)]
    reverse_templates: tuple[Template, ...] = ()
    sources: Annotated[tuple[Source, ...], Field(min_length=1)]
    licence: Text
    checked: Text
    facts: Annotated[tuple[Fact, ...], Field(min_length=15)]


@cache
def relation(name: str) -> Relation:
    return Relation.model_validate(json.loads(FOLDER.joinpath(f"{name}.json").read_text("utf-8")))


every_relation = pytest.mark.parametrize("name", NAMES)


def test_there_are_enough() -> None:
    assert len(NAMES) >= 24
    assert {relation(name).kind for name in NAMES} == {"factual", "linguistic", "commonsense", "bias"}
    assert sum(len(relation(name).facts) for name in NAMES) >= 1_500


@every_relation
def test_templates_take_a_subject_and_read_as_sentences(name: str) -> None:
    loaded = relation(name)
    assert loaded.name == name
    assert len(set(loaded.templates)) == len(loaded.templates)
    assert all(template.count("{") == template.count("{subject}") == 1 for template in loaded.templates)
    assert all(template.count("{") == template.count("{object}") == 1 for template in loaded.reverse_templates)
    for fact in loaded.facts:
        for template in loaded.templates:
            prompt = template.format(subject=fact.subject)
            assert fact.subject in prompt
            assert not prompt[0].islower(), f"{prompt!r} begins with a small letter"


@every_relation
def test_no_fact_stands_twice(name: str) -> None:
    subjects = [fact.subject.casefold() for fact in relation(name).facts]
    assert len(set(subjects)) == len(subjects)
    assert all(len(set(fact.answers)) == len(fact.answers) for fact in relation(name).facts)


@every_relation
def test_no_prompt_gives_its_answer_away(name: str) -> None:
    loaded = relation(name)
    for fact in loaded.facts:
        for template in loaded.templates:
            words = re.findall(r"\w+", template.format(subject=fact.subject))
            for answer in fact.answers:
                first = re.findall(r"\w+", answer)[0]
                assert first not in words, f"{answer!r} in {template.format(subject=fact.subject)!r}"
                assert not answer.startswith(("the ", "The ", "a ", "an ")), "all such answers share their first token"


@every_relation
def test_primary_answers_differ(name: str) -> None:
    primary = [fact.answers[0] for fact in relation(name).facts]
    assert max(primary.count(answer) for answer in primary) <= 0.8 * len(primary), "one answer would do"


@every_relation
def test_the_page_has_its_row_and_sources(name: str) -> None:
    loaded = relation(name)
    assert re.search(rf"^\| {name} \| {len(loaded.facts)} \| ", PAGE, re.MULTILINE), "run scripts/relations/measure.py"
    assert loaded.description in PAGE
    assert all(f"{source.name} {source.version} ({source.licence}; {source.url})" in PAGE for source in loaded.sources)


@pytest.mark.parametrize("first", ["landmark_country", "city_country", "person_country"])
@pytest.mark.parametrize("second", ["country_capital", "country_language", "country_currency", "country_continent"])
def test_two_relations_chain(first: str, second: str) -> None:
    """The answer of the first is the subject of the second, for two-hop questions."""
    subjects = {fact.subject for fact in relation(second).facts}
    chained = [fact.subject for fact in relation(first).facts if fact.answers[0] in subjects]
    assert len(chained) >= 50


def test_stereotypes_are_called_so() -> None:
    assert all(relation(name).description.startswith("A stereotype") for name in NAMES if relation(name).kind == "bias")


@pytest.mark.real_weights
@every_relation
def test_answers_follow_their_prompts_as_tokens(name: str, smollm2: ResidualModel) -> None:
    """The first token of each answer is the one that would come next, and different answers have different ones."""
    loaded = relation(name)
    first: set[int] = set()
    for fact in loaded.facts:
        prompt = loaded.templates[0].format(subject=fact.subject)
        for answer in fact.answers:
            tokens = smollm2.continuation(f" {answer}")
            assert smollm2.encode(f"{prompt} {answer}")[len(smollm2.encode(prompt)) :][:1] == tokens[:1]
            first.add(tokens[0])
    assert len(first) >= 2
