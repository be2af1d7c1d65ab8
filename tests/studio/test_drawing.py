"""Figures are drawn once, apart from the server, and a fault of the renderer costs one answer."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Generator
from pathlib import Path

import pytest

from wheatstone._errors import ComputationError
from wheatstone.studio._drawing import Drawings
from wheatstone.studio._library import EXAMPLES

RUN = EXAMPLES / "a-fact"


@pytest.fixture(scope="module")
def drawings() -> Generator[Drawings, None, None]:
    drawings = Drawings()
    yield drawings
    drawings.close()


def test_a_figure_is_drawn_once(drawings: Drawings, monkeypatch: pytest.MonkeyPatch) -> None:
    async def many() -> list[bytes]:
        return await asyncio.gather(*(drawings.figure(RUN, "curve", "svg") for _ in range(60)))

    first, *others = asyncio.run(many())
    assert first.startswith(b"<svg")
    assert set(others) == {first}
    monkeypatch.setattr(drawings, "_ask", lambda _: pytest.fail("it is kept"))
    assert asyncio.run(drawings.figure(RUN, "curve", "svg")) == first


def test_the_end_of_the_process_costs_one_answer(drawings: Drawings) -> None:
    async def killed() -> None:
        drawing = asyncio.create_task(drawings.figure(RUN, "circuit", "png"))
        while not (drawings._process and drawings._process.pid):
            await asyncio.sleep(0.01)
        os.kill(drawings._process.pid, signal.SIGABRT)
        with pytest.raises(ComputationError, match="the end of the process"):
            await drawing
        assert (await drawings.figure(RUN, "circuit", "png")).startswith(b"\x89PNG")

    drawings.close()
    asyncio.run(killed())


def test_a_run_that_changed_is_drawn_again(drawings: Drawings, tmp_path: Path) -> None:
    for path in RUN.iterdir():
        if path.is_file():
            (tmp_path / path.name).write_bytes(path.read_bytes())
    before = asyncio.run(drawings.figure(tmp_path, "curve", "svg"))
    (tmp_path / "curve.parquet").write_bytes((tmp_path / "curve.parquet").read_bytes()[:-1] + b" ")
    with pytest.raises(Exception, match="expected"):
        asyncio.run(drawings.figure(tmp_path, "curve", "svg"))
    assert before.startswith(b"<svg")
