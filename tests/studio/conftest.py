"""The studio as a client sees it, over the example runs: real discoveries, shipped with the package."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest
from browser import LOOKS, Light, Look, ended, served, write_large
from needs import chromium
from playwright.sync_api import Browser, Page, sync_playwright
from starlette.testclient import TestClient

from wheatstone.checkpoints._cache import ModelFiles
from wheatstone.studio import Library, create_app
from wheatstone.studio._jobs import Jobs
from wheatstone.studio._jobs_schema import Discover, Pair
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


@pytest.fixture(scope="module")
def browser() -> Generator[Browser, None, None]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs that tests may spoil."""
    folder = tmp_path_factory.mktemp("runs")
    write_large(folder / "large")
    shutil.copytree(EXAMPLES / "a-fact", folder / "damaged")
    (folder / "damaged" / "edges.parquet").write_bytes(b"PAR1")
    return folder


@pytest.fixture(scope="module")
def address(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Generator[str, None, None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WHEATSTONE_HOME", str(tmp_path_factory.mktemp("home")))
        with served(Library((folder,))) as address:
            yield address


USUAL = LOOKS if os.environ.get("STUDIO_LOOKS") == "all" else [LOOKS[0], LOOKS[-1]]
"""Every test of a page sees both sizes and both lights; `STUDIO_LOOKS=all` takes all four pairs of them."""


def _named(look: Look) -> str:
    return f"{look[0]}x{look[1]}-{look[2]}"


@pytest.fixture(params=USUAL, ids=_named)
def page(request: pytest.FixtureRequest, browser: Browser, address: str) -> Generator[Page, None, None]:
    """A page at one of the sizes, in one of the lights. It may ask no other host, and log no error."""
    with _watched(browser, address, *request.param) as page:
        yield page


@pytest.fixture
def changing(browser: Browser, address: str) -> Generator[Page, None, None]:
    """A page that begins at the first size and light, for a test that changes them."""
    with _watched(browser, address, *LOOKS[0]) as page:
        yield page


@contextmanager
def _watched(browser: Browser, address: str, width: int, height: int, light: Light) -> Generator[Page, None, None]:
    page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=light)
    page.set_default_timeout(20_000)
    asked: list[str] = []
    wrong: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    yield page
    page.close()
    assert wrong == []
    assert [url for url in asked if not url.startswith((address, "blob:", "data:"))] == []


@pytest.fixture(scope="module")
def pair(tiny_task: tuple[Path, Path]) -> Pair:
    record = json.loads(tiny_task[1].read_text().splitlines()[0])
    return Pair(
        prompt=record["prompt"],
        counterfactual=record["counterfactual"],
        answer=record["answers"][0],
        distractor=record["distractors"][0],
    )


@pytest.fixture(scope="module")
def discover(tiny_task: tuple[Path, Path], pair: Pair) -> Discover:
    return Discover(model=str(tiny_task[0]), pair=pair, method="eap", faithfulness=0.5)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def jobs(runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Generator[Jobs, None, None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WHEATSTONE_HOME", str(tmp_path_factory.mktemp("home")))
        jobs = Jobs(Library((runs,)))
        yield jobs
        jobs.close()


@pytest.fixture(scope="module")
def made(jobs: Jobs, discover: Discover) -> str:
    """A run that a job has made."""
    last = ended(jobs, jobs.submit(discover).id)
    assert last.state == "done", last
    assert last.run
    return last.run


@pytest.fixture(scope="module")
def with_smollm2(tmp_path_factory: pytest.TempPathFactory, smollm2_files: ModelFiles) -> Generator[Path, None, None]:
    """A cache folder with SmolLM2 in it and nothing else."""
    home = tmp_path_factory.mktemp("home")
    (home / "models").mkdir()
    (home / "models" / "smollm2-135m").symlink_to(smollm2_files.folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WHEATSTONE_HOME", str(home))
        yield home
