"""A probe that was kept: all its neurons with their coefficients, to be used on new text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from wheatstone._errors import ModelError, RequestError
from wheatstone._path import StrPath
from wheatstone._view import Brief
from wheatstone.models import ResidualModel
from wheatstone.neurons._probe_fit import Probe
from wheatstone.runs import Run, sound


class ProbeWeight(NamedTuple):
    """One row of probe_weights.parquet: a neuron of a probe, whose decision is intercept + Σ coefficient · activation.

    Args:
        concept: name.
        method: as in probes.parquet.
        layer: from 0.
        k: neurons of the probe.
        neuron: its index in the layer; the first chosen first.
        coefficient: per unit of activation.
        intercept: of the probe, in each of its rows.
    """

    concept: str
    method: str
    layer: int
    k: int
    neuron: int
    coefficient: float
    intercept: float


def weights_of(
    probe: Probe,
    mean: Float[np.ndarray, " neuron"],
    std: Float[np.ndarray, " neuron"],
    concept: str,
    method: str,
    layer: int,
) -> list[ProbeWeight]:
    """A probe on standardised activations as one on activations; see `standardised`.

    Args:
        probe: the probe.
        mean: of every neuron over the training rows.
        std: likewise; 0 where a neuron does not vary there.
        concept: name.
        method: how its neurons were chosen.
        layer: of its neurons.
    """
    scale, center = (values[probe.neurons].astype(np.float64) for values in (std, mean))
    coefficients = np.where(scale > 0, probe.weights / np.where(scale > 0, scale, 1), 0)
    intercept, k = float(probe.bias - coefficients @ center), len(probe.neurons)
    pairs = zip(probe.neurons.tolist(), coefficients.tolist(), strict=True)
    return [ProbeWeight(concept, method, layer, k, neuron, weight, intercept) for neuron, weight in pairs]


@dataclass(frozen=True, eq=False)
class SavedProbe(Brief):
    """A linear classifier of a concept, as a run of `neuron probe` keeps it.

    Args:
        concept: name.
        method: `ranking`, `l1`, `pursuit` or `single`.
        layer: of its neurons.
        reading: of a span when it was fitted: `last`, `tokens` or `mean`.
        f1: on the run's test documents.
        neurons: indices in the layer, the first chosen first.
        coefficients: per unit of activation.
        intercept: added to all.
        sha256: of the weights of the model that was probed.
    """

    concept: str
    method: str
    layer: int
    reading: str
    f1: float
    neurons: tuple[int, ...]
    coefficients: tuple[float, ...]
    intercept: float
    sha256: str

    def decisions(self, model: ResidualModel, text: str) -> Float[Tensor, " pos"]:
        """The decision at each token of a text: the concept is there where it is above 0.

        Args:
            model: that was probed.
            text: to read; cut at the model's context.

        Raises:
            ModelError: another model than the probe is of.
            PromptError: an empty text.

        When this misleads: a probe fitted on `last` saw the last tokens of spans alone; at other tokens its decision
        was never judged. Of one fitted on `mean`, the mean of the decisions over a span is the span's.
        """
        if model.sha256 != self.sha256:
            raise ModelError(
                expected=f"the model that was probed ({self.sha256[:12]}…)",
                got=f"{model.id} ({model.sha256[:12]}…)",
                do="give that model, or probe this one",
            )
        ids = model.encode(text)[: model.context]
        found = model.neurons([ids], layers=[self.layer]).activations[self.layer][0, :, list(self.neurons)]
        return found.double().cpu() @ torch.tensor(self.coefficients, dtype=torch.float64) + self.intercept


def load_probe(
    run: StrPath, concept: str, *, method: str | None = None, layer: int | None = None, k: int | None = None
) -> SavedProbe:
    """The probe of a concept in a run of `neuron probe` that is best on its validation documents.

    Args:
        run: folder of the run.
        concept: name.
        method: `ranking`, `l1`, `pursuit` or `single`; any by default.
        layer: of its neurons; any by default.
        k: its number of neurons; any by default.

    Raises:
        RequestError: the run has no such probe, or is an older one, which kept no coefficients.
        RunError: there is no such run, or a file of it is missing or damaged.
    """
    opened = Run.open(run, "neuron probe")
    rows = opened.rows("probes")
    if "probe_weights" not in opened.tables:
        raise RequestError(
            expected="a run that keeps its probes' coefficients",
            got=f"{opened.path}, made by an earlier version",
            do="make it again with `wheatstone neuron probe`",
        )
    with sound(opened.path):
        asked = {"concept": concept, "method": method, "layer": layer, "k": k}
        chosen = {name: value for name, value in asked.items() if value is not None}
        fit = [row for row in rows if all(row[name] == value for name, value in chosen.items())]
        if not fit:
            there = sorted({str(row["concept"]) for row in rows})
            raise RequestError(
                expected=f"a probe of {opened.path}, which has the concepts {', '.join(there)}"[:300],
                got=", ".join(f"{name} {value!r}" for name, value in chosen.items())[:200],
                do="see its probes.parquet",
            )
        best = max(fit, key=lambda row: row["validation_f1"])
        names = ("concept", "method", "layer", "k")
        weights = opened.rows("probe_weights", filters=[(name, "=", best[name]) for name in names])
        return SavedProbe(
            concept=concept,
            method=best["method"],
            layer=best["layer"],
            reading=opened.manifest["settings"]["reading"],
            f1=best["f1"],
            neurons=tuple(row["neuron"] for row in weights),
            coefficients=tuple(row["coefficient"] for row in weights),
            intercept=weights[0]["intercept"],
            sha256=opened.manifest["model"]["sha256"],
        )
