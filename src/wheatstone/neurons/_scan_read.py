"""A finished corpus scan, opened for questions about one neuron. Reads only what the answer is made of."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors import SafetensorError, safe_open

from wheatstone._errors import ModelError, RequestError, RunError, reason
from wheatstone._parquet import open_parquet
from wheatstone._path import StrPath
from wheatstone._view import Brief
from wheatstone.executors import settings_file
from wheatstone.models import Neuron, ResidualModel
from wheatstone.neurons._scan_bins import bin_edges
from wheatstone.neurons._scan_tables import DOCUMENT_ROWS, NEURON_ROWS, WINDOW_ROWS, shard_path
from wheatstone.runs import Run, sound

S = TypeVar("S", bound="Scan")


class Example(NamedTuple):
    """A place in the texts.

    Args:
        kind: `max` or `min`, the strongest of their window at one end; `bin`, drawn from a bin of the histogram.
        rank: among those at its end, from 0; or the bin.
        activation: there.
        quantile: share of all positions whose bin lies below its own, and half of those in it.
        document: its name.
        window: number of the window.
        position: in the window, from 0.
        ids: tokens of the window.
    """

    kind: str
    rank: int
    activation: float
    quantile: float
    document: str
    window: int
    position: int
    ids: tuple[int, ...]


@dataclass(frozen=True)
class ScannedNeuron(Brief):
    """What a scan holds of one neuron.

    Args:
        counted: positions seen.
        mean: of the activation; then its variance, skewness (third standardised moment) and kurtosis (fourth; 3 of a
            normal distribution), NaN where it never varies, and its least and largest values.
        histogram: positions in each of the bins of `wheatstone.neurons.bin_edges`.
        examples: those of both ends, strongest first, then those of the bins.
    """

    counted: int
    mean: float
    variance: float
    skewness: float
    kurtosis: float
    min: float
    max: float
    histogram: tuple[int, ...]
    examples: tuple[Example, ...]

    def quantile(self, value: float) -> float:
        """Share of all positions whose bin lies below that of an activation, and half of those in it."""
        return _quantile(self.histogram, value)

    def positions_between(self, low: float, high: float) -> int:
        """Positions whose activation lies between two edges of bins."""
        edges = bin_edges()
        return sum(count for at, count in enumerate(self.histogram) if low <= edges[at] and edges[at + 1] <= high)


def _quantile(histogram: Sequence[int], value: float) -> float:
    """Share of positions whose bin lies below that of an activation, and half of those in it."""
    edges = np.array(bin_edges())
    # A value on an edge is in the bin that lies farther from 0.
    bin_ = int(np.searchsorted(edges, value, side="right" if value > 0 else "left")) - 1
    bin_ = min(max(bin_, 0), len(histogram) - 1)
    return (sum(histogram[:bin_]) + histogram[bin_] / 2) / max(1, sum(histogram))


_NEEDED = ("counted", "documents", "tokens", "shards")
"""Of a scan's manifest, beside what every manifest has."""


@dataclass(frozen=True, eq=False)
class Scan(Brief):
    """A finished scan.

    Args:
        path: its folder.
        manifest: what it says of itself.
    """

    path: Path
    manifest: Mapping[str, Any]

    verb: ClassVar[str] = "scan"
    examples: ClassVar[str] = "examples.parquet"
    counts: ClassVar[str] = "neurons"
    """In the manifest, how many there are of each layer."""

    @classmethod
    def load(cls: type[S], path: StrPath) -> S:
        """Opens a scan.

        Raises:
            RunError: there is none, or it is not finished.
        """
        folder = Path(path)
        if (folder / settings_file("scan")).is_file() and not (folder / "manifest.json").is_file():
            raise RunError(
                expected="a finished scan", got=f"{folder}, which is not", do="start it again: it goes on where it was"
            )
        manifest = Run.open(folder, cls.verb).manifest
        lacking = [name for name in (*_NEEDED, cls.counts) if name not in manifest]
        lacking += [] if "texts" in manifest["settings"] else ["settings.texts"]
        if lacking:
            raise RunError(
                expected="a scan as Wheatstone writes it",
                got=f"{folder}, whose manifest lacks {', '.join(lacking)}",
                do="check it with `wheatstone runs check`, or make it again",
            )
        return cls(folder, manifest)

    def check(self, model: ResidualModel) -> None:
        """Refuses another model than the scan is of.

        Raises:
            ModelError: it is.
        """
        theirs = self.manifest["model"]
        if (theirs.get("sha256"), theirs.get("family")) != (model.sha256, model.family.name):
            raise ModelError(
                expected=f"the model of the scan, {theirs['id']} ({theirs['sha256'][:12]}…)",
                got=f"{model.id} ({model.sha256[:12]}…)",
                do="give that model with --model, or scan with this one",
            )

    def neuron(self, neuron: Neuron) -> ScannedNeuron:
        """What it holds of one neuron.

        Raises:
            RequestError: its layer was not scanned, or has no such neuron.
            RunError: a file is missing or damaged.
        """
        with sound(self.path):
            neurons = {str(layer): int(count) for layer, count in self.manifest["neurons"].items()}
        if neuron.index >= neurons.get(str(neuron.layer), 0):
            raise RequestError(
                expected=f"a neuron of a layer that was scanned: {', '.join(neurons)}",
                got=str(neuron),
                do="choose one of these, or scan its layer",
            )
        with sound(self.path):
            return self._found(neuron)

    def _found(self, neuron: Neuron) -> ScannedNeuron:
        try:
            with safe_open(self.path / "neurons.safetensors", "np") as arrays:
                found = {
                    name: arrays.get_slice(f"m{neuron.layer}.{name}")[neuron.index]
                    for name in ("mean", "variance", "skewness", "kurtosis", "min", "max", "histogram")
                }
            histogram = tuple(int(count) for count in found.pop("histogram"))
            examples = self._examples(neuron, histogram)
        except (SafetensorError, OSError, pa.ArrowException) as error:
            raise RunError(
                expected=f"the files of the scan {self.path} as they were written",
                got=reason(error),
                do="check it with `wheatstone runs check`, and scan again",
            ) from error
        numbers = {name: float(value) for name, value in found.items()}
        return ScannedNeuron(counted=int(self.manifest["counted"]), histogram=histogram, examples=examples, **numbers)

    def _examples(self, neuron: Neuron, histogram: tuple[int, ...]) -> tuple[Example, ...]:
        groups = 0
        for layer, neurons in self.manifest["neurons"].items():
            if int(layer) == neuron.layer:
                break
            groups += -(-neurons // NEURON_ROWS)
        table = self._table.read_row_group(groups + neuron.index // NEURON_ROWS)
        table = table.filter(pa.array(table["neuron"].to_numpy() == neuron.index))
        rows = table.to_pylist()
        windows, names = self.texts_of(rows)
        found: list[Example] = []
        for row in rows:
            value = row["activation"]
            found.append(
                Example(
                    kind=row["kind"],
                    rank=row["rank"],
                    activation=value,
                    quantile=_quantile(histogram, value),
                    document=names[row["document"]],
                    window=row["window"],
                    position=row["position"],
                    ids=tuple(windows[row["window"]]),
                )
            )
        return tuple(found)

    def texts_of(self, rows: Sequence[Mapping[str, Any]]) -> tuple[dict[int, Any], dict[int, Any]]:
        """The tokens of the windows, and the names of the documents, that some examples are in."""
        return (
            self._rows("windows", 0, WINDOW_ROWS, "ids", {row["window"] for row in rows}),
            self._rows("documents", 1, DOCUMENT_ROWS, "name", {row["document"] for row in rows}),
        )

    @cached_property
    def _table(self) -> pq.ParquetFile:
        return open_parquet(self.path / self.examples)

    def _rows(self, table: str, which: int, group: int, column: str, numbers: Iterable[int]) -> dict[int, Any]:
        """A column of some rows, by their number over all files of a table."""
        firsts = [0, *accumulate(shard[which] for shard in self.manifest["shards"])]
        wanted: defaultdict[int, defaultdict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
        for number in numbers:
            shard = bisect_right(firsts, number) - 1
            wanted[shard][(number - firsts[shard]) // group].append(number)
        found: dict[int, Any] = {}
        for shard, groups in wanted.items():
            file = open_parquet(shard_path(self.path, table, shard))
            for at, rows in groups.items():
                values = file.read_row_group(at, columns=[column])[column]
                for number in rows:
                    found[number] = values[number - firsts[shard] - at * group].as_py()
        return found
