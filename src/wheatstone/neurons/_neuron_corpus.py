"""What a scan says of one neuron: its examples read once more, token by token, and what its activation predicts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from wheatstone._progress import Reporter, silent
from wheatstone.models import Neuron, ResidualModel, Tokens
from wheatstone.neurons._calibration import Calibration, calibrate
from wheatstone.neurons._observed import Observations, observe
from wheatstone.neurons._scan_bins import bin_edges
from wheatstone.neurons._scan_read import Example, Scan, ScannedNeuron

_ENDS, _DRAWN = 8, 12
"""Examples that are read again: of each end, and of those drawn from bins."""
_OCTAVES = 4
"""Bins of the calibration at either side, each from one power of two to the next."""
_LEAST, _MOST = -7, 8


def corpus_facts(
    model: ResidualModel, neuron: Neuron, token: int, scan: Scan, *, report: Reporter = silent
) -> dict[str, Any]:
    """What a scan holds of a neuron, its examples token by token, and its calibration over their windows.

    Args:
        model: the model that was scanned.
        neuron: which.
        token: whose probability its activation is compared with.
        scan: the scan.
        report: progress callback.

    Raises:
        ModelError: the scan is of another model.
        RequestError: the neuron's layer was not scanned.

    When this misleads: the windows that are read again were chosen for activations of all sizes, so that strong ones
    are many more than in the corpus; within a bin of the activation that does not matter, and `base` weighs each bin
    by its share of the corpus. A neuron's strongest windows may have much else in common.
    """
    scan.check(model)
    found = scan.neuron(neuron)
    shown = chosen(found.examples)
    windows = sorted({example.window for example in shown})
    ids = {example.window: example.ids for example in shown}
    tokens = Tokens.of([ids[window] for window in windows], model.device)
    seen = observe(model, neuron, token, tokens, report=report)
    activations = {window: seen.activations[seen.texts == row].tolist() for row, window in enumerate(windows)}
    first = np.r_[True, np.diff(seen.texts.numpy()) != 0]
    counted = Observations(
        **{name: value[~first] for name, value in vars(seen).items()}  # the scan does not count it either
    )
    calibration = calibrate(counted, edges=_edges(found))
    return {
        "texts": scan.manifest["settings"]["texts"],
        "tokens": scan.manifest["tokens"],
        "documents": scan.manifest["documents"],
        "counted": found.counted,
        "read_again": len(windows),
        "moments": {
            name: None if math.isnan(value := getattr(found, name)) else value
            for name in ("mean", "variance", "skewness", "kurtosis", "min", "max")
        },
        "histogram": {"edges": bin_edges()[1:-1], "counts": found.histogram},
        "examples": [
            {name: value for name, value in example._asdict().items() if name != "ids"}
            | {"tokens": model.decode(example.ids), "activations": activations[example.window]}
            for example in shown
        ],
        "calibration": _calibration_rows(calibration, found),
    }


def chosen(examples: Sequence[Example]) -> list[Example]:
    """The strongest at either end, and some of those drawn from bins: from the largest activation down, evenly."""
    drawn = sorted((example for example in examples if example.kind == "bin"), key=lambda one: -one.activation)
    places = np.unique(np.linspace(0, len(drawn) - 1, min(_DRAWN, len(drawn))).round().astype(int))
    ends = [example for example in examples if example.kind != "bin" and example.rank < _ENDS]
    return [*ends, *(drawn[place] for place in places)]


def _edges(found: ScannedNeuron) -> list[float]:
    """Powers of two up to the largest activation, at both sides, and no end."""
    most = max(abs(found.min), abs(found.max), 2.0**_LEAST)
    top = min(_MOST, math.floor(math.log2(most)))
    up = [2.0**exponent for exponent in range(max(_LEAST, top - _OCTAVES + 1), top + 1)]
    return [-math.inf, *(-edge for edge in reversed(up)), *up, math.inf]


def _calibration_rows(calibration: Calibration, found: ScannedNeuron) -> dict[str, Any]:
    """As JSON has it, each bin with its positions in the corpus."""
    rows: list[dict[str, Any]] = []
    for bin_ in calibration.bins:
        corpus = found.positions_between(bin_.low, bin_.high)
        low, high = max(bin_.low, found.min), min(bin_.high, found.max)
        estimates = {name: getattr(bin_, name) for name in ("probability", "first", "effect")}
        values = {name: None if value is None else value._asdict() for name, value in estimates.items()}
        rows.append(bin_._asdict() | values | {"low": low, "high": high, "corpus": corpus})
    corpus = sum(row["corpus"] for row in rows)
    correlation = calibration.correlation
    return {
        "places": calibration.places,
        "correlation": None if math.isnan(correlation) else correlation,
        "base": sum(row["corpus"] * row["probability"]["mean"] for row in rows) / corpus if corpus else None,
        "bins": rows,
    }
