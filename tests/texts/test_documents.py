"""Documents: what is bundled is what its page says; what cannot be read is counted, not hidden."""

from __future__ import annotations

import json
import re
import sys
from importlib.resources import files
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import wheatstone as ws
from wheatstone.texts import BUNDLED, Skipped, bundled_texts, read_documents


def test_the_bundled_texts_are_what_their_page_says() -> None:
    page = files("wheatstone.texts").joinpath("data/README.md").read_text(encoding="utf-8")
    told = {
        kind: (int(texts), int(size.replace(",", "")))
        for kind, texts, size in re.findall(r"^\| (\w+) \| (\d+) \| ([\d,]+) \|", page, re.MULTILINE)
    }
    found: dict[str, tuple[int, int]] = {}
    for text in bundled_texts():
        count, size = found.get(text.kind, (0, 0))
        found[text.kind] = count + 1, size + len(text.text.encode())
    assert found == told
    assert sum(size for _, size in found.values()) >= 3_000_000
    assert len({text.name for text in bundled_texts()}) == len(bundled_texts())


def test_duplicates_empty_files_and_other_bytes_are_left_out_and_counted(tmp_path: Path) -> None:
    for name, data in {"a": b"one", "b": b"one", "c": b" \n", "d": b"\xff\xfe", "e/f": b"two"}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    skipped = Skipped()
    found = list(read_documents([str(tmp_path), str(tmp_path / "a")], skipped))
    assert [Path(document.name).name for document in found] == ["a", "f"]
    assert skipped.counts == {"seen before": 2, "empty": 1, "not UTF-8": 1}


def test_bundled_is_a_source() -> None:
    assert next(read_documents([BUNDLED])) == bundled_texts()[0]


@pytest.mark.parametrize("source", ["nowhere.txt", "./a/b", "/no/such"])
def test_a_source_that_is_not_there_is_refused(source: str) -> None:
    with pytest.raises(ws.RequestError, match="a file, a folder"):
        next(read_documents([source]))


def test_a_dataset_needs_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ws.RequestError, match=r"org/name.*pip install 'wheatstone\[datasets\]'"):
        next(read_documents(["org/name"]))


ROWS = [{"text": "one", "body": "un"}, {"text": "two", "body": "deux"}, {"text": "one", "body": "trois"}]


def write_table(path: Path, rows: list[dict[str, str]]) -> Path:
    """Rows in the form that the ending says."""
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif path.suffix in (".jsonl", ".ndjson"):
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    else:
        between = "," if path.suffix == ".csv" else "\t"
        lines = [between.join(values) for values in ([*rows[0]], *(row.values() for row in rows))]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("ending", ["jsonl", "ndjson", "csv", "tsv", "parquet", "CSV"])
def test_the_rows_of_a_table_are_documents(ending: str, tmp_path: Path) -> None:
    """By their default column and another, alone and in a folder; what a row says twice is left out."""
    path = write_table(tmp_path / f"corpus.{ending}".replace("CSV", "csv"), ROWS)
    path = path.rename(tmp_path / f"corpus.{ending}")
    skipped = Skipped()
    for source in (path, tmp_path):
        assert [one.text for one in read_documents([source], skipped)] == ["one", "two"]
        assert [one.text for one in read_documents([f"{source}:body"])] == ["un", "deux", "trois"]
    assert skipped.counts == {"seen before": 2}
    names = [one.name for one in read_documents([f"{path}:body"])]
    assert len(set(names)) == 3
    assert all(str(path) in name for name in names)


def test_a_column_that_a_table_lacks(tmp_path: Path) -> None:
    """Is refused where the table was named, and counted in a folder of all sorts."""
    path = write_table(tmp_path / "corpus.csv", [{"a": "1", "b": "2"}])
    (tmp_path / "plain.txt").write_text("plain")
    with pytest.raises(ws.RequestError, match=r"column 'text'; got .*'a', 'b'; name one .*corpus.csv:COLUMN"):
        list(read_documents([path]))
    skipped = Skipped()
    assert [one.text for one in read_documents([tmp_path], skipped)] == ["plain"]
    assert skipped.counts == {"table without a column text": 1}
    with pytest.raises(ws.RequestError, match=r"a table to take the column 'b' of"):
        list(read_documents([f"{tmp_path / 'plain.txt'}:b"]))


def test_lines_that_cannot_be_read_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "corpus.jsonl"
    path.write_text('{"text": "one"}\n{"text": 5}\nnonsense\n{"other": "x"}\n{"text": "two"}\n')
    skipped = Skipped()
    assert [one.text for one in read_documents([path], skipped)] == ["one", "two"]
    assert skipped.counts == {"row without a text": 2, "line that cannot be read": 1}


def test_a_file_whose_name_has_a_colon_is_a_file(tmp_path: Path) -> None:
    path = tmp_path / "a:b"
    path.write_text("whole")
    assert [one.text for one in read_documents([path])] == ["whole"]
