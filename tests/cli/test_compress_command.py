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
from tiny import make_tiny

import wheatstone as ws
from wheatstone.circuits import Circuit, ModelInfo
from wheatstone.compression import Chunking, bits, compress


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


def test_an_estimate_writes_nothing(cli: Cli, refused: Refused, model: str, tmp_path: Path) -> None:
    data = tmp_path / "in.txt"
    data.write_bytes(random.Random(0).randbytes(3000))
    found = cli("compress", data, "--estimate", "--model", model, "--json").document
    assert found["bytes_in"] == 3000
    assert not found["by_model"]  # noise is stored as it is
    assert 3000 < found["bytes_out"] < 3250
    assert "by LZMA or as they are" in cli("compress", data, "--estimate", "--model", model).out
    assert [path.name for path in tmp_path.iterdir()] == ["in.txt"]
    assert "--out FILE; got none" in refused("compress", data, "--model", model)


@pytest.mark.parametrize("options", [("--exact",), ("--lanes", "3"), ("--window", "16", "--no-mixing")])
def test_options_are_in_the_file(cli: Cli, model: str, tmp_path: Path, options: tuple[str, ...]) -> None:
    data, code, back = tmp_path / "in.txt", tmp_path / "in.whst", tmp_path / "back.txt"
    data.write_text("w1w2w3w4" * 3)
    assert cli("compress", data, "--out", code, "--model", model, *options).code == 0
    assert cli("decompress", code, "--out", back, "--model", model).code == 0
    assert back.read_bytes() == data.read_bytes()


@pytest.mark.parametrize(
    ("option", "number"), [("--lanes", 0), ("--lanes", 1025), ("--window", 15), ("--window", 65536)]
)
def test_a_number_out_of_range_is_refused(refused: Refused, option: str, number: int, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("w1")
    said = refused("compress", tmp_path / "in.txt", "--out", tmp_path / "out", option, number)
    assert option in said
    assert "range" in said


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


def test_bits_of_several_models_are_one_table_and_one_page(
    cli: Cli, refused: Refused, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    other, page = tmp_path / "other", tmp_path / "page.html"
    make_tiny("llama", torch.float32, layers=1).module.save_pretrained(other)
    ws.load_model(model).tokenizer.save_pretrained(other)
    text = ("bits", "w1 w2 w3 w2 w1")
    alone = [cli(*text, "--model", one, "--json").document for one in (model, other)]
    both = cli(*text, "--model", model, "--model", other, "--out", page, "--json")
    assert both.document["bits"] == alone[0]["bits"]
    assert [row["bits"] for row in both.document["models"]] == [one["bits"] for one in alone]
    shown = cli(*text, "--model", model, "--model", other).out
    rows = [line.split() for line in shown.splitlines() if line.split()[:1] in ([model], [str(other)])]
    assert [len(row) for row in rows] == [6, 6], shown  # name, bits, a byte, tokens, a token, weights
    assert [float(row[1]) for row in rows] == sorted(round(one["bits"], 1) for one in alone)
    html = page.read_text(encoding="utf-8")
    highest = [max(one.surprise) for one in (bits(ws.load_model(each), text[1]) for each in (model, other))]
    assert all(f"{cost:.1f}" in html for cost in highest)
    assert html.count("Where the text surprised") == 2
    assert 'href="#t1-' in html
    said = refused(*text, "--model", model, "--model", other, "--ablate", tmp_path)
    assert "expected one --model with --ablate" in said
    assert "models to compare from 1 to 20" in refused(*text, *["--model", model] * 21)


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
