"""Sparse probes of concepts as a run: probes by layer and size, tests of every neuron, interference of concepts."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from jaxtyping import Bool

from wheatstone._errors import RequestError
from wheatstone._parquet import write_parquet
from wheatstone._path import StrPath
from wheatstone._progress import Reporter, silent
from wheatstone._view import Brief
from wheatstone.models import Neuron, ResidualModel, manifest_without_prompts
from wheatstone.neurons._concepts import LabelledText
from wheatstone.neurons._probe import ConceptProbes, ProbeRow, probe_concept
from wheatstone.neurons._probe_parts import PARTS, split_documents
from wheatstone.neurons._probe_rows import check_reading, recorded, rows_of
from wheatstone.neurons._probe_saved import ProbeWeight
from wheatstone.neurons._superposition import Interference, interference, random_directions
from wheatstone.runs import Run, Table, sound, write_json, write_table
from wheatstone.texts import Skipped

_NULL_DRAWS = 64


@dataclass(frozen=True)
class ProbeSettings(Brief):
    """How to probe.

    Args:
        source: names of bundled concepts, or a file.
        reading: of a span: `last`, its last token; `tokens`, each; `mean`, the mean over them.
        layers: to probe; all where empty.
        most: spans that have each bundled concept.
        seed: of the draw of excerpts and of the split.
    """

    source: str
    reading: str = "last"
    layers: tuple[int, ...] = ()
    most: int = 300
    seed: int = 0

    def __post_init__(self) -> None:
        check_reading(self.reading)


class InterferenceRow(NamedTuple):
    """One row of interference.parquet: two concepts at one layer.

    Args:
        layer: from 0.
        space: `neurons`: differences of means in standard deviations; `residual`: in activations, times the output
            weights.
        first: a concept.
        second: another.
        cosine: of their directions.
        null: |cosine| that 5% of pairs of directions found with shuffled labels exceed.
        random: the same of random directions.
    """

    layer: int
    space: str
    first: str
    second: str
    cosine: float
    null: float
    random: float


@dataclass(frozen=True, eq=False)
class ProbeRun(Brief):
    """Probes of some concepts, ready to be saved.

    Args:
        model: that was probed.
        settings: how.
        probes: of each concept that could be probed.
        interference: of each pair of these, by layer.
        skipped: what was left out, and how often.
        refused: concepts that could not be probed, and why.
        tokens: that were run.
        seconds: by stage.
    """

    model: ResidualModel
    settings: ProbeSettings
    probes: tuple[ConceptProbes, ...]
    interference: tuple[InterferenceRow, ...]
    skipped: dict[str, int]
    refused: dict[str, str]
    tokens: int
    seconds: dict[str, float]

    def detectors(self) -> dict[int, Bool[np.ndarray, "concept neuron"]]:
        """By layer, which neurons are significant single detectors of which concept."""
        layers = self.probes[0].tests
        return {layer: np.stack([found.tests[layer].detectors for found in self.probes]) for layer in layers}

    def summary(self) -> dict[str, Any]:
        """The numbers of `probes.json`."""
        detected_by = Counter(number for found in self.detectors().values() for number in found.sum(0).tolist())
        return {
            "concepts": [_summary(found) for found in self.probes],
            "neurons_by_concepts": {str(number): detected_by[number] for number in sorted(detected_by)},
            "skipped": self.skipped,
            "refused": self.refused,
            "tokens": self.tokens,
        }

    def save(self, folder: StrPath) -> None:
        """Writes all files of the run into a folder."""
        folder = Path(folder)
        settings = asdict(self.settings) | {"task": f"probes of {self.settings.source}"}
        seed = self.settings.seed
        manifest = manifest_without_prompts(self.model, "neuron probe", settings, seed=seed, seconds=self.seconds)
        write_json(folder / "manifest.json", manifest)
        write_json(folder / "probes.json", self.summary())
        rows = tuple(row for found in self.probes for row in found.probes)
        write_table(Table(ProbeRow, rows), folder / "probes.parquet")
        weights = tuple(weight for found in self.probes for weight in found.weights)
        write_table(Table(ProbeWeight, weights), folder / "probe_weights.parquet")
        write_table(Table(InterferenceRow, self.interference), folder / "interference.parquet")
        write_parquet(self._neurons(), folder / "neuron_tests.parquet")

    def _neurons(self) -> pa.Table:
        """Every neuron against every concept."""
        parts = [
            pa.table(
                {
                    "concept": [found.rows.concept] * len(test.z),
                    "layer": np.full(len(test.z), layer, dtype=np.int32),
                    "index": np.arange(len(test.z), dtype=np.int32),
                    "z": test.z,
                    "q": test.q,
                    "auroc": test.auroc,
                    "held_out_auroc": test.held_out,
                    "detector": test.detectors,
                }
            )
            for found in self.probes
            for layer, test in found.tests.items()
        ]
        return pa.concat_tables(parts)


def run_probes(
    model: ResidualModel,
    texts: Sequence[LabelledText],
    settings: ProbeSettings,
    *,
    skipped: Skipped | None = None,
    report: Reporter = silent,
) -> ProbeRun:
    """Runs the texts once and probes every concept that is labelled in them.

    Args:
        model: the model.
        texts: with their labels.
        settings: how.
        skipped: what was already left out; more is added.
        report: progress callback.

    Raises:
        ModelError: an MLP has no neurons, or the tokenizer cannot say where its tokens are in the text.
        RequestError: a layer or reading that is not there, or not one concept can be split by documents.
    """
    layers, there = settings.layers or tuple(range(model.graph.layers)), range(model.graph.layers)
    if any(layer not in there for layer in layers):
        raise RequestError(
            expected=f"layers of {model.id}, from 0 to {there[-1]}",
            got=", ".join(str(layer) for layer in layers if layer not in there),
            do="choose some of these",
        )
    skipped = skipped if skipped is not None else Skipped()
    started = time.perf_counter()
    rows = rows_of(model, texts, reading=settings.reading, skipped=skipped)
    split, refused = [], dict[str, str]()
    for name, (numbers, labels) in rows.concepts.items():
        try:
            split.append(split_documents(name, numbers, labels, rows.documents[numbers], seed=settings.seed))
        except RequestError as error:
            refused[name] = str(error)
    if not split:
        why = " | ".join(f"{name}: {reason}" for name, reason in refused.items())
        raise RequestError(
            expected="a concept whose documents can be split",
            got=why or f"no span; skipped {skipped.counts}",
            do="label more spans, in more documents",
        )
    with recorded(model, rows, sorted(set(layers)), report=report) as activations:
        read = time.perf_counter()
        probes = [probe_concept(activations, concept, seed=settings.seed, report=report) for concept in split]
    probed = time.perf_counter()
    between = [row for layer in activations.layers for row in _between(model, probes, layer, settings.seed)]
    seconds = {
        "reading texts": read - started,
        "probes": probed - read,
        "interference": time.perf_counter() - probed,
    }
    return ProbeRun(model, settings, tuple(probes), tuple(between), skipped.counts, refused, rows.tokens, seconds)


def neuron_probes(run: StrPath, neuron: Neuron) -> list[dict[str, Any]]:
    """What a run of probes says of one neuron: its row for every concept, and the probes that name it.

    Args:
        run: folder of a run of `neuron probe`.
        neuron: which.

    Returns:
        For each concept its row of `neuron_tests.parquet`, with the rows of `probes.parquet` that name it as `probes`.
        Empty where its layer was not probed.

    Raises:
        RunError: there is no such run.
    """
    opened = Run.open(run, "neuron probe")
    rows = opened.rows("neuron_tests", filters=[("layer", "=", neuron.layer), ("index", "=", neuron.index)])
    probes = opened.rows("probes", filters=[("layer", "=", neuron.layer)])
    with sound(opened.path):
        named = [row for row in probes if str(neuron) in row["neurons"]]
        return [row | {"probes": [one for one in named if one["concept"] == row["concept"]]} for row in rows]


def _between(model: ResidualModel, probes: Sequence[ConceptProbes], layer: int, seed: int) -> list[InterferenceRow]:
    """Cosines of all pairs of concepts at a layer, in both spaces."""
    if len(probes) < 2:
        return []
    with model.blocks[layer].present():
        written = model.blocks[layer].neuron_weights.double().cpu().numpy()
    found = [probe.directions[layer] for probe in probes]
    names = [probe.rows.concept for probe in probes]
    standard, raw = np.stack([one.standard for one in found]), np.stack([one.raw for one in found])
    shuffled = np.concatenate([one.shuffled for one in found])
    shuffled_raw = np.concatenate([one.shuffled_raw for one in found])
    d = standard.shape[1]
    spaces: dict[str, tuple[Interference, Interference]] = {}
    for space, directions, null, out in (
        ("neurons", standard, shuffled, None),
        ("residual", raw @ written, shuffled_raw @ written, written),
    ):
        random = random_directions(d, draws=_NULL_DRAWS, seed=seed, written=out)
        spaces[space] = interference(names, directions, null), interference(names, directions, random)
    return [
        InterferenceRow(layer, space, names[a], names[b], float(one.cosines[a, b]), one.null, random.null)
        for space, (one, random) in spaces.items()
        for a, b in combinations(range(len(names)), 2)
    ]


def _summary(found: ConceptProbes) -> dict[str, Any]:
    rows, methods = found.rows, ("single", "ranking", "l1", "pursuit")
    there = [method for method in methods if any(row.method == method for row in found.probes)]
    return {
        "concept": rows.concept,
        "rows": {part: _counts(rows.labels[rows.of(part)]) for part in PARTS},
        "documents": {part: len(np.unique(rows.documents[rows.of(part)])) for part in PARTS},
        "always_yes_f1": found.always_yes,
        "best": {method: found.best(method)._asdict() for method in there},
        "significant_by_chance": found.by_chance,
        "explained": found.explained,
        "base": float(rows.labels[rows.of("test")].mean()),
        "significant": {str(layer): int(test.significant.sum()) for layer, test in found.tests.items()},
        "detectors": {str(layer): int(test.detectors.sum()) for layer, test in found.tests.items()},
    }


def _counts(labels: Bool[np.ndarray, " row"]) -> dict[str, int]:
    return {"with": int(labels.sum()), "without": int((~labels).sum())}
