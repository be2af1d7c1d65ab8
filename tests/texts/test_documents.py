"""Documents: what is bundled is what its page says; what cannot be read is counted, not hidden."""

from __future__ import annotations

import re
import sys
from importlib.resources import files
from pathlib import Path

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
