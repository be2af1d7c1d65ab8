"""How much some nodes of a circuit matter together: they are run alone and left out, not summed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool
from torch import Tensor

from wheatstone._errors import RequestError
from wheatstone._progress import Reporter, silent
from wheatstone._view import Brief
from wheatstone.circuits import Circuit, Experiment
from wheatstone.models import Graph, ResidualModel, SpannedGraph
from wheatstone.tasks import PromptPair
from wheatstone.verification._verify import Verification, verify_in


@dataclass(frozen=True)
class SelectionResult(Brief):
    """How some nodes of a circuit do alone, and how the model does without them.

    Args:
        nodes: which ones.
        edges: of the circuit that join them with each other, the input and the logits.
        alone: these edges as a circuit: its faithfulness is what the nodes give by themselves.
        written: all edges of the model that leave the nodes: its completeness is what is lost when the nodes write what
            the ablation writes, and its complement is the model without them.
    """

    nodes: tuple[str, ...]
    edges: int
    alone: Verification
    written: Verification


def verify_nodes(
    model: ResidualModel,
    circuit: Circuit,
    nodes: Sequence[str],
    pairs: Sequence[PromptPair],
    *,
    split: str = "given prompts",
    allow_weak: bool | None = None,
    report: Reporter = silent,
) -> SelectionResult:
    """Measures nodes of a circuit together, as a circuit of their own and as an ablation.

    Args:
        model: the model the circuit belongs to.
        circuit: its ablation and metric are used.
        nodes: names such as `a23.h4` or `m17`, each meant at every position.
        pairs: the prompts.
        split: which prompts these are, for the result.
        allow_weak: what to do about prompts that leave little to explain, as in `Experiment`.
        report: progress callback.

    Raises:
        RequestError: no node is given, or the model lacks one.
        PromptError: the prompts cannot be compared, or leave nothing to explain.

    When this misleads: nodes that only prepare what others read give little alone, and much is lost without them. What
    other nodes make up for when these are left out is not counted as theirs.
    """
    experiment = Experiment.of(circuit, model, pairs, allow_weak=allow_weak)
    graph = experiment.graph
    whole = graph.whole if isinstance(graph, SpannedGraph) else graph
    lacking = [name for name in nodes if name not in whole.node_index]
    if lacking or not nodes:
        raise RequestError(
            expected=f"nodes of {model.id}, such as {whole.nodes[1]}",
            got=repr(lacking[0]) if lacking else "none",
            do="select heads or MLPs of the circuit",
        )
    keep = circuit.mask(graph)
    among = keep & _reading(whole, nodes)[:, None] & _writing(graph, {whole.nodes[0], *nodes})[None]
    written = torch.from_numpy(graph.valid) & _writing(graph, set(nodes))[None]
    alone = verify_in(experiment, among, draws=1, split=split, report=report)
    return SelectionResult(
        nodes=tuple(nodes),
        edges=int(among.sum()),
        alone=alone,
        written=verify_in(experiment, written, draws=1, split=split, report=report),
    )


def _reading(whole: Graph, nodes: Sequence[str]) -> Bool[Tensor, " channel"]:
    """The channels that some nodes read, and the logits'."""
    reads = torch.zeros(len(whole.channels), dtype=torch.bool)
    reads[[whole.logits_channel, *(at for name in nodes for at in whole.channels_of(whole.node_index[name]))]] = True
    return reads


def _writing(graph: Graph, nodes: set[str]) -> Bool[Tensor, " node"]:
    """The nodes of a graph that are some nodes, at any position."""
    return torch.tensor([name.partition("@")[0] in nodes for name in graph.nodes])
