"""Nodes changed as the model runs: the next token, and the continuation next to the original."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from wheatstone._errors import ModelError, PromptError, RequestError
from wheatstone.circuits import Circuit
from wheatstone.lenses import NodeChange, next_token_change, node_interventions
from wheatstone.models import ResidualModel, continued, span_positions
from wheatstone.runs import Run, sound
from wheatstone.studio._jobs_schema import Change, Changed, Generate, Generated, TokenChange
from wheatstone.tasks import PromptPair


@runtime_checkable
class Report(Protocol):
    """A progress callback that also takes a part of the result."""

    def __call__(self, stage: str, done: float, total: float | None, /, **about: Any) -> None: ...


@dataclass(frozen=True, eq=False)
class Subject:
    """What nodes are changed on.

    Args:
        model: the model.
        pair: the prompt, and the counterfactual that `patch` takes from.
        places: positions by the names that follow a node's `@`.
    """

    model: ResidualModel
    pair: PromptPair
    places: Mapping[str, Sequence[int]]


def circuit_subject(circuit: Circuit, model: ResidualModel, pair: PromptPair) -> Subject:
    """A prompt of a circuit's run."""
    width = model.tokens([pair.prompt]).width
    names = [span.name for span in circuit.spans]
    places = dict(zip(names, span_positions(circuit.spans, width), strict=False))
    return Subject(model.like(circuit.model.graph), pair, places)


def graph_subject(run: Path, prompt: int, load: Callable[[str], ResidualModel]) -> Subject:
    """The prompt of a graph, whose first counterfactual `patch` takes from.

    A graph without an answer gets the model's likeliest token.

    Raises:
        RequestError: another prompt than its only one, or a graph of another tool.
        ModelError: the weights are not those of the graph.
    """
    opened = Run.open(run, "graph")
    with sound(run):
        about, graph = opened.manifest["model"], opened.result
        texts: dict[str, Any] = {
            "prompt": graph["prompt"],
            "counterfactual": next(iter(graph["counterfactuals"]), graph["prompt"]),
            "distractors": tuple(graph.get("distractors", ())),
        }
        answers = tuple(graph.get("answers", ()))
        places = {str(at): [at] for at in range(len(graph["tokens"]))}
    if prompt:
        raise RequestError(expected="prompt 0, a graph's only one", got=str(prompt), do="choose it")
    if not about["sha256"]:
        raise RequestError(
            expected="a graph that `wheatstone graph` drew",
            got="one of another tool",
            do="draw it again",
        )
    model = load(about["id"])
    if about["sha256"] != model.sha256:
        raise ModelError(
            expected=f"the weights that the graph was drawn of ({about['sha256'][:12]}…)",
            got=f"{model.id} ({model.sha256[:12]}…)",
            do="draw the graph again",
        )
    answers = answers or (_likeliest(model, texts["prompt"]),)
    with sound(run):
        return Subject(model, PromptPair(answers=answers, **texts), places)


def _likeliest(model: ResidualModel, prompt: str) -> str:
    """The likeliest next token that can be written as an answer: that of a graph that has none."""
    likeliest = model.forward(model.tokens([prompt])).logits[0].argsort(descending=True)[:100].tolist()
    for token, text in zip(likeliest, model.decode(likeliest), strict=True):
        for answer in (text, f" {text}"):  # some tokenizers give words without the space before them
            with suppress(PromptError):
                if text and continued(model, prompt, answer)[0] == token:
                    return answer
    raise RequestError(
        expected="a graph with an answer, or a prompt that the model continues with a word",
        got=f"no answer to {prompt[-40:]!r}",
        do="draw the graph again with --answer",
    )


def intervened(subject: Subject, changes: Sequence[Change]) -> Changed:
    """The next token with nodes changed."""
    found = next_token_change(subject.model, subject.pair, _changes(subject, changes))
    tokens = [TokenChange(**row._asdict()) for row in found.tokens]
    return Changed(prompt=subject.pair.prompt, tokens=tokens, kl=found.kl)


def generated(subject: Subject, asked: Generate, report: Report) -> Generated:
    """Continues the prompt twice, the second time with nodes changed, and reports each token as it is written."""
    model, prompt = subject.model, subject.pair.prompt
    interventions = node_interventions(model, subject.pair, _changes(subject, asked.changes))
    texts: tuple[list[str], list[str]] = [], []

    def so_far() -> Generated:
        return Generated(prompt=prompt, original=tuple(texts[0]), changed=tuple(texts[1]))

    for text, stage, changes in ((texts[0], "the original", ()), (texts[1], "with the changes", interventions)):

        def written(_prompt: int, token: int, text: list[str] = text, stage: str = stage) -> None:
            text += model.decode([token])
            report(stage, len(text), asked.tokens, generated=so_far())

        model.generate(
            prompt,
            new=asked.tokens,
            interventions=changes,
            temperature=asked.temperature,
            seed=asked.seed,
            written=written,
        )
    return so_far()


def _changes(subject: Subject, changes: Sequence[Change]) -> list[NodeChange]:
    if subject.pair.counterfactual == subject.pair.prompt and any(change.how == "patch" for change in changes):
        raise RequestError(expected="a counterfactual to patch from", got="a graph without one", do="scale the nodes")
    return [_change(change, subject.places) for change in changes]


def _change(change: Change, places: Mapping[str, Sequence[int]]) -> NodeChange:
    node, _, place = change.node.partition("@")
    if place and place not in places:
        raise RequestError(
            expected=f"a part of the prompts out of {', '.join(places) or 'none'}", got=repr(place), do="pin another"
        )
    return NodeChange(node, change.how, change.factor, tuple(places[place]) if place else None)
