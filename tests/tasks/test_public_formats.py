"""Records as public data sets and other programs write them. All examples are this project's own."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hostile import attempt
from hypothesis import given
from hypothesis import strategies as st
from ten_facts import TEN

from wheatstone import PromptError, RequestError, ResidualModel
from wheatstone.records import SPLITS
from wheatstone.records._problems import Problem
from wheatstone.records._rows import content_of, read_rows
from wheatstone.tasks import PromptPair, load_task, read_pairs
from wheatstone.tasks._templates import with_subject

PAIR = {"prompt": "w0 w5 w3", "counterfactual": "w0 w6 w3", "answers": [" w7"], "distractors": [" w8"]}
EXPECTED = PromptPair.model_validate(PAIR)


def every(path: Path, model: ResidualModel, **more: Any) -> set[PromptPair]:
    task = load_task(path, model, known=None, **more)
    return {pair for split in SPLITS for pair in task.split(split)}


def renamed(**names: str) -> dict[str, Any]:
    return {names[name]: value for name, value in PAIR.items() if name in names}


@pytest.mark.parametrize(
    "record",
    [
        PAIR,
        renamed(prompt="clean", counterfactual="corrupt", answers="answers", distractors="wrong_answers"),
        renamed(
            prompt="clean_prefix", counterfactual="patch_prefix", answers="clean_answer", distractors="patch_answer"
        ),
        renamed(prompt="clean", counterfactual="corrupted", answers="answer", distractors="distractor"),
        renamed(prompt="clean", counterfactual="patch", answers="answers", distractors="wrong_answers"),
        renamed(prompt="clean_prefix", counterfactual="corrupt_prefix", answers="answer", distractors="corrupt_answer"),
        renamed(prompt="clean", counterfactual="corrupted", answers="correct", distractors="incorrect"),
        renamed(prompt=" Prompt", counterfactual="Counterfactual", answers="ANSWERS", distractors="Distractors"),
    ],
    ids=lambda record: "/".join(record).strip(),
)
def test_pairs_under_every_name(record: dict[str, Any], tiny: ResidualModel, tmp_path: Path) -> None:
    path = tmp_path / "pairs.json"
    path.write_text(json.dumps([record]))
    assert every(path, tiny) == {EXPECTED}
    assert read_pairs(path) == [EXPECTED]


def _table(delimiter: str, lists: Callable[[Any], str]) -> Callable[[list[dict[str, Any]]], str]:
    def write(records: list[dict[str, Any]]) -> str:
        def cell(value: Any) -> str:
            text = value if isinstance(value, str) else lists(value)
            return '"' + text.replace('"', '""') + '"'

        rows = [records[0].keys(), *([cell(value) for value in record.values()] for record in records)]
        return "\ufeff" + "\r\n".join(delimiter.join(row) for row in rows) + "\r\n"

    return write


WRITERS: dict[str, Callable[[list[dict[str, Any]]], str]] = {
    "a list": json.dumps,
    "a list over several lines": lambda records: json.dumps(records, indent=1),
    "lines": lambda records: "\n\n".join(map(json.dumps, records)),
    "one record": lambda records: json.dumps(records[0]),
    "one record over several lines": lambda records: json.dumps(records[0], indent=2),
    "a list under a key": lambda records: json.dumps({"seq_labels": ["a"], "prompts": records}),
    "lists by split": lambda records: json.dumps({"pairs": {"train": records, "validation": [], "test": []}}),
    "columns": lambda records: json.dumps({name: [record[name] for record in records] for name in records[0]}),
    "pandas' columns": lambda records: json.dumps(
        {name: {str(at): record[name] for at, record in enumerate(records)} for name in records[0]}
    ),
    "commas": _table(",", json.dumps),
    "semicolons": _table(";", json.dumps),
    "tabs": _table("\t", json.dumps),
    "commas, Python's lists": _table(",", repr),
    "semicolons, Python's lists": _table(";", repr),
}


@pytest.mark.parametrize("name", ["records.json", "records.jsonl", "records.csv", "records.txt", "records"])
@pytest.mark.parametrize("form", WRITERS)
def test_the_content_says_what_a_file_is(form: str, name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(WRITERS[form]([PAIR]), encoding="utf-8", newline="")
    assert read_pairs(path) == [EXPECTED]


def test_quoted_newlines_and_blank_lines_keep_their_places(tmp_path: Path) -> None:
    path = tmp_path / "pairs.csv"
    path.write_text('\nprompt,counterfactual,answer\n\n"one\ntwo",x,y\na,b\n"c",d,e\n')
    problems: list[Problem] = []
    rows, _ = read_rows(content_of(path), problems)
    assert [row.fields["prompt"] for row in rows] == ["one\ntwo", "c"]
    assert [row.where.rpartition(" ")[2] for row in rows] == ["4", "7"]
    assert [str(problem) for problem in problems] == [f"{path} line 6: 2 cells, 3 columns"]


def facts(**names: str) -> list[dict[str, Any]]:
    return [{names["subject"]: subject, names["answer"]: answers[0]} for subject, answers in TEN]


@pytest.mark.parametrize(
    ("extra", "template"),
    [
        ({"template": "w0 {} w3"}, 0),
        ({"template": "w0 [X] w3 [Y] ."}, 0),
        ({"pattern": "w0 [X] w3 [Y]"}, 0),
        ({}, "w0 {subject} w3"),
        ({}, "w0 [X] w3 [Y]."),
        ({}, "w0 {} w3"),
    ],
)
@pytest.mark.parametrize(
    "names",
    [
        {"subject": "sub_label", "answer": "obj_label"},
        {"subject": "subject", "answer": "attribute"},
        {"subject": "subject", "answer": "object"},
        {"subject": "input", "answer": "output"},
        {"subject": "subject", "answer": "target_true"},
    ],
    ids=lambda names: names["answer"],
)
def test_facts_under_every_name(
    names: dict[str, str], extra: dict[str, str], template: int | str, tiny: ResidualModel, tmp_path: Path
) -> None:
    plain = tmp_path / "plain.jsonl"
    plain.write_text("\n".join(json.dumps({"subject": s, "answer": a[0], "prompt": f"w0 {s} w3"}) for s, a in TEN))
    path = tmp_path / "facts.json"
    path.write_text(json.dumps([{**fact, **extra} for fact in facts(**names)]))
    assert every(path, tiny, template=template) == every(plain, tiny)


def test_counterfact_is_read_with_its_true_answers(tiny: ResidualModel, tmp_path: Path) -> None:
    records = [
        {
            "case_id": number,
            "requested_rewrite": {
                "prompt": "w0 {} w3",
                "subject": subject,
                "target_new": {"str": "w39", "id": "Q1"},
                "target_true": {"str": answers[0], "id": "Q2"},
            },
            "paraphrase_prompts": ["w1"],
        }
        for number, (subject, answers) in enumerate(TEN)
    ]
    path = tmp_path / "counterfact.json"
    path.write_text(json.dumps(records))
    prompts = {pair.prompt: pair.answers for pair in every(path, tiny)}
    assert prompts == {f"w0 {subject} w3": (f" {answers[0]}",) for subject, answers in TEN}


@pytest.mark.real_weights
def test_inputs_and_outputs_alone_are_asked_after_demonstrations(smollm2: ResidualModel, tmp_path: Path) -> None:
    capitals = {"France": "Paris", "Italy": "Rome", "Japan": "Tokyo", "Egypt": "Cairo", "Spain": "Madrid"}
    capitals |= {"Peru": "Lima", "Cuba": "Havana", "Iran": "Tehran", "Iraq": "Baghdad", "Kenya": "Nairobi"}
    path = tmp_path / "capitals.json"
    path.write_text(json.dumps([{"input": country, "output": capital} for country, capital in capitals.items()]))
    task = load_task(path, smollm2, known=None, strict=False)
    assert any("'Q: {subject}\\nA:' after 5 demonstrations" in note for note in task.notes)
    for pair in task.train:
        *shown, asked = pair.prompt.split("\n\n")
        assert 1 <= len(shown) <= 5
        assert all(line in {f"Q: {country}\nA: {capital}" for country, capital in capitals.items()} for line in shown)
        assert f"{asked}{pair.answers[0]}" in {f"Q: {country}\nA: {capital}" for country, capital in capitals.items()}


@pytest.mark.parametrize(
    ("template", "wanted"),
    [
        ("The capital of {subject} is", "The capital of {subject} is"),
        ("The capital of {} is", "The capital of {subject} is"),
        ("[X] was born in [Y] .", "{subject} was born in"),
        ("The capital of [X] is [Y].", "The capital of {subject} is"),
        ("[Y] is the capital of [X].", None),
        ("[X] was born in [Y] in May", None),
        ("The capital is", None),
        ("{} and {}", None),
    ],
)
def test_templates(template: str, wanted: str | None) -> None:
    if wanted is not None:
        assert with_subject(template) == wanted
        return
    with pytest.raises(ValueError, match="; "):
        with_subject(template)


@pytest.mark.parametrize(
    ("answers", "read"),
    [
        (5, (" 5",)),
        (5.0, (" 5",)),
        ([5, 6], (" 5", " 6")),
        ("['a', 'b']", ("a", "b")),
        ('["a", "b"]', ("a", "b")),
        ("[5, 6]", (" 5", " 6")),
        ("(' a', ' b')", (" a", " b")),
        ("(' a',)", (" a",)),
        ("(A)", ("(A)",)),
        ("(5, 6)", ("(5, 6)",)),
        ("['it\\'s', 'x  y']", ("it's", "x  y")),
        (" [", (" [",)),
        ({"str": " a", "id": "Q1"}, (" a",)),
    ],
)
def test_what_an_answer_may_be(answers: Any, read: tuple[str, ...], tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_text(json.dumps({**PAIR, "prompt": "The sum is", "answers": answers}))
    assert read_pairs(path)[0].answers == read


@pytest.mark.parametrize(
    ("prompt", "answer"), [("2+3=", "5"), ("19", "5"), ("答案是", "5"), ("2 + 3 =", " 5"), ("The sum is", " 5")]
)
def test_a_number_gets_a_space_where_the_writing_has_one(prompt: str, answer: str, tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_text(json.dumps({**PAIR, "prompt": prompt, "answers": 5}))
    assert read_pairs(path)[0].answers == (answer,)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"answers": True}, "'answers' holds a truth value 'True'"),
        ({"answers": {"a": 1}}, "'answers' holds an object"),
        ({"answers": [["a"]]}, "'answers' holds a list"),
        ({"answers": [None]}, "'answers' holds the value 'None'"),
        ({"answers": "[1, 2"[:6] + "]]"}, "is no list"),
        ({"answers": "[' a' ' b']"}, "has texts without a comma between them"),  # as NumPy writes them
        ({"answers": "[' a'\n ' b']"}, "has texts without a comma between them"),
        ({"answers": ""}, "'answers' is empty"),
        ({"answers": []}, "'answers' is empty"),
        ({"answers": None}, "'answers' is empty"),
        ({"answers": float("nan")}, "'answers' is NaN"),
        ({"answers": "nan"}, "'answers' is NaN"),
        ({"distractors": True}, "'distractors' holds a truth value"),
        ({"prompt": 5}, "'prompt' is the value '5'"),
        ({"prompt": ["a"]}, "'prompt' is a list"),
        ({"counterfactual": float("inf")}, "'counterfactual' is NaN"),
        ({"spans": 5}, "spans"),
        ({"spans": "{"}, "Expecting property name"),
    ],
)
def test_cells_that_cannot_be_read_are_named(change: dict[str, Any], says: str, tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_text("\n".join(map(json.dumps, [PAIR, {**PAIR, **change}])))
    with pytest.raises(PromptError) as error:
        read_pairs(path)
    assert f"{path} line 2: " in error.value.got
    assert says in error.value.got
    assert "\n" not in str(error.value)


FOREIGN = [{"question": "Where?", "reply": "There", "clean": "x"}, {"question": "Who?", "reply": "They", "clean": "y"}]


@pytest.mark.parametrize("form", [form for form in WRITERS if "by split" not in form])
def test_columns_that_are_not_understood_are_named_with_those_that_are(
    form: str, tiny: ResidualModel, tmp_path: Path
) -> None:
    path = tmp_path / "questions"
    path.write_text(WRITERS[form](FOREIGN), encoding="utf-8", newline="")
    for read in (lambda: read_pairs(path), lambda: load_task(path, tiny), lambda: load_task(path, tiny, strict=False)):
        with pytest.raises(PromptError) as error:
            read()
        assert (
            "with the columns 'question', 'reply', 'clean': neither a counterfactual nor a subject" in error.value.got
        )
        for name in ("corrupted", "wrong_answers", "sub_label", "correct_idx"):
            assert name in error.value.expected
        assert "docs/tasks.md" in error.value.do


@pytest.mark.parametrize(
    ("record", "got"),
    [
        ({"input": "France", "output": "Paris"}, "facts, in the columns 'input', 'output'"),
        ({"sub_label": "France", "obj_label": "Paris", "template": "[X] is [Y]"}, "facts, in the columns 'sub_label'"),
        ({"subject": "a", "attribute": "b", "template": "{} is", "prompt": "a is"}, "facts, in the columns 'subject'"),
        ({"clean": "1732 to 17", "corrupted": "1701 to 17", "label": 32}, "token ids or years in the column 'label'"),
        ({"clean": "w1", "corrupted": "w2", "correct_idx": 4}, "token ids or years in the column 'correct_idx'"),
    ],
)
def test_what_only_a_task_can_be_made_of_is_sent_there(record: dict[str, Any], got: str, tmp_path: Path) -> None:
    path = tmp_path / "records.json"
    path.write_text(json.dumps([record, record]))
    with pytest.raises(PromptError) as error:
        read_pairs(path)
    assert error.value.got.startswith(f"{path} with {got}")
    assert f"--task {path}" in error.value.do


@pytest.mark.parametrize("name", ["corrupt_answers", "patch_answers"])
def test_wrong_answers_in_the_plural(name: str, tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    path.write_text(json.dumps({"clean": "a b", "corrupt": "a c", "clean_answers": [" d"], name: [" e"]}))
    assert read_pairs(path)[0].distractors == (" e",)


def test_columns_of_a_parquet_file_are_named_too(tiny: ResidualModel, tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_pylist(FOREIGN), tmp_path / "questions")
    with pytest.raises(PromptError, match="'question', 'reply', 'clean'"):
        load_task(tmp_path / "questions", tiny)


def test_a_record_of_another_form_among_good_ones_is_named_with_its_columns(
    tiny: ResidualModel, tmp_path: Path
) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_text("\n".join(map(json.dumps, [PAIR, {"clean": "w0", "corrupted": "w1", "plural": 1}])))
    with pytest.raises(PromptError, match="line 2: no answer among the columns 'clean', 'corrupted', 'plural'; rename"):
        load_task(path, tiny)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"PK\x03\x04rest", "Excel"),
        ("prompt,counterfactual".encode("utf-16"), "UTF-16"),
        (b"\x1f\x8bxx", "gzip"),
        (b"\x00\x01\x02", "no text"),
        (b"a,b,a\n1,2,3\n", "two columns 'a'"),
        (b"[1, 2", "line 1 column 6"),
    ],
)
def test_files_that_hold_no_records(data: bytes, says: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(data)
    with pytest.raises(PromptError) as error:
        read_pairs(path)
    assert says in str(error.value)
    assert error.value.do


def test_what_is_no_regular_file_is_refused(tiny: ResidualModel, tmp_path: Path) -> None:
    import os

    os.mkfifo(tmp_path / "pipe.jsonl")
    for path in (tmp_path, tmp_path / "pipe.jsonl", Path("/dev/zero")):
        with pytest.raises(PromptError, match=r"not a regular file|a folder, not a file"):
            load_task(path, tiny)


def check(read: Callable[[], object]) -> None:
    """Whatever a file holds, it is read or refused in one line that says what to do."""
    error = attempt(read)
    assert error is None or (isinstance(error, RequestError) and error.do and "\n" not in str(error))


@given(data=st.binary(max_size=300) | st.text(alphabet='[]{}",:;\t\nab1\\ ', max_size=120).map(str.encode))
def test_any_bytes_are_read_or_refused(data: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "any"
    path.write_bytes(data)
    check(lambda: read_pairs(path))


CELL = st.none() | st.booleans() | st.integers(-(2**62), 2**62) | st.floats() | st.text(max_size=12)
CELLS = st.recursive(
    CELL, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner), max_leaves=4
)
NAMES = st.sampled_from(
    [
        *("prompt", "clean", "counterfactual", "corrupted", "answers", "label", "correct_idx", "incorrect_idx"),
        *("subject", "distractors", "spans", "split", "requested_rewrite", "input", "output", "template", "x"),
    ]
)


@given(records=st.lists(st.dictionaries(NAMES, CELLS, max_size=6), max_size=4))
def test_any_records_are_read_or_refused(
    records: list[dict[str, Any]], tiny: ResidualModel, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.json"
    path.write_text(json.dumps(records), encoding="utf-8")
    for read in (lambda: read_pairs(path), lambda: load_task(path, tiny, known=None)):
        check(read)


def ids_table(model: ResidualModel, *rows: tuple[int, int], names: str = "correct_idx,incorrect_idx") -> str:
    lines = [f"w0 w{5 + at} w3,w0 w{15 + at} w3,{right},{wrong}" for at, (right, wrong) in enumerate(rows)]
    return "\n".join([f"clean,corrupted,{names}", *lines])


def test_token_ids_are_texts_and_the_task_says_what_they_are(tiny: ResidualModel, tmp_path: Path) -> None:
    path = tmp_path / "ids.csv"
    right, wrong = (tiny.continuation(text)[0] for text in ("w7", "w8"))
    text = tiny.decode([right])[0]
    path.write_text(ids_table(tiny, (right, wrong), (right, wrong), (right, wrong)))
    task = load_task(path, tiny, known=None)
    assert {pair.answers for split in SPLITS for pair in task.split(split)} == {(f" {text}",)}
    assert any(f"token ids ({right} is {text!r})" in note and "another tokenizer's ids" in note for note in task.notes)
    path.write_text(ids_table(tiny, (right, 40), (right, wrong), (right, wrong)))
    for strict in (True, False):
        with pytest.raises(
            PromptError, match=r"line 2: token id 40 is beyond the 40 .*these are another tokenizer's ids"
        ):
            load_task(path, tiny, known=None, strict=strict)


def test_eap_ig_labels(tiny: ResidualModel, tmp_path: Path) -> None:
    path = tmp_path / "label.csv"
    right, wrong = (tiny.continuation(text)[0] for text in ("w7", "w8"))
    path.write_text(f'clean,corrupted,label\nw0 w5 w3,w0 w6 w3,"[{right}, {wrong}]"\nw0 w8 w3,w0 w9 w3, w7\n')
    answers = sorted((pair.answers, len(pair.distractors)) for pair in every(path, tiny))
    assert answers == [((" w7",), 0), ((" w7",), 1)]
    path.write_text("clean,corrupted,label\nw0 w5 w,w0 w6 w,1\n")
    with pytest.raises(PromptError, match="'label' is 1, which is neither a year after its prompt nor an answer"):
        load_task(path, tiny, known=None)


@pytest.mark.real_weights
def test_a_gpt2_table_is_refused_by_another_tokenizer(smollm2: ResidualModel, tmp_path: Path) -> None:
    """GPT-2's ids of names, all within SmolLM2's vocabulary."""
    names = {"Mary": 5335, "John": 1757, "Tom": 4186, "James": 3700, "Anna": 11735, "Kate": 16693, "Paul": 3362}
    people = list(names)
    rows = [
        f'"When {a} and {b} went to the store, {b} gave a drink to","When {a} and {b} went to the store, {c} gave a '
        f'drink to",{names[a]},{names[b]}'
        for a, b, c in zip(people, people[1:] + people[:1], people[2:] + people[:2], strict=True)
    ]
    path = tmp_path / "ioi.csv"
    path.write_text("\n".join(["clean,corrupted,correct_idx,incorrect_idx", *rows]))
    with pytest.raises(PromptError, match="another tokenizer's ids"):
        load_task(path, smollm2, known=None, strict=False)


@pytest.mark.real_weights
def test_greater_than_labels_of_eap_ig(smollm2: ResidualModel, tmp_path: Path) -> None:
    path = tmp_path / "years.csv"
    war = "The war lasted from the year 17{:02d} to the year 17"
    path.write_text("clean,corrupted,label\n" + "".join(f"{war.format(y)},{war.format(1)},{y}\n" for y in (45, 4, 61)))
    pairs = {pair.prompt: pair for pair in every(path, smollm2, strict=False)}
    assert (pairs[war.format(45)].answers, pairs[war.format(45)].distractors) == (tuple("56789"), tuple("0123"))
    assert pairs[war.format(4)].answers == tuple("123456789")
