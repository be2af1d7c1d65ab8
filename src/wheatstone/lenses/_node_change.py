"""Changes to nodes and neurons, as interventions on the run of one prompt.

Source: activation patching, Vig et al. 2020 (arXiv 2004.12265).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from wheatstone._errors import RequestError
from wheatstone._view import Brief
from wheatstone.models import Intervention, KnockOut, Neuron, Replace, ResidualModel, Scale
from wheatstone.tasks import PromptPair, encode


@dataclass(frozen=True)
class NodeChange(Brief):
    """What is done to a node.

    Args:
        node: of the model's graph, such as `a23.h4`, or a neuron, such as `m29.n392`.
        how: `ablate` writes nothing, `scale` writes `factor` times as much, `patch` writes what the node writes on the
            counterfactual.
        factor: of `scale`.
        positions: where in the prompt; None for everywhere.
    """

    node: str
    how: Literal["ablate", "scale", "patch"]
    factor: float = 1.0
    positions: tuple[int, ...] | None = None


def node_interventions(model: ResidualModel, pair: PromptPair, changes: Sequence[NodeChange]) -> list[Intervention]:
    """The interventions that make some changes.

    Args:
        model: the model.
        pair: the prompt, and the counterfactual that `patch` takes from.
        changes: in the order they act.

    Returns:
        One for each change. In a generation, `patch` acts on the prompt alone; the others also act on what is written,
        unless they have positions.

    Raises:
        RequestError: a node that is not there.
        PromptError: a change is `patch` and the pair does not line up.
    """
    names = frozenset(model.graph.nodes)
    for change in changes:
        if change.node not in names and Neuron.find(change.node) is None:
            raise RequestError(
                expected=f"a node or neuron of {model.id}, such as {model.graph.nodes[1]} or m0.n1",
                got=repr(change.node),
                do="pin a head, an MLP or a neuron; an edge cannot be changed alone",
            )
    if not any(change.how == "patch" for change in changes):
        return [_intervention(change) for change in changes]
    encoded = encode(model, [pair])
    source, everywhere = model(encoded.counterfactual), tuple(range(encoded.clean.width))
    return [
        Replace(at=change.node, value=source[change.node], positions=change.positions or everywhere)
        if change.how == "patch"
        else _intervention(change)
        for change in changes
    ]


def _intervention(change: NodeChange) -> Intervention:
    if change.how == "scale":
        return Scale(at=change.node, factor=change.factor, positions=change.positions)
    return KnockOut(at=change.node, positions=change.positions)
