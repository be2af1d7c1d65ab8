"""The package `datasets` reads real files through `read_documents`; only where an id leads is replaced, by a folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import datasets
import pytest

from wheatstone import RequestError
from wheatstone.texts import Skipped, read_documents

TEXTS = ["The first text.", "A second one.", "The first text.", "  "]


@pytest.fixture
def local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`mine/texts` is a folder of JSON Lines and Parquet here."""
    folder = tmp_path / "texts"
    folder.mkdir()
    rows = [{"id": at, "text": text, "other": f"other {at}"} for at, text in enumerate(TEXTS)]
    (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    load = datasets.load_dataset

    def here(name: str, **more: Any) -> Any:
        return load(str(folder) if name == "mine/texts" else name, **more)

    monkeypatch.setattr(datasets, "load_dataset", here)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    return folder


def test_rows_are_documents(local: Path) -> None:
    skipped = Skipped()
    found = list(read_documents(["mine/texts"], skipped))
    assert [(one.name, one.text) for one in found] == [("mine/texts/0", TEXTS[0]), ("mine/texts/1", TEXTS[1])]
    assert skipped.counts == {"seen before": 1, "empty": 1}


def test_another_column(local: Path) -> None:
    assert [one.text for one in read_documents(["mine/texts:other"])] == [f"other {at}" for at in range(len(TEXTS))]


def test_parquet(local: Path) -> None:
    table = datasets.Dataset.from_dict({"text": TEXTS[:2]})
    (local / "train.jsonl").unlink()
    table.to_parquet(str(local / "train.parquet"))
    assert [one.text for one in read_documents(["mine/texts"])] == TEXTS[:2]


def test_a_column_that_is_not_there_is_named(local: Path) -> None:
    with pytest.raises(RequestError, match="'id', 'text', 'other'"):
        list(read_documents(["mine/texts:body"]))


def test_a_dataset_that_is_not_there_is_one_line(local: Path) -> None:
    with pytest.raises(RequestError, match="check its id and the network") as refused:
        list(read_documents(["nobody/has-this"]))
    assert "\n" not in str(refused.value)
