from __future__ import annotations

from pathlib import Path

import pytest
from ten_facts import TEMPLATES, TEN, relation, write

from wheatstone import PromptError, RequestError, ResidualModel
from wheatstone.records import SPLITS
from wheatstone.tasks import Task, load_task


def subjects(task: Task, split: str) -> set[str]:
    return {pair.prompt[slice(*pair.spans["subject"])] for pair in task.split(split)}


def test_a_relation_becomes_three_splits_without_a_shared_subject(tiny: ResidualModel, tmp_path: Path) -> None:
    task = load_task(write(tmp_path, relation(TEN)), tiny, known=None)
    assert [len(task.split(split)) for split in SPLITS] == [4, 2, 4]
    assert set().union(*(subjects(task, split) for split in SPLITS)) == {subject for subject, _ in TEN}
    for split in SPLITS:
        for pair in task.split(split):
            subject = pair.prompt.split()[1]
            assert pair.answers == (f" w{int(subject[1:]) + 20}",)
            assert pair.counterfactual.split()[1] in subjects(task, split) - {subject}
    assert task.known is None
    assert task.notes == ()


def test_another_template_asks_about_the_same_subjects_in_the_same_splits(tiny: ResidualModel, tmp_path: Path) -> None:
    path = write(tmp_path, relation(TEN))
    first, second = (load_task(path, tiny, known=None, template=template) for template in (0, 1))
    own = load_task(path, tiny, known=None, template="w9 w9 {subject}")
    for split in SPLITS:
        assert subjects(first, split) == subjects(second, split) == subjects(own, split)
    assert {pair.prompt.split()[1] for pair in second.test} == {"w4"}
    assert {pair.prompt[:6] for pair in own.test} == {"w9 w9 "}
    assert first.about.templates == tuple(TEMPLATES)


@pytest.mark.parametrize("template", [2, -1, "no place for it", "{subject} {subject}"])
def test_a_template_that_is_not_there_is_refused(tiny: ResidualModel, tmp_path: Path, template: int | str) -> None:
    with pytest.raises(RequestError, match=r"0 to 1, or a text with \{subject\} once"):
        load_task(write(tmp_path, relation(TEN)), tiny, template=template)


def test_a_seed_decides_everything(tiny: ResidualModel, tmp_path: Path) -> None:
    path = write(tmp_path, relation(TEN))
    assert load_task(path, tiny, known=None, seed=3) == load_task(path, tiny, known=None, seed=3)
    assert load_task(path, tiny, known=None, seed=3).sha256 != load_task(path, tiny, known=None, seed=4).sha256


def test_the_filter_keeps_what_the_model_knows_and_says_how_many(tiny: ResidualModel, tmp_path: Path) -> None:
    path = write(tmp_path, relation(TEN))
    every = load_task(path, tiny, known=None)
    vocabulary = load_task(path, tiny, known=40)
    assert vocabulary.known is not None
    assert 0 < vocabulary.known.kept < vocabulary.known.of == 10
    assert str(vocabulary.known) in vocabulary.notes
    kept = [pair for split in SPLITS for pair in vocabulary.split(split)]
    assert len(kept) == vocabulary.known.kept
    for split in SPLITS:
        assert set(vocabulary.split(split)) <= set(every.split(split))
    with pytest.raises(PromptError, match="0 of 10 pairs are known"):
        load_task(path, tiny, known=0)


def test_a_size_is_a_sample_of_each_split(tiny: ResidualModel, tmp_path: Path) -> None:
    path = write(tmp_path, relation(TEN))
    whole, part = load_task(path, tiny, known=None), load_task(path, tiny, known=None, size=5)
    assert [len(part.split(split)) for split in SPLITS] == [2, 1, 2]
    for split in SPLITS:
        assert part.split(split) == whole.split(split)[: len(part.split(split))]


def test_all_that_is_wrong_is_listed_at_once_or_left_out(tiny: ResidualModel, tmp_path: Path) -> None:
    bad = [*TEN, ("w5", ["w25"]), (" W6", ["w9"]), ("", ["w1"]), ("w16", [" "]), ("w17", ["w36", "w36 w1"])]
    path = write(tmp_path, relation(bad))
    with pytest.raises(PromptError, match="4 that cannot") as error:
        load_task(path, tiny, known=None)
    for line in (
        f"{path} fact 11 ('w5'): a duplicate",
        f"{path} fact 12 (' W6'): the same subject with other answers",
        f"{path} fact 13 (''): an empty subject or answer",
        f"{path} fact 14 ('w16'): an empty subject or answer",
    ):
        assert line in error.value.got
    left = load_task(path, tiny, known=None, strict=False)
    assert len(left.skipped) == 4
    assert "4 records could not be used and were left out" in left.notes
    assert sum(len(left.split(split)) for split in SPLITS) == 11


def test_facts_without_a_counterfactual_are_counted(tiny: ResidualModel, tmp_path: Path) -> None:
    task = load_task(write(tmp_path, relation([*TEN, ("w15 w16", ["w1"])])), tiny, known=None)
    made = [pair for split in SPLITS for pair in task.split(split)]
    assert not any("w15 w16" in pair.prompt for pair in made)
    assert f"{11 - len(made)} of 11 have no counterfactual of their token length in their split" in task.notes


def test_lre_files_load_with_their_zero_shot_templates_first(tiny: ResidualModel, tmp_path: Path) -> None:
    lre = {
        "name": "succession",
        "prompt_templates": ["w0 {} w3"],
        "prompt_templates_zs": ["w1 {} w3"],
        "properties": {"relation_type": "commonsense", "symmetric": False},
        "samples": [{"subject": subject, "object": answers[0]} for subject, answers in TEN],
    }
    task = load_task(write(tmp_path, lre), tiny, known=None)
    assert task.kind == "commonsense"
    assert task.about.templates == ("w1 {subject} w3", "w0 {subject} w3")
    assert len(task.train) == 4


@pytest.mark.parametrize(
    ("value", "got"),
    [
        ("{", "line 1 column 2"),
        ({"name": "a", "facts": []}, "the keys 'name', 'facts': Field required at kind"),
        ([1], "record 1: not a record"),
        ({"name": "a"}, "the column 'name': neither a counterfactual nor a subject"),
        (relation(TEN, templates=["none"]), "'none'"),
        (relation(TEN, templates=[]), "no template"),
        ({"name": "a", "samples": []}, "prompt_templates"),
    ],
)
def test_files_of_another_form_are_refused_by_name(
    tiny: ResidualModel, tmp_path: Path, value: object, got: str
) -> None:
    path = write(tmp_path, value)
    with pytest.raises(PromptError) as error:
        load_task(path, tiny)
    assert str(path) in error.value.got
    assert got in error.value.got


def test_json_that_is_not_utf_8_is_refused_by_its_line(tiny: ResidualModel, tmp_path: Path) -> None:
    path = tmp_path / "latin.json"
    path.write_bytes(b'{\n  "name": "caf\xe9"}' + b" " * 10_000)
    with pytest.raises(PromptError, match=r"in UTF-8; got \S+latin\.json line 2: byte 0xe9") as error:
        load_task(path, tiny)
    assert len(str(error.value)) < 500


def test_names_that_are_not_there_are_refused(tiny: ResidualModel) -> None:
    with pytest.raises(RequestError, match="got 'nonsense'"):
        load_task("nonsense", tiny)
    with pytest.raises(RequestError, match=r"a bundled relation out of .*; got 'nonsense'"):
        load_task("facts/nonsense", tiny)


def test_a_split_that_is_not_there_is_refused(tiny: ResidualModel, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="out of train, validation, test; got 'dev'"):
        load_task(write(tmp_path, relation(TEN)), tiny, known=None).split("dev")
