"""Time and size of `wheatstone compress` and `decompress` as people type them, and what each choice costs."""

from __future__ import annotations

import json
import lzma
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import zstandard
from compression_parts import english
from transformers import DynamicCache

from wheatstone.compression import Chunking
from wheatstone.compression._alphabet import Alphabet
from wheatstone.compression._coder import Encoder
from wheatstone.compression._lanes import Lanes, Start
from wheatstone.compression._mixing import Mixer
from wheatstone.compression._step import Llama, LlamaLanes
from wheatstone.models import ResidualModel
from wheatstone.texts import bundled_texts

Row = dict[str, Any]
CHOICES: dict[str, tuple[str, ...]] = {
    "as it is": (),
    "--exact": ("--exact",),
    "--lanes 1": ("--lanes", "1"),
    "--lanes 4": ("--lanes", "4"),
    "--lanes 16": ("--lanes", "16"),
    "--lanes 32": ("--lanes", "32"),
    "--window 256": ("--window", "256"),
}
SIZES = {1_000: ("as it is", "--exact"), 20_000: tuple(CHOICES)}


def speed(done: set[str]) -> Iterator[Row]:
    """The first bytes of the bundled books, there and back, on two threads."""
    with tempfile.TemporaryDirectory() as folder:
        source, code, back = (Path(folder) / name for name in ("in", "code", "back"))
        for size, choices in SIZES.items():
            source.write_bytes(english("books", size))
            for choice in choices:
                if (key := f"{size}/{choice}") in done:
                    continue
                load = os.getloadavg()[0]
                there = _timed("compress", source, code, *CHOICES[choice])
                again = _timed("decompress", code, back)
                yield {
                    "key": key,
                    "bytes": size,
                    "choice": choice,
                    "code_bytes": code.stat().st_size,
                    "wrong": int(back.read_bytes() != source.read_bytes()),
                    "load": load,
                    **{f"compress_{name}": value for name, value in there.items()},
                    **{f"decompress_{name}": value for name, value in again.items()},
                }


def _timed(verb: str, source: Path, out: Path, *options: str) -> dict[str, float]:
    """Seconds of the whole command, loading included: by the clock, and of all processors together."""
    script = str(Path(sys.executable).with_name("wheatstone"))
    command = [script, verb, str(source), "--out", str(out), "--force", "--threads", "2"]
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run([*command, "--json", *options], check=True, capture_output=True)
    after, ended = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    assert json.loads(done.stdout)["out"] == str(out)
    return {"s": ended - started, "cpu_s": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime}


def steps(model: ResidualModel, done: set[str], repeats: int = 8, length: int = 256) -> Iterator[Row]:
    """Processor time of a step after `length` tokens: with weights as they are, in 8 bits, and of mixing and coding."""
    torch.set_num_threads(1)
    llama, draw, start = Llama.of(model), np.random.default_rng(0), Start.of(model)
    assert llama is not None
    for lanes in (1, 5, 16):
        if f"{lanes}/{repeats}" in done:
            continue
        exact = Lanes(model, lanes, window=2 * length, overlap=length, start=start)
        exact.cache = DynamicCache()
        with torch.inference_mode():
            before = torch.from_numpy(draw.integers(0, model.vocabulary, (lanes, length)))
            model.module(before, past_key_values=exact.cache, use_cache=True, logits_to_keep=1)
        rounded = LlamaLanes(llama, lanes, 2 * length, window=2 * length, overlap=length, start=start.token)
        rounded.position = length  # zeros take as long to look at as tokens do
        mixer, encoder = Mixer(model.vocabulary, lanes), Encoder(model.vocabulary, lanes)
        times: dict[str, list[float]] = {"exact_s": [], "rounded_s": [], "coding_s": []}
        for repeat in range(repeats + 1):
            clock = [time.thread_time()]
            exact.probabilities()
            clock.append(time.thread_time())
            p = rounded.probabilities().numpy()
            clock.append(time.thread_time())
            symbols = p.argmax(-1).astype(np.int32)
            encoder.put(symbols, mixer.mix(p))
            mixer.learn(symbols)
            clock.append(time.thread_time())
            for predictions in (exact, rounded):
                predictions.see(torch.from_numpy(symbols.astype(np.int64)))
            if repeat:  # the first run is slower
                for name, took in zip(times, np.diff(clock).tolist(), strict=True):
                    times[name].append(took)
        yield {"key": f"{lanes}/{repeats}", "lanes": lanes, "length": length, "load": os.getloadavg()[0], **times}


def rounding(model: ResidualModel, done: set[str], pieces: int = 4, length: int = 256) -> Iterator[Row]:
    """What weights in 8 bits cost: bits of pieces spread over books and documentation, by both ways of computing."""
    torch.set_num_threads(1)
    llama, start = Llama.of(model), Start.of(model)
    assert llama is not None
    alphabet = Alphabet(model.reader, model.vocabulary)
    for text in ("books", "docs"):
        if text in done:
            continue
        symbols = np.array(alphabet.symbols(english(text, 300_000)).symbols, np.int64)
        firsts = np.linspace(1000, len(symbols) - 2 * length, pieces).astype(int)
        rows = torch.from_numpy(np.stack([symbols[first : first + length] for first in firsts]))
        rounded = LlamaLanes(llama, pieces, length, window=length, overlap=1, start=start.token)
        costs = torch.zeros(pieces, dtype=torch.float64)
        for now in rows.T:
            costs -= rounded.probabilities().double().log2()[torch.arange(pieces), now]
            rounded.see(now)
        with torch.inference_mode():
            read = torch.cat((torch.full((pieces, 1), start.token), rows[:, :-1]), dim=1)
            logits = model.module(read, use_cache=False).logits.double().log_softmax(-1) / np.log(2)
        exact = -logits.gather(-1, rows[..., None])[..., 0].sum(1)
        yield {"key": text, "tokens": length, "exact_bits": exact.tolist(), "rounded_bits": costs.tolist()}


def general(done: set[str]) -> Iterator[Row]:
    """What LZMA and Zstandard make of the bundled texts, cut into blocks of several sizes."""
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "dict_size": Chunking().block}]
    packer = zstandard.ZstdCompressor(
        compression_params=zstandard.ZstdCompressionParameters.from_level(22, write_content_size=0, write_checksum=0)
    )
    own = [path.read_bytes() for path in sorted(Path(sys.prefix).rglob("*.so"), key=str)[:40]]
    data = {"bundled texts": [text.text.encode() for text in bundled_texts()], "shared libraries": own}
    for kind, files in data.items():
        for size in (1_000, 10_000, 100_000):
            blocks = [file[:size] for file in files if len(file) >= size and f"{kind}/{size}" not in done]
            packed = [
                (len(lzma.compress(block, lzma.FORMAT_RAW, filters=filters)), len(packer.compress(block)))
                for block in blocks
            ]
            if packed:
                yield {
                    "key": f"{kind}/{size}",
                    "kind": kind,
                    "size": size,
                    "blocks": len(packed),
                    "lzma": sum(one for one, _ in packed),
                    "zstd": sum(other for _, other in packed),
                    "zstd_smaller": sum(other < one for one, other in packed),
                    "either": sum(min(pair) for pair in packed),
                }
