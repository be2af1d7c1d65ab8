"""The graph of one prompt: tokens, heads and neurons, what passes between them, and what they hold."""

from __future__ import annotations

import json
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
from wheatstone.graphs._clock import Clock
from wheatstone.graphs._edges import edges_of
from wheatstone.graphs._enough import enough_nodes
from wheatstone.graphs._influence import prune
from wheatstone.graphs._learn import SETS
from wheatstone.graphs._networkx import networkx_of
from wheatstone.graphs._nodes import Node, NodeAxis
from wheatstone.graphs._proof import SetProof, ablated_target, prove, single_effects
from wheatstone.graphs._question import Case, Question, counterfactual_baseline, mean_baseline, zero_baseline
from wheatstone.graphs._rank import STEPS as RANKING_STEPS
from wheatstone.graphs._rank import node_slopes
from wheatstone.graphs._rows import EdgeRow, NodeRow, edge_rows, grouped, node_rows
from wheatstone.graphs._settings import GraphSettings
from wheatstone.graphs._supernodes import Supernode
from wheatstone.models import LINEAR, ResidualModel, channel_gradient_bytes, memory_room, run_nodes
from wheatstone.runs import Table
from wheatstone.tasks import PromptPair

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
        held_out: the same under counterfactuals that the nodes were not chosen with; may be empty.
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
    held_out: tuple[SetProof, ...]
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
        return networkx_of(
            [row._asdict() for row in self.rows],
            [edge._asdict() for edge in self.edges],
            target=self.target,
            prompt=self.question.prompt,
        )


def graph(
    model: ResidualModel,
    prompt: str,
    answer: str | Sequence[str],
    *,
    counterfactual: str | Sequence[str] = (),
    distractor: str | Sequence[str] = (),
    further: Sequence[PromptPair] = (),
    held_out: Sequence[PromptPair] = (),
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
        further: pairs of this prompt with further counterfactuals, each with distractors of its own, as
            `counterfactuals_among` finds them in a task. Without `counterfactual` the first is shown, compared with
            `distractor` if there is one.
        held_out: pairs with other counterfactuals, under which the kept nodes are run when all is done.
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
    settings.check(len(texts) + len(further))
    NodeAxis.of(model, 1)  # refuses a mixture of experts, before the model runs
    clock = Clock()
    if further and not texts:
        distractors = distractors or further[0].distractors
    question = Question.of(model, prompt, answers, distractors, settings.target)
    check(question.clean.logits[0])
    axis = NodeAxis.of(model, question.tokens.width)
    _check_memory(question, settings)
    ablation = settings.ablation or ("counterfactual" if texts or further else "mean")
    if ablation == "counterfactual":
        firsts = texts or tuple(pair.counterfactual for pair in further[:1])  # compared with the distractors given
        cases = [Case(question, counterfactual_baseline(question, text)) for text in firsts]
        cases += [_case(question, pair) for pair in (further if texts else further[1:])]
    else:
        made = mean_baseline(question, report=report) if ablation == "mean" else zero_baseline(question)
        cases = [Case(question, made)]
    baseline = cases[0].baseline
    clock.mark("baselines")
    if settings.verify:
        kept = enough_nodes(cases, axis, settings, report)
    else:
        slopes = node_slopes(question, axis, baseline)
        kept = torch.zeros(axis.size, dtype=torch.bool)
        kept[slopes.abs().argsort(descending=True, stable=True)[: settings.nodes]] = True
    clock.mark("choosing nodes")
    places = kept.nonzero()[:, 0].tolist()
    pairs = sorted((axis.node(place), place) for place in places)
    tokens = [Node(-1, "token", 0, position) for position in range(question.tokens.width)]
    nodes = [*tokens, *(node for node, _ in pairs)]
    run = run_nodes(model, question.tokens, loss=question.measure, rules=LINEAR)
    edges = edges_of(model, question.tokens, run, baseline, nodes)
    always = torch.tensor([node.kind == "token" for node in nodes])
    pruned = prune(
        edges, always, nodes=1.0 if settings.verify else settings.node_threshold, threshold=settings.edge_threshold
    )
    clock.mark("edges")
    # A verified set stays whole, also where its last node has no edge left that is strong enough to show.
    shown = torch.ones_like(pruned.nodes) if settings.verify else pruned.nodes
    held = torch.zeros(1, axis.size, dtype=torch.bool)
    held[0, [place for (_, place), keep in zip(pairs, shown[len(tokens) :].tolist(), strict=True) if keep]] = True
    others = [_case(question, pair) for pair in held_out]
    proofs, unseen = (
        tuple(prove(case.question, axis, case.baseline, held)[0] for case in each) for each in (cases, others)
    )
    plain = node_slopes(question, axis, baseline, steps=1, rules=None)
    strongest = sorted(held[0].nonzero()[:, 0].tolist(), key=lambda place: -abs(float(plain[place])))[: settings.exact]
    effects = dict(zip(strongest, single_effects(question, axis, baseline, strongest).tolist(), strict=True))
    clock.mark("exact runs")
    found = node_rows(question, baseline, nodes, dict(pairs), edges, pruned, plain, effects)
    target = _target_name(question, answers, distractors)
    names = [*map(str, nodes)]
    rows, supernodes = grouped(model, nodes, names, edges, shown, found, target)
    clock.mark("words")
    clean = float(question.measure(question.clean.logits))
    return NeuronGraph(
        question,
        settings,
        rows,
        edge_rows(names, edges, pruned.edges),
        supernodes,
        proofs,
        unseen,
        target,
        clean,
        float(ablated_target(question, axis, baseline)),
        edges.rounding,
        clock.seconds,
    )


def _case(question: Question, pair: PromptPair) -> Case:
    """The question under a counterfactual, compared with its answer."""
    return Case(question.against(pair.distractors), counterfactual_baseline(question, pair.counterfactual))


def _texts(given: str | Sequence[str]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)


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
