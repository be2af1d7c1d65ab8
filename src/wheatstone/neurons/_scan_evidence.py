"""What a scan of texts says about neurons of a graph: where they are strongest, and how strong they are here."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from wheatstone.models import Neuron, ResidualModel
from wheatstone.neurons._scan_read import Example, Scan
from wheatstone.runs import sound

_PASSAGES, _BEFORE, _AFTER = 4, 12, 3
"""Passages of a neuron, and tokens of each before and after the strongest."""


class EvidenceRow(NamedTuple):
    """A neuron of a graph in running text: a row of evidence.parquet.

    Args:
        node: its name in the graph, such as `m25.n1527@6`.
        value: its activation in the graph.
        below: share of the scan's positions at which it is lower; those in the same bin of the histogram count half.
        mean: of its activation in the scan.
        deviation: the standard deviation.
        least: its lowest.
        most: its highest.
        passages: where it is strongest, at the end where it is in the graph; the token in brackets.
        strengths: its activation there.
    """

    node: str
    value: float
    below: float
    mean: float
    deviation: float
    least: float
    most: float
    passages: list[str]
    strengths: list[float]


def scan_evidence(model: ResidualModel, scan: Scan, nodes: Iterable[tuple[str, float]]) -> tuple[EvidenceRow, ...]:
    """What a scan says about some neurons; those of layers that it did not read are left out.

    Args:
        model: the model that was scanned.
        scan: the scan.
        nodes: names of neurons at positions, each with its activation there.

    Raises:
        ModelError: the scan is of another model.
        RunError: a file of the scan is damaged.

    When this misleads: the strongest passages show one end of what a neuron responds to. An activation in the middle of
    its distribution may mean something else, or nothing.
    """
    scan.check(model)
    rows: list[EvidenceRow] = []
    with sound(scan.path):
        for name, value in nodes:
            neuron = Neuron.named(name.partition("@")[0])
            if str(neuron.layer) not in scan.manifest["neurons"]:
                continue
            found = scan.neuron(neuron)
            end = "max" if value >= found.mean else "min"
            shown = [example for example in found.examples if example.kind == end][:_PASSAGES]
            rows.append(
                EvidenceRow(
                    name,
                    value,
                    found.quantile(value),
                    found.mean,
                    found.variance**0.5,
                    found.min,
                    found.max,
                    [_passage(model, example) for example in shown],
                    [example.activation for example in shown],
                )
            )
    return tuple(rows)


def _passage(model: ResidualModel, example: Example) -> str:
    """The tokens around a place, that at the place in brackets."""
    first, at = max(0, example.position - _BEFORE), example.position
    texts = model.decode(example.ids[first : at + 1 + _AFTER])
    before, here, after = texts[: at - first], texts[at - first], texts[at - first + 1 :]
    space = " " * here.startswith(" ")
    return " ".join(f"{''.join(before)}{space}[{here.strip() or here}]{''.join(after)}".split())
