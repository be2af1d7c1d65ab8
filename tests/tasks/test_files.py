from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ten_facts import TEN

from wheatstone import PromptError, RequestError, ResidualModel
from wheatstone.records import SPLITS
from wheatstone.records import _rows as rows
from wheatstone.tasks import PromptPair, Task, load_task

PAIRS: list[dict[str, Any]] = [
    {
        "prompt": f"w0 w{index} w3",
        "counterfactual": f"w0 w{index + 10} w3",
        "answers": [f" w{index + 20}"],
        "distractors": [f" w{index + 21}"],
        "subject": f"w{index}",
    }
    for index in range(5, 10)
]


def jsonl(folder: Path, records: list[Any], name: str = "pairs.jsonl") -> Path:
    path = folder / name
    path.write_text("\n".join(map(json.dumps, records)), encoding="utf-8")
    return path


def every(task: Task) -> set[PromptPair]:
    return {pair for split in SPLITS for pair in task.split(split)}


def loaded(path: Path, model: ResidualModel, **more: Any) -> Task:
    return load_task(path, model, known=None, **more)


def test_json_lines_may_have_comments(tiny: ResidualModel, tmp_path: Path) -> None:
    plain = jsonl(tmp_path, PAIRS)
    lines = plain.read_text().splitlines()
    commented = tmp_path / "commented.jsonl"
    commented.write_text("\ufeff# What this is\n\n  # and why\n" + "\n# next\n".join(lines), encoding="utf-8")
    assert every(loaded(commented, tiny)) == every(loaded(plain, tiny))
    table = tmp_path / "hash.csv"  # a table whose first column is called so is still a table
    table.write_text(
        "#,prompt,counterfactual,answers\n" + "\n".join(f"{at},w0 w{at} w3,w0 w9 w3, w1" for at in range(4))
    )
    assert len(every(loaded(table, tiny))) == 4


def test_pairs_are_the_same_from_json_lines_csv_and_parquet(tiny: ResidualModel, tmp_path: Path) -> None:
    whole = [{**record, "spans": {"verb": [0, 2]}} for record in PAIRS]
    first = loaded(jsonl(tmp_path, whole), tiny)
    assert len(every(first)) == 5
    assert all(pair.spans == {"verb": (0, 2)} for pair in every(first))
    flat: list[dict[str, str]] = [
        {name: value if isinstance(value, str) else json.dumps(value) for name, value in record.items()}
        for record in whole
    ]
    lines = [
        ",".join(flat[0]),
        *(",".join('"' + str(value).replace('"', '""') + '"' for value in record.values()) for record in flat),
    ]
    table = tmp_path / "pairs.csv"
    table.write_text("\ufeff" + "\n".join(lines), encoding="utf-8")
    pq.write_table(pa.Table.from_pylist(flat), tmp_path / "pairs.parquet")
    for path in (table, tmp_path / "pairs.parquet"):
        other = loaded(path, tiny)
        assert every(other) == every(first)
        assert other.sha256 == first.sha256


def test_facts_in_a_table_get_counterfactuals(tiny: ResidualModel, tmp_path: Path) -> None:
    records = [{"subject": subject, "answer": answers[0], "prompt": f"w0 {subject} w3"} for subject, answers in TEN]
    task = loaded(jsonl(tmp_path, records), tiny)
    assert [len(task.split(split)) for split in SPLITS] == [4, 2, 4]
    bare = [{"subject": subject, "object": answers[0]} for subject, answers in TEN]
    assert every(loaded(jsonl(tmp_path, bare, "bare.jsonl"), tiny, template="w0 {subject} w3")) == every(task)


def test_a_file_s_own_splits_are_kept(tiny: ResidualModel, tmp_path: Path) -> None:
    records = [
        {**record, "split": split}
        for record, split in zip(PAIRS, ["test", "test", "train", "train", "validation"], strict=True)
    ]
    task = loaded(jsonl(tmp_path, records), tiny)
    assert {pair.prompt for pair in task.test} == {"w0 w5 w3", "w0 w6 w3"}
    assert {pair.prompt for pair in task.validation} == {"w0 w9 w3"}


def test_everything_that_is_wrong_is_listed_with_its_line(tiny: ResidualModel, tmp_path: Path) -> None:
    path = tmp_path / "bad.jsonl"
    bad: list[Any] = [
        *({**record, "split": "train"} for record in PAIRS),
        {**PAIRS[0], "split": "test"},
        {**PAIRS[1], "prompt": "w0 w6 w4", "split": "test"},
        {**PAIRS[2], "prompt": "w0 w7", "split": "train"},
        {**PAIRS[3], "prompt": "w1 w8 w3", "answers": [" w1 w2"], "distractors": [" w1 w3"], "split": "train"},
        {"prompt": "w1", "counterfactual": "w2"},
        {"subject": "w9", "answer": "w1", "prompt": "w0 w3"},
        7,
    ]
    lines = [json.dumps(record).encode() for record in bad]
    path.write_bytes(b"\n".join([*lines, b"{", b'{"prompt": "\xe9"}']))
    with pytest.raises(PromptError) as error:
        loaded(path, tiny)
    for line in (
        f"{path} line 6: a duplicate of {path} line 1",
        f"{path} line 7: subject 'w6' in two splits, see {path} line 2",
        f"{path} line 8: expected prompt and counterfactual of the same token length",
        f"{path} line 9: expected an answer and a distractor that differ in their first token; got ' w1 w2'",
        f"{path} line 10: no answer",
        f"{path} line 11: subject 'w9' is not in its prompt 'w0 w3'",
        f"{path} line 12: not a record",
        f"{path} line 13: not JSON",
        f"{path} line 14: not UTF-8 (byte 0xe9 at 12)",
    ):
        assert line in error.value.got
    assert "9 that cannot" in error.value.got
    left = loaded(path, tiny, strict=False)
    assert len(left.skipped) == 9
    assert {pair.prompt for pair in every(left)} >= {record["prompt"] for record in PAIRS}


def test_a_table_s_broken_rows_are_named(tiny: ResidualModel, tmp_path: Path) -> None:
    path = tmp_path / "pairs.csv"
    good = "w0 w5 w3,w0 w6 w3, w7, w8"
    path.write_text(f"clean,corrupted,answer,distractor\n{good}\nw0,w1\n\n{good.replace('w5', 'w9')}\n")
    with pytest.raises(PromptError, match=r"1 that cannot: .*pairs.csv line 3: 2 cells, 4 columns"):
        loaded(path, tiny)
    assert len(every(loaded(path, tiny, strict=False))) == 2


def test_a_large_file_is_sampled_evenly_and_says_so(
    tiny: ResidualModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "MOST_ROWS", 6)
    records = [{"subject": f"w{index}", "answer": f"w{index + 20}", "prompt": f"w0 w{index}"} for index in range(20)]
    task = loaded(jsonl(tmp_path, records), tiny)
    assert "an even sample of 6 of 20 records" in task.notes
    many = [rows.sampled((rows.Row(str(n), {}) for n in range(20)), seed)[0] for seed in range(600)]
    counts = [sum(row.where == str(n) for sample in many for row in sample) for n in range(20)]
    assert min(counts) > 120
    assert max(counts) < 240
    assert all([int(row.where) for row in sample] == sorted(int(row.where) for row in sample) for sample in many)


def test_a_line_without_end_is_passed_over(
    tiny: ResidualModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "_LONGEST", 300)
    path = tmp_path / "long.jsonl"
    path.write_text("\n".join([json.dumps(PAIRS[0]), "x" * 1000, *map(json.dumps, PAIRS[1:])]))
    task = loaded(path, tiny, strict=False)
    assert [str(problem) for problem in task.skipped] == [f"{path} line 2: longer than 300 bytes"]
    assert len(every(task)) == 5


def test_what_is_no_file_of_records_is_refused(tiny: ResidualModel, tmp_path: Path) -> None:
    (tmp_path / "pairs.parquet").write_bytes(b"PAR1 nothing")
    with pytest.raises(PromptError, match=r"a Parquet file; got .*pairs\.parquet"):
        loaded(tmp_path / "pairs.parquet", tiny)
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(PromptError, match=r"notes\.txt, which has no record"):
        loaded(tmp_path / "notes.txt", tiny)
    with pytest.raises(RequestError, match=r"a bundled task .* or a file of JSON"):
        loaded(tmp_path / "missing.csv", tiny)
    (tmp_path / "empty.jsonl").write_text("")
    with pytest.raises(PromptError, match=r"empty\.jsonl, which has no record"):
        loaded(tmp_path / "empty.jsonl", tiny)
    bad = jsonl(tmp_path, [{"prompt": "w1", "counterfactual": "w2"}], "bad.jsonl")
    with pytest.raises(PromptError, match=r"bad\.jsonl with the columns 'prompt', 'counterfactual': no answer"):
        loaded(bad, tiny, strict=False)
    with pytest.raises(RequestError, match="'someone/something' without the package"):
        load_task("someone/something", tiny)


@pytest.mark.real_weights
def test_eap_tables_of_token_ids_and_of_years(smollm2: ResidualModel, tmp_path: Path) -> None:
    ids = [smollm2.continuation(text)[0] for text in (" Paris", " Rome", " Berlin", " Madrid")]
    countries = ("France", "Italy", "Germany", "Spain")
    path = tmp_path / "capitals.csv"
    path.write_text(
        "clean,corrupted,country_idx,corrupted_country_idx\n"
        + "".join(
            f"The capital of {countries[at]} is,The capital of {countries[at - 1]} is,{ids[at]},{ids[at - 1]}\n"
            for at in range(4)
        )
    )
    task = load_task(path, smollm2, known=None)
    made = {pair.prompt: (pair.answers, pair.distractors) for pair in every(task)}
    assert made["The capital of Italy is"] == ((" Rome",), (" Paris",))
    years = tmp_path / "years.csv"
    war = "The war lasted from the year 17{} to the year 17"
    years.write_text(
        "clean,corrupted,correct_idx\n" + "".join(f"{war.format(y)},{war.format('01')},{y}\n" for y in (32, 45, 61))
    )
    (pair,) = (pair for pair in every(load_task(years, smollm2, known=None)) if "1745" in pair.prompt)
    assert (pair.answers, pair.distractors) == (tuple("56789"), tuple("0123"))
    path.write_text("clean,corrupted,correct_idx,incorrect_idx\nw,x,99999999,1\n")
    with pytest.raises(
        PromptError, match=r"capitals\.csv line 2: token id 99999999 is beyond .*another tokenizer's ids"
    ):
        load_task(path, smollm2, known=None)
