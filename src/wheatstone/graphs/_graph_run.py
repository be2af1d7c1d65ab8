"""A graph of one prompt as a run: its document, nodes, edges, and the file that circuit-tracer and Neuronpedia read."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import Any

from jaxtyping import Float
from torch import Tensor

from wheatstone._errors import PromptError
from wheatstone._path import StrPath
from wheatstone._progress import Reporter, silent
from wheatstone._text import count
from wheatstone._view import Brief
from wheatstone.graphs._graph import NeuronGraph, graph
from wheatstone.graphs._interchange import to_circuit_tracer
from wheatstone.graphs._proof import SetProof
from wheatstone.graphs._rows import EdgeRow, NodeRow
from wheatstone.graphs._settings import GraphSettings
from wheatstone.models import ResidualModel, continued, manifest_without_prompts
from wheatstone.runs import Table, write_json, write_table
from wheatstone.tasks import ModelAnswers, PromptPair, counterfactuals_among, model_answer

_HELD_OUT = 6
"""Counterfactuals out of a task that a graph is judged under, at most."""


@dataclass(frozen=True, eq=False)
class GraphRun(Brief):
    """A graph, ready to be saved.

    Args:
        graph: the graph.
        answers: that were asked for.
        distractors: likewise.
        counterfactuals: prompts that nodes were ablated to.
        held_out: others, which the nodes were judged under alone.
        said: what the model itself says at the prompt.
    """

    graph: NeuronGraph
    answers: tuple[str, ...]
    distractors: tuple[str, ...]
    counterfactuals: tuple[str, ...]
    held_out: tuple[str, ...]
    said: ModelAnswers

    def summary(self) -> dict[str, Any]:
        """What `graph.json` holds and the command prints."""
        graph, model = self.graph, self.graph.question.model
        return {
            "prompt": graph.question.prompt,
            "tokens": model.decode(graph.question.tokens.ids[0].tolist()),
            "answers": list(self.answers),
            "distractors": list(self.distractors),
            "counterfactuals": list(self.counterfactuals),
            "target": {"name": graph.target, "clean": graph.clean, "ablated": graph.ablated},
            "nodes": len(graph.rows),
            "edges": len(graph.edges),
            "enough": graph.enough,
            "learned": graph.settings.verify,
            "proofs": [_proof(model, proof) for proof in graph.proofs],
            "held_out": [
                {"counterfactual": text, **_proof(model, proof)}
                for text, proof in zip(self.held_out, graph.held_out, strict=True)
            ],
            "supernodes": [asdict(one) for one in graph.supernodes],
            "linear_residual": graph.linear_residual,
            "model_answers": self.said.to_dict(),
        }

    def save(self, folder: StrPath) -> None:
        """Writes all files of the run into a folder."""
        folder = Path(folder)
        graph = self.graph
        settings = asdict(graph.settings)
        manifest = manifest_without_prompts(
            graph.question.model, "graph", settings, seed=graph.settings.seed, seconds=graph.seconds
        )
        prompt = {"prompt": graph.question.prompt, "answers": list(self.answers)}
        write_json(folder / "manifest.json", {**manifest, "prompts": [prompt]})
        write_json(folder / "graph.json", self.summary())
        write_json(folder / "circuit-tracer.json", to_circuit_tracer(graph))
        write_table(Table(NodeRow, graph.rows), folder / "nodes.parquet")
        write_table(Table(EdgeRow, graph.edges), folder / "edges.parquet")


def run_graph(
    model: ResidualModel,
    prompt: str,
    answers: Sequence[str],
    *,
    distractors: Sequence[str] = (),
    counterfactuals: Sequence[str] = (),
    others: Sequence[PromptPair] = (),
    settings: GraphSettings,
    allow_weak: bool | None = None,
    report: Reporter = silent,
) -> GraphRun:
    """Makes a graph, and says what the model itself answers.

    Args:
        model: the model.
        prompt: the prompt.
        answers: right continuations.
        distractors: wrong ones.
        counterfactuals: prompts of the same length with another answer.
        others: a task's pairs. Those prompts that can be counterfactuals too, and are not given, are divided at random:
            up to six to judge the nodes under, and as many as the settings say to choose the nodes with.
        settings: how.
        allow_weak: False refuses a prompt whose answer the model itself does not give.
        report: progress callback.

    Raises:
        PromptError: see `graph`, or a weak answer.
        RequestError: see `graph`.
    """
    fit = counterfactuals_among(model, prompt, answers, others) if others else []
    given = [model.encode(text) for text in counterfactuals]
    fit = [pair for pair in fit if model.encode(pair.counterfactual) not in given]
    if others and len(fit) < 2:
        raise PromptError(
            expected="a task with two prompts or more that differ from this one in their subject alone, as many tokens",
            got=f"{count(len(fit), 'such prompt')} of {len(others)}",
            do="choose the template that the prompt is written in (--template), or give --counterfactual",
        )
    fit = Random(settings.seed).sample(fit, len(fit))
    unseen = min(_HELD_OUT, len(fit) // 2)
    held_out, further = fit[:unseen], fit[unseen : unseen + settings.counterfactuals]
    made = graph(
        model,
        prompt,
        answers,
        counterfactual=counterfactuals,
        distractor=distractors,
        further=further,
        held_out=held_out,
        settings=settings,
        check=lambda logits: _said(model, prompt, logits, answers, distractors, allow_weak),
        report=report,
    )
    said = _said(model, prompt, made.question.clean.logits[0], answers, distractors, True)
    compared = (*counterfactuals, *(pair.counterfactual for pair in further))
    if settings.ablation in ("mean", "zero"):
        compared = ()
    return GraphRun(
        made, tuple(answers), tuple(distractors), compared, tuple(pair.counterfactual for pair in held_out), said
    )


def _proof(model: ResidualModel, proof: SetProof) -> dict[str, Any]:
    return {**asdict(proof), "answer": model.decode([proof.answer])[0], "enough": proof.enough}


def _said(
    model: ResidualModel,
    prompt: str,
    logits: Float[Tensor, " vocab"],
    answers: Sequence[str],
    distractors: Sequence[str],
    allow_weak: bool | None,
) -> ModelAnswers:
    """What the model says at the prompt.

    Raises:
        PromptError: not the answer, and weak answers are not allowed.
    """
    right, wrong = ([(text, continued(model, prompt, text)) for text in texts] for texts in (answers, distractors))
    said = ModelAnswers((model_answer(model, prompt, logits, right, wrong),))
    if allow_weak is False:
        said.check()
    return said


def peak_bytes() -> int:
    """Most memory that this process has had so far; 0 where the system does not say."""
    try:
        import resource
    except ImportError:  # Windows
        return 0
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
