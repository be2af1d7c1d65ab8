"""The tables of a corpus scan, each file put in place whole.

Row groups are small and of known size, so that a reader fetches the few rows it wants by their number.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Shaped
from torch import Tensor

from wheatstone._disk import write_tensors
from wheatstone._parquet import parquet_writer, read_parquet, write_parquet
from wheatstone._path import StrPath
from wheatstone.neurons._scan import NeuronScan
from wheatstone.neurons._scan_bins import BINS
from wheatstone.neurons._scan_layer import PLACE_BITS, LayerStatistics
from wheatstone.neurons._scan_windows import Window
from wheatstone.texts import Document

WINDOW_ROWS, DOCUMENT_ROWS = 32, 512
"""Rows of one row group."""
NEURON_ROWS = 64
"""Neurons whose examples are one row group; a layer begins with a new one."""
KINDS = ("max", "min", "bin")
_WINDOWS = pa.schema(
    [("window", pa.int64()), ("document", pa.int64()), ("start", pa.int64()), ("ids", pa.list_(pa.int32()))]
)
_DOCUMENTS = pa.schema(
    [("document", pa.int64()), ("name", pa.string()), ("kind", pa.string()), ("language", pa.string())]
)
_EXAMPLES = pa.schema(
    [
        ("layer", pa.int16()),
        ("neuron", pa.int32()),
        ("kind", pa.dictionary(pa.int8(), pa.string())),
        ("rank", pa.int16()),
        ("activation", pa.float32()),
        ("document", pa.int64()),
        ("window", pa.int64()),
        ("position", pa.int32()),
    ]
)


def shard_path(run: StrPath, table: str, number: int) -> Path:
    """Where a file of `windows` or `documents` is."""
    return Path(run) / table / f"{number:05}.parquet"


def write_windows(run: Path, number: int, first: int, windows: Sequence[Window]) -> None:
    """Writes a file of windows, of which the first has this number."""
    columns = [
        range(first, first + len(windows)),
        [window.document for window in windows],
        [window.start for window in windows],
        [window.ids for window in windows],
    ]
    _write_shard(shard_path(run, "windows", number), columns, _WINDOWS, WINDOW_ROWS)


def write_documents(run: Path, number: int, first: int, documents: Sequence[Document]) -> None:
    """Writes a file of documents, of which the first has this number."""
    columns = [
        range(first, first + len(documents)),
        [document.name for document in documents],
        [document.kind for document in documents],
        [document.language for document in documents],
    ]
    _write_shard(shard_path(run, "documents", number), columns, _DOCUMENTS, DOCUMENT_ROWS)


def _write_shard(path: Path, columns: Sequence[Sequence[Any]], schema: pa.Schema, rows: int) -> None:
    path.parent.mkdir(exist_ok=True)
    with whole(path) as partial:
        write_parquet(pa.table([list(column) for column in columns], schema=schema), partial, row_group_size=rows)


def write_neurons(run: Path, scan: NeuronScan) -> None:
    """Writes moments and histograms, by layer and name: `m3.mean`, `m3.histogram`, …"""
    with whole(run / "neurons.safetensors") as partial:
        write_tensors(
            {
                f"m{layer}.{name}": values.cpu().contiguous()
                for layer, found in scan.layers.items()
                for name, values in moments_of(found).items()
            },
            partial,
        )
        partial.chmod(0o644)  # as every other file


def moments_of(found: LayerStatistics) -> dict[str, Tensor]:
    """Moments, extremes and histogram of every neuron of a layer, by name."""
    mean, m2, m3, m4 = found.arrays["moments"]
    variance = m2 / found.count
    return {
        "mean": mean,
        "variance": variance,
        "skewness": m3 / found.count / variance**1.5,
        "kurtosis": m4 / found.count / variance**2,
        "max": found.arrays["end"][0, 0],
        "min": -found.arrays["end"][1, 0],
        "histogram": found.arrays["histogram"].T,
    }


def write_examples(run: Path, scan: NeuronScan, shards: int) -> None:
    """Writes the examples of all neurons, sorted by neuron."""
    files = [shard_path(run, "windows", number) for number in range(shards)]
    documents = np.concatenate([read_parquet(file, columns=["document"])[0].to_numpy() for file in files])
    with whole(run / "examples.parquet") as partial, parquet_writer(partial, _EXAMPLES) as writer:
        for layer, found in scan.layers.items():
            neurons = found.arrays["moments"].shape[1]
            kinds, ranks, values, keys = by_neuron(found)
            for first in range(0, neurons, NEURON_ROWS):
                some = slice(first, first + NEURON_ROWS)
                neuron, column = (keys[some] != torch.iinfo(torch.int64).max).nonzero()
                place = keys[some][neuron, column] & (1 << PLACE_BITS) - 1
                windows = place // scan.width
                rows = pa.table(
                    [
                        np.full(len(neuron), layer, np.int16),
                        (neuron + first).astype(np.int32),
                        pa.DictionaryArray.from_arrays(kinds[column], pa.array(KINDS)),
                        ranks[column],
                        values[some][neuron, column],
                        documents[windows],
                        windows,
                        (place % scan.width).astype(np.int32),
                    ],
                    schema=_EXAMPLES,
                )
                writer.write_table(rows, row_group_size=max(1, len(rows)))


def by_neuron(found: LayerStatistics) -> tuple[Shaped[np.ndarray, "..."], ...]:
    """Kind and rank of each example, then values and keys [neuron, example]."""
    end, end_key = found.arrays["end"].cpu().numpy(), found.arrays["end_key"].cpu().numpy()
    top = end.shape[1]
    values = np.concatenate([end[0].T, -end[1].T, found.arrays["drawn"].cpu().numpy().T], axis=1)
    keys = np.concatenate([end_key[0].T, end_key[1].T, found.arrays["drawn_key"].cpu().numpy().T], axis=1)
    kinds = np.repeat(np.arange(3, dtype=np.int8), (top, top, BINS))
    ranks = np.concatenate([np.arange(top), np.arange(top), np.arange(BINS)]).astype(np.int16)
    return kinds, ranks, values, keys


@contextmanager
def whole(path: StrPath) -> Generator[Path, None, None]:
    """A path to write to that takes the place of `path` when all went well."""
    path = Path(path)
    partial = path.with_name(f".{path.name}.partial")
    try:
        yield partial
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
