"""A corpus scan of heads as a run: see `_scan` for how it is made, `wheatstone.lenses.HeadScan` for what is kept.

`heads.safetensors` has by layer and name: `a3.first`, `a3.places`, `a3.places_even`, `a3.tokens`, `a3.tokens_even`
(sums over all positions), and of each signal `a3.effect.mean`, … as of neurons; `head_examples.parquet` its examples.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from jaxtyping import Float
from safetensors import SafetensorError, safe_open

from wheatstone._disk import write_tensors
from wheatstone._errors import RequestError, RunError, reason
from wheatstone._parquet import parquet_writer, read_parquet
from wheatstone.lenses._head_scan import PLACES, SIGNALS, HeadScan
from wheatstone.models import ResidualModel
from wheatstone.neurons import KINDS, PLACE_BITS, Scan, ScanSettings, Subject, by_neuron, moments_of, shard_path, whole
from wheatstone.runs import sound

_FILE, _EXAMPLES_FILE = "heads.safetensors", "head_examples.parquet"
_SUMS = ("first", "places", "places_even", "tokens", "tokens_even")
_EXAMPLES = pa.schema(
    [
        ("head", pa.dictionary(pa.int16(), pa.string())),
        ("signal", pa.dictionary(pa.int8(), pa.string())),
        ("kind", pa.dictionary(pa.int8(), pa.string())),
        ("rank", pa.int16()),
        ("value", pa.float32()),
        ("document", pa.int64()),
        ("window", pa.int64()),
        ("position", pa.int32()),
    ]
)


class HeadExample(NamedTuple):
    """A place in the texts.

    Args:
        signal: `effect` or `attention`.
        kind: `max` or `min`, the strongest of their window at one end; `bin`, drawn from a bin of the histogram.
        rank: among those at its end, from 0; or the bin.
        value: of the signal there.
        document: its name.
        window: number of the window.
        position: of the query in the window, from 0.
        ids: tokens of the window.
    """

    signal: str
    kind: str
    rank: int
    value: float
    document: str
    window: int
    position: int
    ids: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class ScannedHead:
    """What a scan holds of one head.

    Args:
        counted: positions seen.
        first: mean share of its attention on the first token.
        places: by name of `PLACES`: the share of what is left, and the share that even attention would give.
        tokens: by token id, the sum of the weights on keys that are this token.
        tokens_even: the same, had each query spread evenly what it does not spend on the first token.
        effect: moments of its direct effect on the next token's logit: mean, variance, min, max.
        attention: the same of its largest weight after the first token.
        examples: of both signals.
    """

    counted: int
    first: float
    places: dict[str, tuple[float, float]]
    tokens: Float[np.ndarray, " vocab"]
    tokens_even: Float[np.ndarray, " vocab"]
    effect: dict[str, float]
    attention: dict[str, float]
    examples: tuple[HeadExample, ...]


def _begin(model: ResidualModel, settings: ScanSettings) -> HeadScan:
    return HeadScan(model, layers=settings.which(model), top=settings.top, width=settings.window, seed=settings.seed)


def _write(folder: Path, scan: HeadScan, shards: int) -> None:
    sums = {name: array.contiguous() for name, array in scan.state().items() if name.split(".")[1] in _SUMS}
    moments = {
        f"a{layer}.{signal}.{name}": values.cpu().contiguous()
        for layer, signals in scan.signals.items()
        for signal, found in signals.items()
        for name, values in moments_of(found).items()
    }
    with whole(folder / _FILE) as partial:
        write_tensors(sums | moments, partial)
        partial.chmod(0o644)
    files = [shard_path(folder, "windows", number) for number in range(shards)]
    documents = np.concatenate([read_parquet(file, columns=["document"])[0].to_numpy() for file in files])
    with whole(folder / _EXAMPLES_FILE) as partial, parquet_writer(partial, _EXAMPLES) as writer:
        for layer in scan.layers:
            tables = [_rows(scan, layer, number, documents) for number in range(len(SIGNALS))]
            rows = pa.concat_tables(tables)
            writer.write_table(rows, row_group_size=max(1, len(rows)))  # a layer is a group


def _rows(scan: HeadScan, layer: int, signal: int, documents: np.ndarray) -> pa.Table:
    kinds, ranks, values, keys = by_neuron(scan.signals[layer][SIGNALS[signal]])
    head, column = (keys != torch.iinfo(torch.int64).max).nonzero()
    place = keys[head, column] & (1 << PLACE_BITS) - 1
    names = pa.array([f"a{layer}.h{number}" for number in range(len(keys))])
    columns = [
        pa.DictionaryArray.from_arrays(head.astype(np.int16), names),
        pa.DictionaryArray.from_arrays(np.full(len(head), signal, np.int8), pa.array(SIGNALS)),
        pa.DictionaryArray.from_arrays(kinds[column], pa.array(KINDS)),
        ranks[column],
        values[head, column],
        documents[place // scan.width],
        place // scan.width,
        (place % scan.width).astype(np.int32),
    ]
    return pa.table(columns, schema=_EXAMPLES).unify_dictionaries()


HEADS = Subject(
    "heads",
    "head scan",
    _begin,
    lambda model, scan: {"heads": {str(layer): model.graph.heads for layer in scan.layers}},
    _write,
)


def head_at(name: str) -> tuple[int, int]:
    """Layer and number of a head.

    Raises:
        RequestError: it is no head's name.
    """
    found = re.fullmatch(r"a(\d{1,9})\.h(\d{1,9})", name, re.ASCII)
    if found is None:
        raise RequestError(
            expected="a head, written as layer and number, such as a23.h4", got=repr(name)[:200], do="write it so"
        )
    return int(found[1]), int(found[2])


@dataclass(frozen=True, eq=False)
class HeadCorpus(Scan):
    """A finished scan of heads, opened for questions about one head."""

    verb: ClassVar[str] = "head scan"
    examples: ClassVar[str] = _EXAMPLES_FILE
    counts: ClassVar[str] = "heads"

    @property
    def heads(self) -> list[str]:
        """Names of all heads of the scan, in order.

        Raises:
            RunError: the manifest is damaged.
        """
        return [f"a{layer}.h{number}" for layer, count in self._counts.items() for number in range(count)]

    def head(self, name: str) -> ScannedHead:
        """What it holds of one head.

        Args:
            name: such as `a23.h4`.

        Raises:
            RequestError: its layer was not scanned.
            RunError: a file is missing or damaged.
        """
        layer, number = head_at(name)
        heads = self._counts
        if number >= heads.get(str(layer), 0):
            raise RequestError(
                expected=f"a head of a layer that was scanned: {', '.join(heads)}",
                got=name,
                do="choose one of these, or scan its layer",
            )
        with sound(self.path):
            try:
                return self._of(name, layer, number, list(heads).index(str(layer)))
            except (SafetensorError, OSError, pa.ArrowException) as error:
                raise RunError(
                    expected=f"the files of the scan {self.path} as they were written",
                    got=reason(error),
                    do="check it with `wheatstone runs check`, and scan again",
                ) from error

    @property
    def _counts(self) -> dict[str, int]:
        with sound(self.path):
            return {str(layer): int(count) for layer, count in self.manifest["heads"].items()}

    def _of(self, name: str, layer: int, number: int, group: int) -> ScannedHead:
        with safe_open(self.path / _FILE, "np") as arrays:
            sums = {part: arrays.get_slice(f"a{layer}.{part}")[number] for part in _SUMS}
            moments = {
                signal: {
                    part: float(arrays.get_slice(f"a{layer}.{signal}.{part}")[number])
                    for part in ("mean", "variance", "min", "max")
                }
                for signal in SIGNALS
            }
        counted = int(self.manifest["counted"])
        spent = counted - float(sums["first"])
        shares = {
            place: (float(own) / spent, float(even) / spent)
            for place, own, even in zip(PLACES, sums["places"], sums["places_even"], strict=False)
        }
        return ScannedHead(
            counted=counted,
            first=float(sums["first"]) / counted,
            places=shares,
            tokens=sums["tokens"],
            tokens_even=sums["tokens_even"],
            effect=moments["effect"],
            attention=moments["attention"],
            examples=self._examples_of(name, group),
        )

    def _examples_of(self, name: str, group: int) -> tuple[HeadExample, ...]:
        table = self._table.read_row_group(group)
        rows: list[dict[str, Any]] = table.filter(pc.field("head").cast(pa.string()) == name).to_pylist()
        windows, names = self.texts_of(rows)
        return tuple(
            HeadExample(
                **{part: row[part] for part in ("signal", "kind", "rank", "value", "window", "position")},
                document=names[row["document"]],
                ids=tuple(windows[row["window"]]),
            )
            for row in rows
        )
