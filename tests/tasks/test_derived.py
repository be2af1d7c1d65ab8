from __future__ import annotations

import hashlib
from pathlib import Path
from random import Random
from typing import Any

import pytest
from ten_facts import TEN, relation, write

from wheatstone import RequestError, ResidualModel, load_task
from wheatstone.records import SPLITS, Problem
from wheatstone.tasks import (
    Relation,
    bundled_relations,
    bundled_tasks,
    files_of,
    load_facts,
    missing_file,
    relation_named,
    relations_in,
    task_now,
)
from wheatstone.tasks._bundled import bundled_task
from wheatstone.tasks._derived import PHRASES, QUESTION, demonstrated, reversed_facts, two_hops


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
    got = demonstrated(made(TEN), "icl/succession", 2, QUESTION, [])
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
    with pytest.raises(RequestError, match="a first relation with a phrase"):
        two_hops(capitals, cities, "two-hop/x", "{subject} w1", [])


@pytest.mark.usefixtures("in_folder")
def test_a_relation_s_file_is_asked_as_bundled_ones_are(tiny: ResidualModel) -> None:
    """By its path, wherever a bundled name may be: reversed, after demonstrations in its own words, as a first hop."""
    write(Path(), relation(TEN, reverse_templates=["{object} w1"], phrase="w2 {subject}"), "mine.json")
    write(Path(), relation([(f"w{index}", [f"w{index + 9}"]) for index in range(25, 30)]), "outer.json")
    given = relation_named("mine.json")
    backwards = load_task("reversed/mine.json", tiny, known=None)
    (fact, *_) = reversed_facts(given, "reversed/mine.json", "{subject} w1", []).facts
    assert fact.prompt in {pair.prompt for split in SPLITS for pair in backwards.split(split)}
    shown = load_task("icl-1/mine.json", tiny, known=None, template=1)
    for pair in (*shown.train, *shown.test):
        before, asked = pair.prompt.split("\n\n")
        assert before.startswith("w0 ")
        assert " w3 " in before
        assert asked.startswith("w0 ")
        assert asked.endswith(" w3")
    hops = load_task("two-hop/mine.json+outer.json", tiny, known=None)
    asked = {pair.prompt for split in SPLITS for pair in hops.split(split)}
    assert asked <= {f"w0 w2 w{index} w3" for index in range(5, 10)}
    assert load_facts("mine.json", tiny, template="{subject} w9").facts[0].prompt == "w5 w9"
    with pytest.raises(RequestError, match=r"relation with reverse_templates: a file that has them"):
        load_task("reversed/outer.json", tiny)
    with pytest.raises(RequestError, match=r"a relation's \.json file, or a bundled relation out of"):
        load_task("icl/other.json", tiny)
    with pytest.raises(RequestError, match=r"facts of a relation; got greater-than"):
        load_facts("greater-than", tiny)


@pytest.fixture
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("task", "room", "relations", "shots"),
    [
        ("facts/antonym", "facts", ("antonym",), 0),
        ("reversed/a/b.json", "reversed", ("a/b.json",), 0),
        ("icl-3/antonym", "icl", ("antonym",), 3),
        ("icl/antonym", "icl", ("antonym",), 5),
        ("two-hop/a.json+b", "two-hop", ("a.json", "b"), 0),
        ("a/b.json", "facts", ("a/b.json",), 0),
    ],
)
def test_relations_in_a_task_s_name(task: str, room: str, relations: tuple[str, ...], shots: int) -> None:
    assert relations_in(task) == (room, relations, shots)
    assert relations_in("ioi") is relations_in("pairs.jsonl") is None


def test_a_task_s_files_are_found_again_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = write(tmp_path, relation(TEN), "mine.json")
    files = files_of("two-hop/mine.json+country_capital")
    assert files == {"mine.json": {"path": str(path), "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}}
    monkeypatch.chdir("/")
    assert task_now("two-hop/mine.json+country_capital", files) == f"two-hop/{path}+country_capital"
    assert task_now("mine.json", files_of(str(path))) == "mine.json"
    assert task_now("facts/antonym", {}) == "facts/antonym"
    assert missing_file("facts/antonym", {}) is missing_file("ioi", {}) is None
    assert missing_file("two-hop/mine.json+country_capital", files) is None
    assert missing_file("mine.json", {}) == "the relation's file mine.json, which is no longer there"
    path.write_text("{}")
    assert str(missing_file("mine.json", files)).endswith("found; it has changed since")
    path.unlink()
    assert missing_file("mine.json", files) == f"the relation's file {path}, which is no longer there"


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
