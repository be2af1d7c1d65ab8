"""ACDC as published: one edge at a time, from the logits backwards, is removed where its removal hardly matters.

    for every channel, last first; for every sender of it, last first:
        remove the edge if the metric of the present circuit then changes by less than τ

The decisions are those of that loop. They are reached faster: several removals in a row, each on top of the one before,
are the circuits of one batch, and are kept up to the first that the threshold forbids. Layers before the channel are
intact and run once; nodes that no longer reach the logits are not run, and their edges go without a run, because
removing them changes nothing.

Source: Conmy et al. 2023 (arXiv 2304.14997), algorithm 1 and section 3.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice, pairwise
from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from wheatstone._effects import direction_of
from wheatstone._errors import RequestError
from wheatstone._progress import Reporter, silent
from wheatstone._view import Brief
from wheatstone.circuits import Experiment

Keep = Literal["abs", "signed"]
Edge = tuple[int, int]
_SHORTEST, _LONGEST = 4, 64
"""Removals tested in one batch; twice as many as in the batch before."""


@dataclass(frozen=True)
class AcdcStep(Brief):
    """One batch of decisions.

    Args:
        channel: where it began.
        removed: edges removed by it.
        kept: the edge that the threshold forbade to remove, as (sender, channel); None where there was none.
        change: how much the metric would have changed without that edge, in units of the metric; 0 without one.
        value: metric of the circuit after it, mean over prompts.
    """

    channel: str
    removed: int
    kept: tuple[str, str] | None
    change: float
    value: float


@dataclass(frozen=True, eq=False)
class AcdcResult(Brief):
    """What ACDC kept.

    Args:
        keep: the circuit: kept edges on a path from `input` to the logits. A kept edge whose sender lost all its own
            inputs later carries its ablated output anyway; it is left out, and nothing changes.
        value: metric of the circuit, mean over prompts, units of the metric.
        faithfulness: of the circuit.
        trace: the batches of decisions.
        evaluations: circuits run.
    """

    keep: Bool[Tensor, "channel node"]
    value: float
    faithfulness: float
    trace: tuple[AcdcStep, ...]
    evaluations: int


def acdc(experiment: Experiment, threshold: float, *, keep: str = "abs", report: Reporter = silent) -> AcdcResult:
    """Prunes the whole graph edge by edge.

    Args:
        experiment: model, prompts, ablation and metric; the paper's is `kl` under `counterfactual`.
        threshold: τ, above 0, in units of the metric (logits, probability or nats).
        keep: `abs` keeps an edge where removing it changes the metric by τ or more either way; `signed`, as in the
            paper's code, only where it makes the metric worse by τ or more, so that edges which suppress the behaviour
            go.
        report: progress callback.

    Returns:
        The circuit and how it was found.

    Raises:
        RequestError: a threshold that is not above 0, another `keep`, or an experiment whose edges are distinguished by
            position.

    When this misleads: changes below τ add up, so τ bounds no faithfulness, and the same τ means another circuit under
    another metric. Which of two edges that back each other up survives depends on the order. `signed` circuits can
    exceed the model, for what holds the answer down is gone.
    """
    if not 0 < threshold < float("inf"):
        raise RequestError(
            expected="a threshold above 0, in units of the metric",
            got=str(threshold),
            do=f"try 0.05 {experiment.metric.unit}",
        )
    if keep not in get_args(Keep):
        raise RequestError(expected=f"one of {', '.join(get_args(Keep))}", got=repr(keep), do="choose one of these")
    return _Acdc(experiment, threshold, keep == "signed", report).run()


class _Acdc:
    """One pass; call `run` once."""

    def __init__(self, experiment: Experiment, threshold: float, signed: bool, report: Reporter) -> None:
        self.experiment, self.threshold, self.signed, self.report = experiment, threshold, signed, report
        self.graph = experiment.whole_graph
        self.worse = -direction_of(experiment.metric.name)
        """Which way the metric goes when a circuit gets worse."""
        self.started = experiment.evaluations
        self.keep = torch.from_numpy(self.graph.valid).clone()
        self.whole, _ = experiment.state(self.keep)
        self.trace: list[AcdcStep] = []

    def run(self) -> AcdcResult:
        """Decides every edge."""
        value, length = float(self.experiment.values(self.keep[None], resume=self.whole).mean()), _SHORTEST
        edges, queue = self._edges(), list[Edge]()
        while queue := queue + list(islice(edges, max(0, length - len(queue)))):
            candidates = self.keep.repeat(min(length, len(queue)), 1, 1)
            for index, edge in enumerate(queue[:length]):
                candidates[index:, *edge] = False
            values = self._values(candidates)
            changes = [after - before for before, after in pairwise([value, *values])]
            kept = next((index for index, change in enumerate(changes) if self._matters(change)), None)
            removed = len(values) if kept is None else kept
            if removed:
                self.keep, value = candidates[removed - 1], values[removed - 1]
            self._note(queue, removed, None if kept is None else changes[kept], value)
            queue = queue[removed + (kept is not None) :]
            length = min(max(2 * removed, _SHORTEST), _LONGEST)
        self.report("acdc", self.graph.edges, self.graph.edges)
        working = torch.from_numpy(self.graph.working_edges(self.keep.numpy()))
        faithfulness = float(self.experiment.faithfulness_of(torch.tensor([value], dtype=torch.float64)))
        used = self.experiment.evaluations - self.started
        return AcdcResult(working, value, faithfulness, tuple(self.trace), used)

    def _matters(self, change: float) -> bool:
        return (self.worse * change if self.signed else abs(change)) >= self.threshold

    def _edges(self) -> Iterator[Edge]:
        """Every edge in the order of decision, but for those into nodes that do not reach the logits any more."""
        graph = self.graph
        for channel in reversed(range(len(graph.channels))):
            if channel == graph.logits_channel or self._needed(channel):
                for node in reversed(range(graph.senders[channel])):
                    yield channel, node
            else:
                self.keep[channel] = False

    def _needed(self, channel: int) -> bool:
        needed = np.flatnonzero(self.graph.needed_nodes(self.keep.numpy()))
        return any(channel in self.graph.channels_of(int(node)) for node in needed)

    def _values(self, candidates: Bool[Tensor, "circuit channel node"]) -> list[float]:
        """The metric of each circuit. All are part of the present circuit, so its nodes are enough."""
        nodes = torch.from_numpy(self.graph.needed_nodes(self.keep.numpy()))
        state = replace(self.whole, nodes=nodes.nonzero()[:, 0].tolist(), deltas=self.whole.deltas[nodes])
        return self.experiment.values(candidates, resume=state).mean(-1).tolist()

    def _note(self, queue: list[Edge], removed: int, change: float | None, value: float) -> None:
        graph = self.graph
        channel, node = queue[removed if change is not None else removed - 1]
        kept = None if change is None else (graph.nodes[node], graph.channels[channel])
        self.trace.append(AcdcStep(graph.channels[queue[0][0]], removed, kept, change or 0.0, value))
        self.report("acdc", graph.edges - int(graph.senders[:channel].sum()) - node, graph.edges)
