from __future__ import annotations

from random import Random
from typing import Any

import pytest
from ten_facts import TEN, relation

from wheatstone import RequestError, ResidualModel
from wheatstone.tasks import Problem, Relation, bundled_relations, bundled_tasks
from wheatstone.tasks._bundled import bundled_task
from wheatstone.tasks._derived import PHRASES, demonstrated, reversed_facts, two_hops


def made(facts: list[tuple[str, list[str]]], **more: Any) -> Relation:
    return Relation.model_validate(relation(facts, **more))


def test_reversed_facts_have_all_subjects_of_an_answer_and_keep_their_split() -> None:
    problems: list[Problem] = []
    got = reversed_facts(made([("w5", ["w20"]), ("w6", ["w21"]), ("w7", ["w20"])]), "r", "{subject} w1", problems)
    assert [(fact.prompt, fact.continuations, fact.key) for fact in got.facts] == [
        ("w20 w1", (" w5", " w7"), "w5"),
        ("w21 w1", (" w6",), "w6"),
    ]
    assert not problems
    assert got.about.size == 2


def test_demonstrations_are_other_facts_of_the_same_split(tiny: ResidualModel) -> None:
    got = demonstrated(made(TEN), "icl/succession", 2, [])
    mine = frozenset(f"w{index}" for index in range(5, 11))
    drafts = got.drafts(tiny, mine, Random(0), 10, [])
    assert len(drafts) == 6
    for draft in drafts:
        *shown, asked = draft.pair.prompt.split("\n\n")
        *shown_too, _ = draft.pair.counterfactual.split("\n\n")
        assert shown == shown_too
        subjects = [line.splitlines()[0].removeprefix("Q: ") for line in (*shown, asked)]
        assert len(set(subjects)) == 3
        assert set(subjects) <= mine
        assert all(
            line.endswith(f"A: w{int(subject[1:]) + 20}") for line, subject in zip(shown, subjects, strict=False)
        )
        assert draft.pair.prompt[slice(*draft.pair.spans["demonstration"])] == "\n\n".join(shown)


def test_two_hops_go_by_way_of_the_first_answer_and_leave_out_what_could_be_copied() -> None:
    cities = made(
        [("Lyon", ["France"]), ("Kyoto", ["Japan"]), ("Paris", ["France"]), ("Quito", ["Ecuador"])], name="city_country"
    )
    capitals = made([("France", ["Paris"]), ("Japan", ["Tokyo"])], name="country_capital")
    got = two_hops(cities, capitals, "two-hop/x", "The capital of {subject} is", [])
    assert [(fact.prompt, fact.continuations) for fact in got.facts] == [
        ("The capital of the country where the city of Lyon is located is", (" Paris",)),
        ("The capital of the country where the city of Kyoto is located is", (" Tokyo",)),
    ]
    with pytest.raises(RequestError, match="which knows none of it"):
        two_hops(cities, made([("w1", ["w2"])]), "two-hop/x", "{subject} w1", [])
    with pytest.raises(RequestError, match="a first relation out of"):
        two_hops(capitals, cities, "two-hop/x", "{subject} w1", [])


def test_every_listed_task_can_be_made() -> None:
    listed = bundled_tasks()
    assert len({about.name for about in listed}) == len(listed)
    for about in listed:
        source = bundled_task(about.name, 0, [])
        assert source is not None
        assert source.about == about
    rooms = {about.name.partition("/")[0] for about in listed}
    assert {"ioi", "ioi-swapped", "greater-than", "induction", "a-an", "sv-agreement", "docstring"} <= rooms
    if bundled_relations():
        assert {"facts", "reversed", "icl"} <= rooms
    assert all("{subject}" in phrase for phrase in PHRASES.values())


@pytest.mark.parametrize("name", ["nonsense", "facts", "icl-x/country_capital", "ioi/x"])
def test_other_names_are_nobody_s(name: str) -> None:
    assert bundled_task(name, 0, []) is None


def test_a_generated_task_has_no_template() -> None:
    with pytest.raises(RequestError, match="ioi draws from all its forms; got 1"):
        bundled_task("ioi", 1, [])
