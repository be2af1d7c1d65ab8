from __future__ import annotations

import pytest
from sentencepiece import KINDS, make_model, make_tokenizer

from wheatstone import PromptError, PromptPair, ResidualModel
from wheatstone.records import SPLITS
from wheatstone.tasks import Task, answered, encode, load_task
from wheatstone.tasks.generators import GENERATORS
from wheatstone.tasks.generators._a_an import article
from wheatstone.tasks.generators._generator import listed
from wheatstone.tasks.generators._greater_than import year_answers

KNOWS = {
    "a-an": 0.6,
    "docstring": 0.8,
    "greater-than": 0.9,
    "induction": 0.7,
    "ioi": 0.9,
    "ioi-swapped": 0.9,
    "sv-agreement": 0.7,
}
"""Share of prompts on which SmolLM2 puts an answer above every distractor, at least; chance is about a half."""
TASKS: dict[str, Task] = {}


def words(pair: PromptPair, *names: str) -> list[str]:
    return [pair.prompt[slice(*pair.spans[name])] for name in names]


@pytest.fixture(params=sorted(GENERATORS))
def task(request: pytest.FixtureRequest, smollm2: ResidualModel) -> Task:
    """A small draw of each task, made once."""
    name: str = request.param
    if name not in TASKS:
        TASKS[name] = load_task(name, smollm2, known=None, size=30)
    return TASKS[name]


@pytest.mark.real_weights
def test_smollm2_can_do_it(task: Task, smollm2: ResidualModel) -> None:
    rows = answered(smollm2, [pair for split in SPLITS for pair in task.split(split)])
    assert len(rows) >= 25
    assert sum(row.ahead for row in rows) / len(rows) >= KNOWS[task.name]


@pytest.mark.real_weights
def test_words_of_the_test_are_in_no_training_prompt(task: Task, smollm2: ResidualModel) -> None:
    """As the generator's own words: those of a pair's spans that it drew from its list."""
    listed = {word.strip() for word in GENERATORS[task.name].subjects(smollm2)}

    def drawn(split: str) -> set[str]:
        found = {text.strip() for pair in task.split(split) for text in words(pair, *pair.spans)}
        return (found | {text.removesuffix("s") for text in found}) & listed

    assert drawn("train")
    assert not drawn("train") & drawn("test")


@pytest.mark.real_weights
def test_the_same_seed_draws_the_same_pairs(smollm2: ResidualModel) -> None:
    one, same, other = (load_task("ioi", smollm2, known=None, size=10, seed=seed) for seed in (1, 1, 2))
    assert one == same
    assert one.sha256 != other.sha256


@pytest.mark.real_weights
def test_indirect_objects(smollm2: ResidualModel) -> None:
    orders: set[bool] = set()
    for name in ("ioi", "ioi-swapped"):
        for pair in load_task(name, smollm2, known=None, size=20).train:
            indirect, first, second = words(pair, "IO", "S1", "S2")
            assert first == second != indirect
            assert (pair.answers, pair.distractors) == ((f" {indirect}",), (f" {first}",))
            assert pair.prompt.count(first) == 2
            (changed,) = {*pair.counterfactual.replace(".", "").split()} - {*pair.prompt.replace(".", "").split()} or {
                indirect
            }
            assert (changed == indirect) == (name == "ioi-swapped")
            orders.add(pair.spans["IO"] < pair.spans["S1"])
    assert orders == {True, False}


@pytest.mark.real_weights
@pytest.mark.parametrize(
    ("year", "right", "wrong"),
    [(32, "456789", "012"), (39, "456789", "0123"), (30, "456789", "012"), (2, "123456789", ""), (97, "", "012345678")],
)
def test_a_tokenizer_that_splits_digits_is_asked_for_the_tens(
    smollm2: ResidualModel, year: int, right: str, wrong: str
) -> None:
    """The start year's own tens digit begins earlier years and later ones; 39 leaves only earlier ones."""
    got = year_answers(smollm2, f"The war lasted from the year 17{year:02d} to the year 17", year)
    assert got == (tuple(right), tuple(wrong))


@pytest.mark.real_weights
def test_years_agreement_articles_and_arguments(smollm2: ResidualModel) -> None:
    for pair in load_task("greater-than", smollm2, known=None, size=10).train:
        century, start = words(pair, "century", "year")
        assert start.startswith(century)
        assert f"{century}01" in pair.counterfactual
        assert all(int(digit) > int(start[2]) for digit in pair.answers)
        assert all(int(digit) <= int(start[2]) for digit in pair.distractors)
    for pair in load_task("a-an", smollm2, known=None, size=10).train:
        (noun,) = words(pair, "subject")
        assert pair.answers == (f" {article(noun)}",) != pair.distractors
    for pair in load_task("sv-agreement", smollm2, known=None, size=10).train:
        (noun,) = words(pair, "subject")
        assert (" are" in pair.answers) == noun.endswith("s")
    for pair in load_task("docstring", smollm2, known=None, size=10).train:
        third, last, first, second = words(pair, "C_def", "D_def", "A_doc", "B_doc")
        assert f"(self, {first}, {second}, {third}, {last})" in pair.prompt
        assert f"(self, {first}, {second}, {last}, {third})" in pair.counterfactual
        assert (pair.answers, pair.distractors) == ((f" {third}",), (f" {last}",))
    for pair in load_task("induction", smollm2, known=None, size=10).train:
        tokens = pair.prompt.split()
        at = tokens.index(tokens[-1])
        assert tokens[: at + 1] == tokens[-at - 1 :]
        assert pair.answers == (f" {tokens[at + 1]}",)
        assert words(pair, "subject") == [*pair.answers]
        encoded = encode(smollm2, [pair])
        assert encoded.span("subject").tolist() == [[at + 1, at + 2]]


@pytest.mark.parametrize("kind", KINDS)
def test_a_tokenizer_without_the_words_is_refused_with_the_reason(kind: str) -> None:
    model = make_model(make_tokenizer(kind))
    for name in ("ioi", "greater-than"):
        with pytest.raises(PromptError) as refused:
            load_task(name, model, known=None, size=20, strict=False)
        assert refused.value.got == "0 words that are one token each in its tokenizer, too few to draw prompts from"
    with pytest.raises(PromptError) as refused:
        load_task("sv-agreement", model, known=None, size=20, strict=False)
    assert "none with prompt and counterfactual of the same token length in " in refused.value.got


@pytest.mark.parametrize("kind", ["first", "always", "legacy"])
@pytest.mark.parametrize("name", ["ioi", "ioi-swapped"])
def test_names_are_found_behind_a_dummy_prefix(name: str, kind: str) -> None:
    """As in the vocabulary of Llama 2, where a name after a space is one token that begins with the space's sign."""
    model = make_model(make_tokenizer(kind, words=listed("names")))
    task = load_task(name, model, known=None, size=20)
    assert min(len(task.split(split)) for split in SPLITS) >= 1
    assert {len(model.continuation(pair.answers[0])) for pair in task.train} == {1}
