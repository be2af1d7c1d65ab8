"""`wheatstone compress`, `decompress` and `bits` as people type them."""

from __future__ import annotations

import io
import os
import random
import resource
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
import torch
from commands import Cli, Refused
from needs import require

import wheatstone as ws
from wheatstone.circuits import Circuit, ModelInfo
from wheatstone.compression import Chunking, compress


@pytest.fixture
def model(tiny_task: tuple[Path, Path]) -> str:
    return str(tiny_task[0])


def test_there_and_back(cli: Cli, model: str, tmp_path: Path) -> None:
    data, code, back = tmp_path / "in.txt", tmp_path / "in.whst", tmp_path / "back.txt"
    data.write_bytes(b"w1 w2 w3 \xff\x00")
    done = cli("compress", data, "--out", code, "--model", model, "--json")
    assert done.document["bytes_in"] == 11
    assert done.document["bytes_out"] == code.stat().st_size
    assert cli("decompress", code, "--out", back, "--model", model).code == 0
    assert back.read_bytes() == data.read_bytes()


def test_a_file_in_the_way_is_kept(cli: Cli, refused: Refused, model: str, tmp_path: Path) -> None:
    data = tmp_path / "in.txt"
    data.write_text("w1")
    assert "expected a new file" in refused("compress", data, "--out", data, "--model", model)
    assert data.read_text() == "w1"


def test_what_is_not_ours_is_refused_and_nothing_written(refused: Refused, model: str, tmp_path: Path) -> None:
    data, out = tmp_path / "in.txt", tmp_path / "out.txt"
    data.write_text("just a text")
    assert "that `wheatstone compress` made" in refused("decompress", data, "--out", out, "--model", model)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.txt"]


def test_a_huge_file_is_refused_with_an_estimate(refused: Refused, model: str, tmp_path: Path) -> None:
    data = tmp_path / "huge"
    with data.open("wb") as file:
        file.truncate(10 * 10**9)
    said = refused("compress", data, "--out", tmp_path / "out", "--model", model)
    assert "10,000,000,000 bytes, about" in said
    assert "hours" in said
    assert [path.name for path in tmp_path.iterdir()] == ["huge"]


def test_bits_of_a_text_and_its_page(cli: Cli, model: str, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    done = cli("bits", "w1 <w2>", "--model", model, "--out", page, "--json")
    assert done.document["bytes"] == 7
    assert done.document["bits_per_byte"] > 0
    assert "xz -9e" in done.document["beside"]
    assert "http" not in page.read_text(encoding="utf-8").replace("http-equiv", "")
    assert "w2" in page.read_text(encoding="utf-8")


def test_bits_with_a_circuit_ablated(cli: Cli, refused: Refused, model: str, tmp_path: Path) -> None:
    loaded = ws.load_model(model)
    edges = torch.from_numpy(loaded.graph.valid)
    Circuit.of_mask(ModelInfo.of(loaded), edges, ablation="counterfactual", metric="kl").save(tmp_path / "circuit.json")
    page = tmp_path / "page.html"
    said = ("bits", "w1 w2 w3", "--model", model, "--ablate", tmp_path, "--counterfactual", "w4 w5 w6")
    found = cli(*said, "--out", page, "--json").document
    assert found["first"] == "w1"
    assert [row["token"] for row in found["tokens"]] == ["w2", "w3"]
    assert found["worth"] == pytest.approx(found["bits"]["ablated"] - found["bits"]["intact"])
    assert f"{len(edges[edges])} edges" in page.read_text(encoding="utf-8")
    assert ">w1</span>" in page.read_text(encoding="utf-8")
    assert "as many tokens" in refused(*said[:-1], "w4")
    assert "--ablate RUN" in refused("bits", "w1", "--model", model, "--counterfactual", "w2")


@contextmanager
def no_room(folder: Path) -> Generator[None]:
    """A disk of 4 kB, really full when that much is written."""
    require("small disk")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k", "none", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@contextmanager
def small_files(_: Path) -> Generator[None]:
    """No file may grow beyond 512 bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (512, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize(("verb", "size", "lack"), [("compress", 700, small_files), ("decompress", 6000, no_room)])
def test_a_full_disk_is_said_and_nothing_left(
    cli: Cli, model: str, tmp_path: Path, verb: str, size: int, lack: Callable[[Path], AbstractContextManager[None]]
) -> None:
    data, folder = random.Random(0).randbytes(size), tmp_path / "full"  # stored as it is: more than may be written
    folder.mkdir()
    source = tmp_path / "in"
    with source.open("wb") as file:
        if verb == "compress":
            file.write(data)
        else:
            many = Chunking(window=16, overlap=4, lanes=256, stretch=8)
            compress(ws.load_model(model), io.BytesIO(data), file, chunking=many)
    with lack(folder):
        done = cli(verb, source, "--out", folder / "out", "--model", model)
        assert list(folder.iterdir()) == []
    assert done.code == 1, done
    said = done.err.splitlines()[-1]
    assert f"expected room to write {folder / 'out'}; got" in said
    assert "free some space, or choose another --out" in said


def test_ctrl_c_leaves_nothing(cli: Cli, model: str, tmp_path: Path) -> None:
    data, folder = tmp_path / "in.txt", tmp_path / "out"
    data.write_text(" ".join(f"w{at % 40}" for at in range(20_000)))
    folder.mkdir()

    def interrupt() -> None:
        while not list(folder.glob(".*/work/out")):  # until the file is being written
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    watcher = threading.Thread(target=interrupt, daemon=True)
    watcher.start()
    done = cli("compress", data, "--out", folder / "out", "--model", model)
    watcher.join()
    assert done.code == 130, done
    assert "interrupted; nothing unfinished was left behind" in done.err
    assert list(folder.iterdir()) == []
