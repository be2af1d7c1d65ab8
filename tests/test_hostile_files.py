"""Whatever a file holds, a reader returns or says in one line what is wrong with it: no traceback, no hang."""

from __future__ import annotations

import ast
import shutil
from datetime import timedelta
from pathlib import Path
from random import Random

import pytest
from hostile import DRAWING, LOADING, OF_A_RUN, OF_OTHERS, Reader, attempt, command, make_others, mend, spoil
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wheatstone import RunError
from wheatstone._json import load_json
from wheatstone.runs._folder import read_json
from wheatstone.studio._library import EXAMPLES

SOURCES = sorted(Path(__file__).parents[1].joinpath("src/wheatstone").rglob("*.py"))
PATIENCE = timedelta(minutes=2)  # a hang, however busy the machine


def some(examples: int) -> settings:
    return settings(
        max_examples=examples,
        deadline=PATIENCE,
        database=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shutil.copytree(EXAMPLES / "a-fact", tmp_path_factory.mktemp("hostile") / "runs" / "run")


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("others")
    make_others(folder, EXAMPLES / "a-or-an")
    return folder


@pytest.fixture(scope="module")
def loadable(tiny_task: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a task on a tiny model, explained."""
    run = tmp_path_factory.mktemp("loadable") / "run"
    words = ("--task", tiny_task[1], "--known", 0, "--method", "eap", "--no-figures", "--out", run)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("WHEATSTONE_HOME", str(run.parent / "home"))
        assert command("discover", "--model", tiny_task[0], *words) == 0
        assert command("explain", run, "--only", "lens") == 0
    return run


def check(reader: Reader, folder: Path, seed: int) -> None:
    before = spoil(folder, reader, Random(seed))
    try:
        error = attempt(lambda: reader.read(folder))
        assert error is None or str(error).encode()
    finally:
        mend(before)


@pytest.mark.usefixtures("own_home")
@given(reader=st.sampled_from(OF_A_RUN), seed=st.integers(0, 2**32))
@some(30)
def test_a_run_s_readers_return_or_refuse(reader: Reader, run: Path, seed: int) -> None:
    check(reader, run, seed)


@given(reader=st.sampled_from(DRAWING), seed=st.integers(0, 2**32))
@some(3)
def test_what_draws_returns_or_refuses(reader: Reader, run: Path, seed: int) -> None:
    check(reader, run, seed)


@pytest.mark.usefixtures("own_home")
@given(reader=st.sampled_from(LOADING), seed=st.integers(0, 2**32))
@some(6)
def test_what_loads_the_model_returns_or_refuses(reader: Reader, loadable: Path, seed: int) -> None:
    check(reader, loadable, seed)


@given(reader=st.sampled_from(OF_OTHERS), seed=st.integers(0, 2**32))
@some(60)
def test_readers_of_other_files_return_or_refuse(reader: Reader, others: Path, seed: int) -> None:
    check(reader, others, seed)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"a":' * 100_000,
        "[" * 65 + "]" * 65,
        '{"a": NaN}',
        '{"a": -Infinity}',
        '{"a": 1e999}',
        f'{{"a": {10**30}}}',
        '{"a": "\\ud800"}',
        '{"a": "\\udc00x"}',
    ],
    ids=lambda text: text[:20],
)
def test_json_beyond_the_bounds_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(RunError, match=r"a run folder with a manifest\.json"):
        read_json(tmp_path, "manifest.json")


def test_json_within_them_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("[" * 64 + '"\\ud83d\\ude00", 9223372036854775807, -1.5e300' + "]" * 64)
    found = load_json(tmp_path / "a.json")
    for _ in range(63):
        (found,) = found
    assert found == ["😀", 2**63 - 1, -1.5e300]


@pytest.mark.usefixtures("own_home")
def test_a_pipe_in_place_of_a_file_does_not_hang(run: Path, tmp_path: Path) -> None:
    import os

    folder = shutil.copytree(run, tmp_path / "run")
    for name in ("manifest.json", "curve.parquet"):
        (folder / name).unlink()
        os.mkfifo(folder / name)
    assert command("runs", "show", folder) == 2
    assert attempt(lambda: OF_A_RUN[4].read(folder)) is not None


def test_nothing_is_unpickled_or_evaluated() -> None:
    assert len(SOURCES) > 300
    for path in SOURCES:
        check_source(path)


def check_source(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    modules = {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    modules |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert not modules & {"pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
    called = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    assert not called & {"torch.load", "eval", "exec"}, path
