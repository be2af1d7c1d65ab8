"""A file that a verb writes takes no other thing's place."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from wheatstone import RunError
from wheatstone.cli._new_file import new_file


@pytest.mark.needs("pipes")
def test_only_a_regular_file_is_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name in ("pipe", "folder"):
        with pytest.raises(RunError, match="no regular file"), new_file(tmp_path / name, force=True):
            pass
    assert (tmp_path / "pipe").is_fifo()
    (tmp_path / "old").write_text("old")
    with pytest.raises(RunError, match="which exists"), new_file(tmp_path / "old", force=False):
        pass
    with new_file(tmp_path / "old", force=True) as partial:
        partial.write_text("new")
    assert {path.name: path.read_text() for path in tmp_path.iterdir() if path.is_file()} == {"old": "new"}
