"""Sparse probes of a concept, layer by layer: chosen on training documents, compared on validation, scored on test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from wheatstone._progress import Reporter, silent
from wheatstone._view import Brief, Tabular
from wheatstone.neurons._probe_fit import (
    Probe,
    differences,
    fit_on,
    probes_by_l1,
    probes_by_pursuit,
    probes_by_ranking,
    standardised,
)
from wheatstone.neurons._probe_parts import ConceptRows
from wheatstone.neurons._probe_rows import Activations
from wheatstone.neurons._probe_saved import ProbeWeight, weights_of
from wheatstone.neurons._probe_scores import ProbeScore, always_yes, score_decisions
from wheatstone.neurons._probe_single import NeuronTests, exchanged, explained, neuron_tests
from wheatstone.runs import Table

if TYPE_CHECKING:
    import pyarrow as pa

_CANDIDATES = 32
"""Neurons of a layer, those whose means differ most, that are tried as single detectors."""
_SHUFFLES = 4
_STRONGEST = 50
"""Strongest activations of a neuron that are looked at."""


class ProbeRow(NamedTuple):
    """One row of probes.parquet.

    Args:
        concept: name.
        layer: from 0.
        method: `ranking`, `l1`, `pursuit`, or `single`: one neuron, a threshold and a sign.
        k: neurons of the probe.
        validation_f1: F1 on the validation documents, by which probes are compared.
        f1: on the test documents, as all that follows; see `ProbeScore`.
        f1_low: lower end of its 95% interval over documents.
        f1_high: upper end.
        precision: of its yes.
        recall: of what has the concept.
        auroc: of its decision values.
        auroc_low: lower end of the interval.
        auroc_high: upper end.
        neurons: names, the first chosen first.
    """

    concept: str
    layer: int
    method: str
    k: int
    validation_f1: float
    f1: float
    f1_low: float | None
    f1_high: float | None
    precision: float
    recall: float
    auroc: float
    auroc_low: float | None
    auroc_high: float | None
    neurons: list[str]


@dataclass(frozen=True, eq=False)
class LayerDirections(Brief):
    """How the means of a layer's neurons differ with a concept, on the training rows.

    Args:
        standard: in standard deviations of each neuron.
        raw: in units of activation.
        shuffled: `standard` with the labels shuffled, a few times.
        shuffled_raw: `raw` with the same shuffled labels.
    """

    standard: Float[np.ndarray, " neuron"]
    raw: Float[np.ndarray, " neuron"]
    shuffled: Float[np.ndarray, "shuffle neuron"]
    shuffled_raw: Float[np.ndarray, "shuffle neuron"]


@dataclass(frozen=True, eq=False, repr=False)
class ConceptProbes(Tabular):
    """Everything about one concept.

    Args:
        rows: of the concept, and which part each is in.
        probes: by layer, method and number of neurons.
        tests: of every neuron, by layer.
        directions: by layer.
        by_chance: neurons of the layer with the best ranked probe that are significant with the labels shuffled.
        explained: of the test rows on which the best single neuron is strongest, in its direction, the share that has
            the concept; as many rows as have it, at most 50.
        weights: of every probe, in the order of `probes`.
    """

    rows: ConceptRows
    probes: tuple[ProbeRow, ...]
    tests: Mapping[int, NeuronTests]
    directions: Mapping[int, LayerDirections]
    by_chance: int
    explained: float
    weights: tuple[ProbeWeight, ...]

    def to_arrow(self) -> pa.Table:
        """The probes as an Arrow table."""
        return Table.of(ProbeRow, self.probes).to_arrow()

    def _title(self) -> str:
        return f"ConceptProbes of {self.single.concept!r}: {len(self.probes)} probes"

    @cached_property
    def always_yes(self) -> float:
        """F1 on the test rows of saying yes to all."""
        return always_yes(self.rows.labels[self.rows.of("test")])

    @cached_property
    def single(self) -> ProbeRow:
        """The best single neuron of all layers, by validation."""
        return self.best("single", 1)

    def best(self, method: str, k: int | None = None) -> ProbeRow:
        """The best probe of a method, of k neurons or of any number, over all layers, by validation."""
        return max(
            (row for row in self.probes if row.method == method and k in (None, row.k)),
            key=lambda row: row.validation_f1,
        )


def probe_concept(
    activations: Activations,
    rows: ConceptRows,
    *,
    seed: int = 0,
    report: Reporter = silent,
) -> ConceptProbes:
    """Fits and judges the probes of a concept.

    Probes by ranking are fitted on every layer; those by L1 and by pursuit, which cost more, on the layer where a
    ranked probe has the best validation F1.

    Args:
        activations: of all rows.
        rows: of the concept, split.
        seed: of shuffled labels.
        report: progress callback.

    When this misleads: that a probe reads a concept from neurons does not say that the model uses them for it.
    """
    training = rows.of("train")
    probes, weights = list[ProbeRow](), list[ProbeWeight]()

    def keep(method: str, found: Sequence[Probe], x: Float[np.ndarray, "row neuron"], layer: int) -> None:
        z, moments = standardised(x, training), (x[training].mean(0), x[training].std(0))
        for probe in found:
            probes.append(_row(method, probe, z, rows, layer))
            weights.extend(weights_of(probe, *moments, rows.concept, method, layer))

    tests: dict[int, NeuronTests] = {}
    directions: dict[int, LayerDirections] = {}
    for done, layer in enumerate(activations.layers):
        report(f"probing {rows.concept}", done, len(activations.layers))
        x = activations.of(layer)[rows.rows]
        z = standardised(x, training)
        tests[layer] = neuron_tests(x, rows.labels, rows.documents, training, rows.of("test"))
        directions[layer] = _directions(x, z, rows, seed)
        keep("single", [_single(z, rows, directions[layer].standard)], x, layer)
        keep("ranking", probes_by_ranking(z[training], rows.labels[training]), x, layer)
    best = max((row for row in probes if row.method == "ranking"), key=lambda row: row.validation_f1).layer
    x = activations.of(best)[rows.rows]
    other = exchanged(rows.labels, rows.documents, seed=seed)
    chance = neuron_tests(x, other, rows.documents, training, training)
    z = standardised(x, training)
    for method, fit in (("l1", probes_by_l1), ("pursuit", probes_by_pursuit)):
        keep(method, fit(z[training], rows.labels[training]), x, best)
    report(f"probing {rows.concept}", len(activations.layers), len(activations.layers))
    single = max((row for row in probes if row.method == "single"), key=lambda row: row.validation_f1)
    index = int(single.neurons[0].partition(".n")[2])
    way = np.sign(directions[single.layer].standard[index]) or 1.0
    test = rows.of("test")  # the neuron was chosen on the others
    values, labels = activations.of(single.layer)[rows.rows, index][test] * way, rows.labels[test]
    share = explained(values, labels, top=min(_STRONGEST, int(labels.sum())))
    found = tuple(probes), tests, directions, int(chance.significant.sum()), share, tuple(weights)
    return ConceptProbes(rows, *found)


def _single(
    z: Float[np.ndarray, "row neuron"],
    rows: ConceptRows,
    difference: Float[np.ndarray, " neuron"],
) -> Probe:
    """The layer's best single neuron: threshold by training rows, neuron by validation rows."""
    training, validation = rows.of("train"), rows.of("validation")
    best, found = -1.0, Probe(np.array([0]), np.ones(1), 0.0)
    for neuron in np.argsort(-np.abs(difference), kind="stable")[:_CANDIDATES].tolist():
        probe = fit_on(z[training], rows.labels[training], np.array([neuron]))
        f1 = _f1(probe.decisions(z[validation]), rows.labels[validation])
        if f1 > best:
            best, found = f1, probe
    return found


def _row(method: str, probe: Probe, z: Float[np.ndarray, "row neuron"], rows: ConceptRows, layer: int) -> ProbeRow:
    decisions, validation, test = probe.decisions(z), rows.of("validation"), rows.of("test")
    score: ProbeScore = score_decisions(decisions[test].astype(float), rows.labels[test], rows.documents[test])
    names = [f"m{layer}.n{neuron}" for neuron in probe.neurons.tolist()]
    f1 = _f1(decisions[validation], rows.labels[validation])
    return ProbeRow(rows.concept, layer, method, len(probe.neurons), f1, *score, names)


def _f1(decisions: Float[np.ndarray, " row"], labels: Bool[np.ndarray, " row"]) -> float:
    yes = decisions > 0
    return float(2 * (yes & labels).sum() / max(yes.sum() + labels.sum(), 1))


def _directions(
    x: Float[np.ndarray, "row neuron"], z: Float[np.ndarray, "row neuron"], rows: ConceptRows, seed: int
) -> LayerDirections:
    training = rows.of("train")
    y, draw = rows.labels[training], np.random.default_rng(seed)
    shuffles: Sequence[Bool[np.ndarray, " row"]] = [draw.permutation(y) for _ in range(_SHUFFLES)]
    return LayerDirections(
        differences(z[training], y),
        differences(x[training], y),
        np.stack([differences(z[training], other) for other in shuffles]),
        np.stack([differences(x[training], other) for other in shuffles]),
    )
