"""What comes back from the coder, byte for byte: random bytes, every bundled text, and files through the commands."""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from wheatstone.compression import Chunking
from wheatstone.compression._alphabet import Alphabet
from wheatstone.compression._blocks import BlockCoder
from wheatstone.compression._lanes import Start
from wheatstone.compression._step import Llama
from wheatstone.models import ResidualModel
from wheatstone.texts import bundled_texts

Row = dict[str, Any]
MANY_LANES = Chunking(window=16, overlap=4, lanes=256, stretch=8)
TOGETHER = 5
COMMANDS = "docs/docs/intro/contributing.txt"
"""The bundled text that goes through the commands; beside it, random files."""


def random_files(model: ResidualModel, files: int, done: set[str]) -> Iterator[Row]:
    """Random files of 0 to 4 kB of all byte values, `TOGETHER` to a row."""
    draw = random.Random(0)
    for first in range(0, files, TOGETHER):
        data = [draw.randbytes(draw.randrange(4097)) for _ in range(min(TOGETHER, files - first))]
        if (key := f"{model.id}/from {first}") not in done:
            yield {"key": key, **_there_and_back(model, data)}


def texts(model: ResidualModel, of: ResidualModel) -> Iterator[Row]:
    """Every bundled text, whole; and whether the symbols that another model's tokenizer makes of it join to it."""
    data = [text.text.encode() for text in bundled_texts()]
    alphabet = Alphabet(of.reader, of.vocabulary)
    found = [alphabet.symbols(text) for text in data]
    unjoined = sum(
        alphabet.join(one.symbols, prefixed=one.prefixed) != text for one, text in zip(found, data, strict=True)
    )
    yield {"key": f"{model.id}/{len(data)}", "unjoined": unjoined, "of": of.id, **_there_and_back(model, data)}


def commands(model: str, files: int, done: set[str]) -> Iterator[Row]:
    """`wheatstone compress` and `decompress` as people type them: a bundled text, and random files of 0 to 4 kB."""
    draw = random.Random(1)
    data = {f"random {number}": draw.randbytes(draw.randrange(4097)) for number in range(files)}
    data |= {text.name: text.text.encode() for text in bundled_texts() if text.name == COMMANDS}
    with tempfile.TemporaryDirectory() as folder:
        source, code, back = (Path(folder) / name for name in ("in", "code", "back"))
        for name, content in data.items():
            if (key := f"{model}/{name}") in done:
                continue
            source.write_bytes(content)
            compress_s = _seconds("compress", source, code, model)
            decompress_s = _seconds("decompress", code, back, model)
            yield {
                "key": key,
                "bytes": len(content),
                "code_bytes": code.stat().st_size,
                "wrong": int(back.read_bytes() != content),
                "compress_s": compress_s,
                "decompress_s": decompress_s,
            }


def _seconds(verb: str, source: Path, out: Path, model: str) -> float:
    started = time.perf_counter()
    command = [str(Path(sys.executable).with_name("wheatstone")), verb, str(source), "--out", str(out)]
    subprocess.run([*command, "--model", model, "--force", "--threads", "1"], check=True, capture_output=True)
    return time.perf_counter() - started


def _there_and_back(model: ResidualModel, files: Iterable[bytes]) -> Row:
    """Coded by the model even where storing is smaller, every other one with mixing."""
    silent: Callable[[int], None] = lambda _: None  # noqa: E731
    count, size, wrong, symbols, started = 0, 0, 0, 0, time.process_time()
    with ThreadPoolExecutor(1) as pool:
        alphabet = Alphabet(model.reader, model.vocabulary)
        start, llama = Start.of(model), Llama.of(model)
        coders = [BlockCoder(model, alphabet, start, MANY_LANES, mixing, pool, llama) for mixing in (False, True)]
        for count, data in enumerate(files, start=1):
            coder = coders[(count - 1) % 2]
            block = coder.coded(data, silent)[0]
            wrong += coder.decode(block, silent) != data
            size, symbols = size + len(data), symbols + block.symbols
    return {
        "model": model.id,
        "files": count,
        "bytes": size,
        "wrong": wrong,
        "symbols": symbols,
        "cpu_s": time.process_time() - started,
    }
