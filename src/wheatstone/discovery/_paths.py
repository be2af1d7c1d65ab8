"""Path patching: what a node does to the answer along chosen paths alone.

A sender's output is replaced by its ablated one for the receivers only, directly or also through the MLPs between
them; heads between keep what they wrote on the clean prompt. What the receivers then read differently goes on to the
logits as in any run.

    effect(s → R) = metric(clean run) − metric(run with the paths from s to the channels R ablated)

under `kl`, where more is worse, the other way round: a positive effect always supports the behaviour.

Direct paths to R are edges, and then this is exactly the circuit without the edges s → r, r in R. Where one receiver
feeds another, the later one reads also what the earlier one changed, as in the tree of all paths.

Sources: Goldowsky-Dill et al. 2023 (arXiv 2304.05969), section 3; Wang et al. 2022 (arXiv 2211.00593), section 3.1
and appendix B, whose published procedure instead fixes a receiver's input: the same unless receivers feed each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from wheatstone._effects import direction_of
from wheatstone._errors import CircuitError, RequestError, check_choice
from wheatstone._progress import Reporter, silent
from wheatstone._view import Brief
from wheatstone.circuits import Experiment
from wheatstone.models import Graph

Through = Literal["mlps", "direct"]
_PATHS = 256
"""Senders times prompts that run together."""


@dataclass(frozen=True, eq=False)
class PathEffects(Brief):
    """What each sender does to the metric along the chosen paths.

    Args:
        senders: of each run; several nodes ablated together are joined by `+`.
        receivers: the channels where the paths end.
        through: `mlps` or `direct`.
        values: effects on each prompt, in units of the metric; positive supports it.
        logits: of each run at each prompt's last position; None where they were not asked for.
    """

    senders: tuple[str, ...]
    receivers: tuple[str, ...]
    through: str
    values: Float[Tensor, "sender batch"]
    logits: Float[Tensor, "sender batch vocab"] | None

    def ranking(self) -> list[tuple[str, float]]:
        """Senders with their mean effects, largest |effect| first."""
        means = self.values.mean(-1)
        return [(self.senders[i], float(means[i])) for i in means.abs().argsort(descending=True, stable=True).tolist()]


def path_patching(
    experiment: Experiment,
    senders: Sequence[str | Sequence[str]] | None = None,
    receivers: Sequence[str] = ("logits",),
    *,
    through: str = "mlps",
    logits: bool = False,
    report: Reporter = silent,
) -> PathEffects:
    """Ablates senders along paths to receivers alone, many senders in one pass.

    Args:
        experiment: model, prompts, ablation and metric.
        senders: nodes such as `a14.h7`, `m3` or `input`, each in a run of its own; a sequence of nodes is ablated
            together. Every node before a receiver by default.
        receivers: channels such as `a23.h4<q>`, `a23.g1<v>`, `m17` or `logits`, all in every run.
        through: `mlps`, the direct edges and every way through MLPs between (as in Wang et al.); `direct`, the
            edges alone.
        logits: also return each run's logits, vocab numbers per sender and prompt.
        report: progress callback.

    Returns:
        Effects on the CPU.

    Raises:
        CircuitError: no such node or channel.
        RequestError: a sender that comes after every receiver, no receiver, another way through, or an experiment whose
            edges are distinguished by position.

    When this misleads: paths through other heads are left out on purpose, so effects of all senders neither add up
    to the whole nor show what a sender does by way of another head. Under `zero` and `mean` MLPs between read a
    stream that no prompt has.
    """
    graph = experiment.whole_graph
    check_choice("a way through", through, get_args(Through))
    if not receivers:
        raise RequestError(expected="at least one receiver", got="none", do="name a channel, such as logits")
    ends = [_index(graph, name, graph.channel_index, "channel, such as a0.h0<q>, a0.g0<k>, m0") for name in receivers]
    before = max(int(graph.senders[channel]) for channel in ends)
    named = graph.nodes[:before] if senders is None else senders
    groups = [(group,) if isinstance(group, str) else tuple(group) for group in named]
    chosen = torch.zeros(len(groups), len(graph.nodes), dtype=torch.bool)
    for row, group in zip(chosen, groups, strict=True):
        row[[_index(graph, name, graph.node_index, "node, such as a0.h0, m0") for name in group]] = True
        if not row[:before].any():
            raise RequestError(
                expected=f"a sender that comes before {' or '.join(receivers)}",
                got=" + ".join(group) or "no node",
                do="choose an earlier sender or a later receiver",
            )
    model, direction = experiment.model, direction_of(experiment.metric.name)
    plain = model.streams(experiment.encoded.clean)
    together = max(1, _PATHS // plain.tokens.batch)
    values: list[Tensor] = []
    kept: list[Tensor] = []
    for start in range(0, len(groups), together):
        report("patching paths", start, len(groups))
        rows = chosen[start : start + together]
        found = model.path_logits(
            plain, experiment.ablated, rows, ends, mlps=through == "mlps", budget=experiment.memory
        )
        values.append((direction * (experiment.clean - experiment.values_of(found))).cpu())
        if logits:
            kept.append(found.cpu())
    experiment.evaluations += len(groups)
    report("patching paths", len(groups), len(groups))
    names = tuple("+".join(graph.named(name) for name in group) for group in groups)
    channels = tuple(graph.channels[channel] for channel in ends)
    return PathEffects(names, channels, through, torch.cat(values), torch.cat(kept) if logits else None)


def _index(graph: Graph, name: str, known: dict[str, int], what: str) -> int:
    found = known.get(graph.named(name))
    if found is None:
        raise CircuitError(
            expected=f"a {what} of a model with {graph.layers} layers, {graph.heads} heads "
            f"and {graph.kv_groups} KV groups",
            got=repr(name),
            do="choose one that the model has; keys and values belong to KV groups",
        )
    return found
