"""The graph of one prompt: tokens, heads and neurons, what passes between them, and what they hold."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor

from wheatstone._errors import RequestError
from wheatstone._progress import Reporter, silent
from wheatstone._text import count
from wheatstone._view import Tabular
from wheatstone.graphs._edges import edges_of
from wheatstone.graphs._enough import enough_nodes
from wheatstone.graphs._influence import prune
from wheatstone.graphs._learn import SETS
from wheatstone.graphs._nodes import Node, NodeAxis
from wheatstone.graphs._proof import SetProof, ablated_target, prove, single_effects
from wheatstone.graphs._question import Question, counterfactual_baseline, mean_baseline, zero_baseline
from wheatstone.graphs._rank import STEPS as RANKING_STEPS
from wheatstone.graphs._rank import node_slopes
from wheatstone.graphs._rows import EdgeRow, NodeRow, edge_rows, grouped, node_rows
from wheatstone.graphs._settings import GraphSettings
from wheatstone.graphs._supernodes import Supernode
from wheatstone.models import LINEAR, ResidualModel, channel_gradient_bytes, memory_room, run_nodes
from wheatstone.runs import Table

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, eq=False, repr=False)
class NeuronGraph(Tabular):
    """How a model gets from a prompt's tokens to its answer, in heads and neurons.

    Args:
        question: what is explained.
        settings: how it was made.
        rows: the kept nodes, in the order in which they write.
        edges: the kept edges.
        supernodes: groups of neurons that send alike.
        proofs: exact runs of the kept heads and neurons, under each counterfactual or other baseline.
        target: what the target is called, such as `' French' rather than ' Japanese'`.
        clean: its value on the prompt, in logits.
        ablated: its value with all nodes ablated.
        linear_residual: how far the edges into a node are from adding up, relative; rounding alone.
        seconds: that it took, by stage.
    """

    question: Question
    settings: GraphSettings
    rows: tuple[NodeRow, ...]
    edges: tuple[EdgeRow, ...]
    supernodes: tuple[Supernode, ...]
    proofs: tuple[SetProof, ...]
    target: str
    clean: float
    ablated: float
    linear_residual: float
    seconds: dict[str, float] = field(default_factory=dict[str, float])

    @property
    def enough(self) -> bool:
        """Whether the kept nodes alone hold the answer under every baseline that they were proven with."""
        return all(proof.enough for proof in self.proofs)

    def to_arrow(self) -> pa.Table:
        """The kept nodes as an Arrow table."""
        return Table.of(NodeRow, self.rows).to_arrow()

    def _title(self) -> str:
        first = self.proofs[0]
        return (
            f"NeuronGraph({self.question.prompt!r} -> {self.target}: {count(len(self.rows), 'node')}, "
            f"{count(len(self.edges), 'edge')}; "
            f"alone they keep {first.faithfulness:.2f} under {first.baseline})"
        )

    def to_networkx(self) -> Any:
        """The graph as a `networkx.DiGraph`, with the columns of the tables as attributes."""
        import networkx

        graph = networkx.DiGraph(target=self.target, prompt=self.question.prompt)
        for row in self.rows:
            graph.add_node(row.node, **row._asdict())
        graph.add_node("target", kind="target", name=self.target)
        for edge in self.edges:
            graph.add_edge(edge.sender, edge.receiver, weight=edge.weight, share=edge.share)
        return graph


def graph(
    model: ResidualModel,
    prompt: str,
    answer: str | Sequence[str],
    *,
    counterfactual: str | Sequence[str] = (),
    distractor: str | Sequence[str] = (),
    settings: GraphSettings | None = None,
    check: Callable[[Float[Tensor, " vocab"]], object] = lambda _logits: None,
    report: Reporter = silent,
) -> NeuronGraph:
    """Draws how a model gets from a prompt to its answer, in tokens, heads and neurons, and proves what they hold.

    Args:
        model: every MLP of which has neurons.
        prompt: the text; the next token is what is explained.
        answer: the continuation that is explained, with its leading space; or several that count as one.
        counterfactual: prompts of the same length with another answer. Edges show the difference to the first; a
            verified graph holds under all of them.
        distractor: what the answer is compared with, usually a counterfactual's answer.
        settings: how; by default a quick graph.
        check: given the model's logits after the prompt, before anything else is done; may raise.
        report: progress callback.

    Raises:
        ModelError: the model has a mixture of experts.
        PromptError: the prompts cannot be compared, or the answer does not continue the prompt.
        RequestError: settings that do not go together, or a prompt too long for memory.

    When this misleads: edges add up under linear rules, which are an approximation of the model; only `proofs` and
    `effect` are exact. A quick graph keeps what is influential, and that is seldom enough to give the answer alone. A
    set that is enough is one of many, and may fail under a counterfactual that it was not made with.
    """
    settings = settings or GraphSettings()
    texts, answers, distractors = map(_texts, (counterfactual, answer, distractor))
    settings.check(len(texts))
    clock = _Clock()
    question = Question.of(model, prompt, answers, distractors, settings.target)
    check(question.clean.logits[0])
    axis = NodeAxis.of(model, question.tokens.width)
    _check_memory(question, settings)
    ablation = settings.ablation or ("counterfactual" if texts else "mean")
    if ablation == "counterfactual":
        baselines = [counterfactual_baseline(question, text) for text in texts]
    elif ablation == "mean":
        baselines = [mean_baseline(question, report=report)]
    else:
        baselines = [zero_baseline(question)]
    clock.mark("baselines")
    slopes = node_slopes(question, axis, baselines[0])
    clock.mark("ranking")
    if settings.verify:
        kept = enough_nodes(question, axis, baselines, slopes, settings, report)
    else:
        kept = torch.zeros(axis.size, dtype=torch.bool)
        kept[slopes.abs().argsort(descending=True, stable=True)[: settings.nodes]] = True
    clock.mark("choosing nodes")
    places = kept.nonzero()[:, 0].tolist()
    pairs = sorted((axis.node(place), place) for place in places)
    tokens = [Node(-1, "token", 0, position) for position in range(question.tokens.width)]
    nodes = [*tokens, *(node for node, _ in pairs)]
    run = run_nodes(model, question.tokens, loss=question.measure, rules=LINEAR)
    edges = edges_of(model, question.tokens, run, baselines[0], nodes)
    always = torch.tensor([node.kind == "token" for node in nodes])
    pruned = prune(
        edges, always, nodes=1.0 if settings.verify else settings.node_threshold, threshold=settings.edge_threshold
    )
    clock.mark("edges")
    # A verified set stays whole, also where its last node has no edge left that is strong enough to show.
    shown = torch.ones_like(pruned.nodes) if settings.verify else pruned.nodes
    held = torch.zeros(1, axis.size, dtype=torch.bool)
    held[0, [place for (_, place), keep in zip(pairs, shown[len(tokens) :].tolist(), strict=True) if keep]] = True
    proofs = [prove(question, axis, baseline, held)[0] for baseline in baselines]
    plain = node_slopes(question, axis, baselines[0], steps=1, rules=None)
    strongest = sorted(held[0].nonzero()[:, 0].tolist(), key=lambda place: -abs(float(plain[place])))[: settings.exact]
    effects = dict(zip(strongest, single_effects(question, axis, baselines[0], strongest).tolist(), strict=True))
    clock.mark("exact runs")
    found = node_rows(question, baselines[0], nodes, dict(pairs), edges, pruned, plain, effects)
    target = _target_name(question, answers, distractors)
    rows, supernodes = grouped(question, nodes, edges, shown, found, target)
    clock.mark("words")
    clean = float(question.measure(question.clean.logits))
    return NeuronGraph(
        question,
        settings,
        rows,
        edge_rows(nodes, edges, pruned.edges),
        supernodes,
        tuple(proofs),
        target,
        clean,
        float(ablated_target(question, axis, baselines[0])),
        edges.rounding,
        clock.seconds,
    )


def _texts(given: str | Sequence[str]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)


class _Clock:
    """Seconds by stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def mark(self, stage: str) -> None:
        """Ends a stage."""
        now = time.perf_counter()
        self.seconds[stage], self._last = now - self._last, now


def _check_memory(question: Question, settings: GraphSettings) -> None:
    """Refuses a prompt whose backward passes do not fit.

    Raises:
        RequestError: they do not.
    """
    model, tokens = question.model, question.tokens
    need = max(RANKING_STEPS, SETS if settings.verify else 0) * channel_gradient_bytes(model, tokens, 1, LINEAR)
    if need > (budget := memory_room(model.device)):
        raise RequestError(
            expected=f"a prompt whose graph takes at most {budget / 1e9:.1f} GB",
            got=f"{count(tokens.width, 'token')}, some {need / 1e9:.1f} GB",
            do="shorten the prompt, or free memory",
        )


def _target_name(question: Question, answers: Sequence[str], distractors: Sequence[str]) -> str:
    """What the target is called."""
    if question.weights is not None:
        return f"the {len(question.answers)} likeliest tokens"
    said, others = (
        " or ".join(json.dumps(text, ensure_ascii=False) for text in texts) for texts in (answers, distractors)
    )
    return said if question.distractors is None else f"{said} rather than {others}"
