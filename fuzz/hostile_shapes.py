"""Files of every kind that a command reads, with one place of their structure replaced."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 5, 10**9, 2**62, 2**63, 10**30, 0.5, 1e308, float("nan"), "", " ", "x", "1000000000", "²",
    "\x1b[31m", "[/red]\n\u202e", "\ud800", "../../../etc/passwd", "/dev/zero", "a" * 5000, [], {}, [[]], [[[["x"]]]],
    {"": {}}, {"x": 10**9}, [None], [10**9] * 3, ["a", 5, None], [""] * 3, ["same", "same"], [float("inf")],
)  # fmt: skip
"""What a field may hold where something else is meant."""

_MODEL = (
    ("models", "check", "model"),
    ("discover", "--model", "model", "--task", "pairs.jsonl", "--known", "0", "--method", "eap", "--no-figures",
     "--allow-weak", "--out", "out"),
)  # fmt: skip
_TASKS = (
    ("tasks", "show", "{}", "--model", "model", "--known", "0"),
    ("discover", "--model", "model", "--task", "{}", "--known", "0", "--method", "eap", "--no-figures", "--allow-weak",
     "--out", "out"),
    ("verify", "run", "--prompts", "{}"),
)  # fmt: skip
_RUN = (
    ("runs", "show", "{}"),
    ("runs", "add", "{}"),
    ("verify", "{}", "--draws", "1"),
    ("explain", "{}", "--only", "lens", "--only", "attribution"),
    ("export", "{}", "--format", "graphml", "--out", "o.xml"),
    ("export", "{}", "--format", "svg", "--out", "o.svg"),
    ("export", "{}", "--format", "html", "--out", "o.html"),
    ("bits", "w1 w2 w3", "--model", "model", "--ablate", "{}"),
    ("neuron", "show", "m1.n3", "--model", "model", "--run", "{}", "--out", "n.html"),
)
READ: dict[str, tuple[tuple[str, ...], ...]] = {
    "model/config.json": _MODEL,
    "model/tokenizer.json": _MODEL,
    "model/tokenizer_config.json": _MODEL,
    "model/generation_config.json": _MODEL,
    "model/model.safetensors": _MODEL,
    "tiny.gguf": (("models", "check", "tiny.gguf"),),
    **{name: tuple(tuple(word.format(name) for word in words) for words in _TASKS)
       for name in ("pairs.jsonl", "pairs.json", "pairs.csv", "pairs.parquet")},
    "relation.json": (
        ("tasks", "show", "relation.json", "--model", "model", "--known", "0"),
        ("trace", "--task", "relation.json", "--model", "model", "--known", "0", "--allow-weak", "--out", "out"),
        ("study", "--relations", "relation.json", "--model", "model", "--train", "4", "--validation", "4",
         "--test", "4", "--steps", "2", "--no-figures", "--out", "out"),
        ("tasks", "show", "icl-2/relation.json", "--model", "model"),
    ),
    "lre.json": (("tasks", "show", "lre.json", "--model", "model", "--known", "0"),),
    "concepts.jsonl": (
        ("neuron", "probe", "--concept", "concepts.jsonl", "--model", "model", "--no-figures", "--out", "out"),),
    **{f"run/{name}": tuple(tuple(word.format("run") for word in words) for words in _RUN)
       for name in ("manifest.json", "circuit.json", "files.json", "verification.json")},
    "task-run/task.json": (("verify", "task-run", "--draws", "1"), ("explain", "task-run", "--only", "lens")),
    "neurons/manifest.json": (("runs", "show", "neurons"),),
    "scan/manifest.json": (("neuron", "show", "m1.n3", "--model", "model", "--scan", "scan", "--out", "n.html"),),
    "scan/neurons.safetensors": (("neuron", "show", "m1.n3", "--model", "model", "--scan", "scan", "--out", "n.html"),),
    "probes/manifest.json": (("neuron", "show", "m1.n3", "--model", "model", "--probes", "probes", "--out", "n.html"),),
    "selectivity/selectivity.json": (
        ("runs", "show", "selectivity"), ("export", "selectivity", "--format", "html", "--out", "out.html")),
    "study/study.json": (("selectivity", "study", "run", "--out", "out", "--no-figures"),),
    "sweep/sweep.json": (("runs", "show", "sweep"),),
    "sweep/sweep-settings.json": (
        ("sweep", "--task", "pairs.jsonl", "--model", "@model", "--known", "0", "--allow-weak", "--out", "sweep"),),
    "circuit.eap.json": (("import", "circuit.eap.json", "--model", "model", "--out", "out", "--no-figures"),),
    "text.whst": (("decompress", "text.whst", "--model", "model", "--out", "out"),),
    "run.zip": (("runs", "import", "run.zip", "--out", "out"),),
}  # fmt: skip
"""Each file, and the commands that read it."""


def spoiled(folder: Path, name: str, number: int) -> None:
    """Changes one thing in a file of a workspace; the number says what."""
    path, random = folder / name, Random(number)
    data = path.read_bytes()
    kind = path.suffix
    if kind == ".json":
        data = _json(json.loads(data), random)
    elif kind == ".jsonl":
        lines = data.decode().splitlines()
        at = random.randrange(len(lines))
        lines[at] = _json(json.loads(lines[at]), random).decode()
        data = "\n".join(lines).encode()
    elif kind == ".csv":
        rows = [line.split(";") for line in data.decode().splitlines()]
        row = random.choice(rows)
        row[random.randrange(len(row))] = str(random.choice(VALUES))
        data = "\n".join(map(";".join, rows)).encode("utf-8", "replace")
    elif kind == ".parquet":
        _parquet(path, random)
        return
    elif kind == ".safetensors":
        data = _safetensors(data, random)
    else:
        data = _bytes(data, random)
    if kind == ".whst":
        data = data[:-32] + sha256(data[:-32]).digest()
    path.write_bytes(data)


def _json(document: Any, random: Random) -> bytes:
    places = list(_places(document))
    parent, key = random.choice(places)
    change = random.random()
    if change < 0.1:
        del parent[key]
    elif change < 0.15 and isinstance(parent, dict):
        parent[str(random.choice(VALUES))[:50]] = parent.pop(key)
    else:
        parent[key] = random.choice(VALUES)
    return json.dumps(document).encode()


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    keys = list(value) if isinstance(value, dict) else range(min(len(value), 3)) if isinstance(value, list) else ()
    for key in keys:
        yield value, key
        yield from _places(value[key])


def _parquet(path: Path, random: Random) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = pq.read_table(path).to_pydict()
    name, rows = random.choice(list(columns)), len(next(iter(columns.values())))
    while True:
        try:
            value = random.choice(VALUES)
            pq.write_table(pa.table({**columns, name: [value] * rows}), path)
            return
        except (pa.ArrowException, OverflowError, UnicodeEncodeError):
            continue


def _safetensors(data: bytes, random: Random) -> bytes:
    """Another header: its length, a shape, offsets, a type."""
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    if random.random() < 0.2:
        return struct.pack("<Q", random.choice([0, 2**63, 2**40, length * 2, length - 1])) + data[8:]
    changed = _json(header, random)
    return struct.pack("<Q", len(changed)) + changed + data[8 + length :]


def _bytes(data: bytes, random: Random) -> bytes:
    """Counts in a binary header: some bytes replaced by large or negative numbers."""
    changed = bytearray(data)
    widths: list[Callable[[], bytes]] = [
        lambda: struct.pack("<Q", random.choice([0, 2**64 - 1, 2**62, 10**9])),
        lambda: struct.pack("<I", random.choice([0, 2**32 - 1, 2**31, 10**9])),
        lambda: bytes([random.randrange(256)]),
    ]
    new = random.choice(widths)()
    most = len(changed) if random.random() < 0.3 else min(len(changed), 200)
    at = random.randrange(max(1, most - len(new)))
    changed[at : at + len(new)] = new
    return bytes(changed)
