"""How much some nodes of a circuit matter together: they are run alone and left out, not summed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from wheatstone._errors import RequestError
from wheatstone._intervals import ratio_interval
from wheatstone._progress import Reporter, silent
from wheatstone._view import Brief
from wheatstone.circuits import Circuit, Experiment
from wheatstone.models import Graph, Replace, SpannedGraph
from wheatstone.tasks import mean_by_prompt
from wheatstone.verification._verify import Reading, readings, recovered

With = Literal["model", "alone", "without"]


@dataclass(frozen=True)
class SelectionResult(Brief):
    """How some nodes of a circuit do alone, and how the model does without them.

    Args:
        nodes: which ones.
        edges: of the circuit that join them with each other, the input and the logits.
        alone: faithfulness of these edges as a circuit: what the nodes give by themselves.
        alone_interval: its 95% interval over prompts, None for fewer than four.
        lost: share of the metric that the model loses when the nodes write what the ablation writes.
        lost_interval: its 95% interval over prompts, None for fewer than four.
        prompts: of each prompt the readings of the `model`, of the nodes `alone` and of the model `without` them,
            against the first of its counterfactuals.
    """

    nodes: tuple[str, ...]
    edges: int
    alone: float
    alone_interval: tuple[float, float] | None
    lost: float
    lost_interval: tuple[float, float] | None
    prompts: tuple[dict[With, Reading], ...]


def verify_nodes(
    experiment: Experiment, circuit: Circuit, nodes: Sequence[str], *, report: Reporter = silent
) -> SelectionResult:
    """Measures nodes of a circuit together, as a circuit of their own and as an ablation.

    Args:
        experiment: the prompts, with the circuit's model, ablation and metric, see `Experiment.of`.
        circuit: whose edges may join the nodes.
        nodes: names such as `a23.h4` or `m17`, each meant at every position.
        report: progress callback.

    Raises:
        RequestError: no node is given, or the model lacks one.

    When this misleads: nodes that only prepare what others read give little alone, and much is lost without them. What
    other nodes make up for when these are left out is not counted as theirs.
    """
    model, graph = experiment.model, experiment.graph
    whole = graph.whole if isinstance(graph, SpannedGraph) else graph
    lacking = [name for name in nodes if name not in whole.node_index]
    if lacking or not nodes:
        raise RequestError(
            expected=f"nodes of {model.id}, such as {whole.nodes[1]}",
            got=repr(lacking[0]) if lacking else "none",
            do="select heads or MLPs of the circuit",
        )
    among = circuit.mask(graph) & _reading(whole, nodes)[:, None] & _writing(graph, {whole.nodes[0], *nodes})[None]
    report("measuring", 0, 2)
    alone = experiment.logits(among[None])[0]
    report("measuring", 1, 2)
    without = _without(experiment, whole, nodes)
    report("measuring", 2, 2)
    logits: dict[With, Tensor] = {"model": experiment.clean_logits, "alone": alone, "without": without}
    empty = _by_prompt(experiment, experiment.corrupt_logits)
    clean, kept, left = (_by_prompt(experiment, rows) for rows in logits.values())
    pairs = experiment.encoded.pairs
    rows = zip(pairs, *(readings(experiment, rows) for rows in logits.values()), strict=True)
    by_prompt = {pair.prompt: dict(zip(logits, row, strict=True)) for pair, *row in reversed(list(rows))}
    return SelectionResult(
        nodes=tuple(nodes),
        edges=int(among.sum()),
        alone=recovered(kept, clean, empty),
        alone_interval=ratio_interval(kept - empty, clean - empty),
        lost=1 - recovered(left, clean, empty),
        lost_interval=ratio_interval(clean - left, clean - empty),
        prompts=tuple(by_prompt[prompt] for prompt in dict.fromkeys(pair.prompt for pair in pairs)),
    )


def _without(experiment: Experiment, whole: Graph, nodes: Sequence[str]) -> Float[Tensor, "batch vocab"]:
    """The model whose nodes write what the ablation writes."""
    if whole.split:  # a neuron among the nodes is no place of the plain forward pass
        kept = torch.from_numpy(experiment.graph.valid) & ~_writing(experiment.graph, set(nodes))[None]
        return experiment.logits(kept[None])[0]
    ablated = experiment.ablated_outputs.some([whole.node_index[name] for name in nodes])
    written = [Replace(at=name, value=value) for name, value in zip(nodes, ablated, strict=True)]
    return experiment.model.forward_with(experiment.encoded.clean, written).logits


def _by_prompt(experiment: Experiment, logits: Float[Tensor, "batch vocab"]) -> np.ndarray:
    """The metric of each prompt, a mean over its counterfactuals."""
    return mean_by_prompt(experiment.encoded.pairs, experiment.values_of(logits[None]).double().cpu().numpy())[0]


def _reading(whole: Graph, nodes: Sequence[str]) -> Bool[Tensor, " channel"]:
    """The channels that some nodes read, and the logits'."""
    reads = torch.zeros(len(whole.channels), dtype=torch.bool)
    reads[[whole.logits_channel, *(at for name in nodes for at in whole.channels_of(whole.node_index[name]))]] = True
    return reads


def _writing(graph: Graph, nodes: set[str]) -> Bool[Tensor, " node"]:
    """The nodes of a graph that are some nodes, at any position."""
    return torch.tensor([name.partition("@")[0] in nodes for name in graph.nodes])
