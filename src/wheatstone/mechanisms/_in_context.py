"""In-context learning: the same questions with and without demonstrations, and the heads that only then take part.

The circuit of a set of prompts is the first edges of its EAP-IG ranking, as many for each. Heads enter if they write
along an edge of the circuit with demonstrations and along none of the circuit without. On other prompts, with
demonstrations, accuracy is then measured while heads write their mean over the prompts that the circuits were found on:
the entering heads, as many random ones, and as many that attend most to the demonstrations.

A question alone must say what is asked: after "Q: France A:" nothing is right or wrong without demonstrations. Ask in
words that do, such as "The capital of France is".

Source: Yao et al. 2024 (arXiv 2405.17969), section 4, for heads that appear with demonstrations.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

import torch

from wheatstone._errors import RequestError
from wheatstone._intervals import SHARE, mean_interval
from wheatstone._progress import Reporter, silent
from wheatstone._view import Brief
from wheatstone.circuits import Circuit, Experiment, ModelInfo, PositionMeans
from wheatstone.discovery import attribute
from wheatstone.mechanisms._demonstrations_summary import InContextRow, QuestionRow
from wheatstone.models import Replace, ResidualModel
from wheatstone.tasks import PromptPair, encode, hits


@dataclass(frozen=True)
class InContext(Brief):
    """What demonstrations change.

    Args:
        with_demonstrations: the circuit with them.
        without: the circuit of the questions alone.
        entering: heads that write in the first only, by the sum of |score| of their edges, strongest first.
        most_attended: heads by attention from the last token to the demonstrations, strongest first.
        rows: accuracy on other prompts.
        questions: each of these, with demonstrations and without.
    """

    with_demonstrations: Circuit
    without: Circuit
    entering: tuple[str, ...]
    most_attended: tuple[str, ...]
    rows: tuple[InContextRow, ...]
    questions: tuple[QuestionRow, ...]


def in_context(
    model: ResidualModel,
    train: Sequence[PromptPair],
    test: Sequence[PromptPair],
    *,
    heads: int = 10,
    edges: int = 1000,
    draws: int = 10,
    seed: int = 0,
    report: Reporter = silent,
) -> InContext:
    """Finds the heads that enter with demonstrations and ablates them.

    Args:
        model: the model.
        train: prompts with a span `demonstration`, such as the task `icl-3/country_capital` has: circuits, means and
            attention are theirs.
        test: prompts of the same kind, on which accuracy is measured.
        heads: most that are ablated.
        edges: of each circuit.
        draws: of random heads.
        seed: of the draws.
        report: progress callback.

    Raises:
        RequestError: a prompt without demonstrations.
        PromptError: the model has nothing to explain on the prompts or on the questions alone.

    When this misleads: the counterfactual keeps the demonstrations, so what they do for any question is in neither
    circuit. A head below the cut in one ranking enters by a hair. Mean ablation of heads that are large on every
    prompt hurts, no matter what they are for.
    """
    alone = [without_demonstrations(pair) for pair in train]
    report("in context", 0, 3)
    shown = _circuit(model, train, edges)
    plain = _circuit(model, alone, edges)
    weight: dict[str, float] = {}
    for edge, score in zip(shown.edges, shown.scores or (), strict=True):
        if edge.sender.startswith("a") and edge.sender not in plain.nodes:
            weight[edge.sender] = weight.get(edge.sender, 0.0) + abs(score)
    entering = tuple(sorted(weight, key=lambda head: -weight[head]))
    attended = _most_attended(model, train)
    report("in context", 1, 3)
    count = min(heads, len(entering))
    means = _means(model, train)
    every = [name for name in model.graph.nodes if name.startswith("a")]
    draw = Random(seed)
    others = [head for head in every if head not in entering[:count]]
    sets = {
        "demonstrations": [()],
        "entering": [entering[:count]],
        "random": [tuple(draw.sample(others, count)) for _ in range(draws)],
        "most attended": [attended[:count]],
    }
    rows = [
        _row(condition, [_right(model, test, chosen, means) for chosen in of], len(of[0]))
        for condition, of in sets.items()
    ]
    report("in context", 2, 3)
    questions = [without_demonstrations(pair) for pair in test]
    rows.append(_row("no demonstrations", [_right(model, questions, (), means)], 0))
    report("in context", 3, 3)
    return InContext(shown, plain, entering, attended, tuple(rows), tuple(_questions(model, test, questions)))


def _questions(model: ResidualModel, shown: Sequence[PromptPair], alone: Sequence[PromptPair]) -> Iterator[QuestionRow]:
    """Both ways of asking, question by question."""
    both = [encode(model, pairs) for pairs in (shown, alone)]
    logits = [model.forward(encoded.clean).logits for encoded in both]
    tops = [model.decode(rows.argmax(-1).tolist()) for rows in logits]
    right = [hits(rows, encoded, 1).tolist() for rows, encoded in zip(logits, both, strict=True)]
    for pair, text, good, text_alone, good_alone in zip(alone, tops[0], right[0], tops[1], right[1], strict=True):
        subject = pair.prompt[slice(*pair.spans["subject"])] if "subject" in pair.spans else ""
        yield QuestionRow(subject, pair.answers[0].strip(), text, bool(good), text_alone, bool(good_alone))


def without_demonstrations(pair: PromptPair) -> PromptPair:
    """The pair's question alone.

    Raises:
        RequestError: it has no demonstrations, or the counterfactual has others.
    """
    end = pair.spans.get("demonstration", (0, 0))[1]
    text = pair.prompt[end:]
    start = end + len(text) - len(text.lstrip())
    if not end or pair.prompt[:start] != pair.counterfactual[:start]:
        raise RequestError(
            expected="prompts that begin with a span `demonstration`, which their counterfactuals share",
            got=repr(pair.prompt[:60]),
            do="use a task such as icl/country_capital",
        )
    spans = {name: (first - start, last - start) for name, (first, last) in pair.spans.items() if first >= start}
    return PromptPair(
        prompt=pair.prompt[start:],
        counterfactual=pair.counterfactual[start:],
        answers=pair.answers,
        distractors=pair.distractors,
        spans=spans,
    )


def _circuit(model: ResidualModel, pairs: Sequence[PromptPair], edges: int) -> Circuit:
    experiment = Experiment(model, pairs)
    scores = attribute(experiment)
    keep = scores.top([edges])[0]
    values = tuple(scores.values[keep].tolist())
    return Circuit.of_mask(ModelInfo.of(model), keep, scores=values, examples=tuple(pairs))


def _most_attended(model: ResidualModel, pairs: Sequence[PromptPair]) -> tuple[str, ...]:
    """Heads by mean attention from the last token to all tokens of the demonstrations but the prompt's first.

    The first token of a prompt is where heads look that look at nothing.
    """
    encoded, graph = encode(model, pairs), model.graph
    ends = encoded.span("demonstration")[:, 1].tolist()
    weights, last = model.attention(encoded.clean), encoded.last.tolist()
    seen = torch.stack([weights[:, row, :, last[row], 1:end].sum(-1) for row, end in enumerate(ends)]).mean(0)
    order = seen.flatten().argsort(descending=True, stable=True).tolist()
    return tuple(f"a{place // graph.heads}.h{place % graph.heads}" for place in order)


def _means(model: ResidualModel, pairs: Sequence[PromptPair]) -> PositionMeans:
    """What every node writes on average over the prompts' positions, the first token apart."""
    tokens = encode(model, pairs).clean
    nodes = model.forward(tokens, cache=True).nodes
    assert nodes is not None
    return PositionMeans.of(nodes, tokens)


def _right(
    model: ResidualModel, pairs: Sequence[PromptPair], heads: Sequence[str], means: PositionMeans
) -> list[float]:
    """1 for each prompt whose top token is an answer while some heads write their means."""
    encoded, index = encode(model, pairs), model.graph.node_index
    written = means.at(encoded.clean.width)
    edits = [Replace(at=head, value=written[index[head]]) for head in heads]
    return hits(model.forward_with(encoded.clean, edits).logits, encoded, 1).tolist()


def _row(condition: str, right: list[list[float]], heads: int) -> InContextRow:
    values = torch.tensor(right, dtype=torch.float64)
    low, high = mean_interval(values.mean(0).numpy(), bounds=SHARE) or (None, None)
    each = values.mean(1).tolist()
    return InContextRow(
        condition, values.shape[1], heads, len(right), float(values.mean()), low, high, min(each), max(each)
    )
