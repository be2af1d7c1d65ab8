"""The studio as a client sees it, over the example runs: real discoveries, shipped with the package."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from wheatstone.studio import Library, create_app
from wheatstone.studio._library import EXAMPLES, identity

ADDRESS = "http://127.0.0.1:8765"


@pytest.fixture
def runs_folder(own_home: Path, tmp_path: Path) -> Path:
    """A folder with one run that a test may spoil, beside an empty catalogue."""
    shutil.copytree(EXAMPLES / "a-fact", tmp_path / "runs" / "mine")
    return tmp_path / "runs"


@pytest.fixture
def mine(runs_folder: Path) -> str:
    """Its name in the API."""
    return f"/api/v1/runs/{identity(str(runs_folder / 'mine'))}"


@pytest.fixture
def client(runs_folder: Path, tmp_path: Path) -> TestClient:
    """The API, without the web app."""
    return TestClient(create_app(Library((runs_folder,)), built=tmp_path), base_url=ADDRESS)
