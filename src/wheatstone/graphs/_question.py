"""What a graph explains: one prompt, a number made of its logits, and what nodes do where they are ablated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from wheatstone._errors import PromptError, RequestError, check_choice
from wheatstone._progress import Reporter, silent
from wheatstone._view import Brief
from wheatstone.graphs._settings import TARGETS
from wheatstone.models import NodeRun, NodeValues, ResidualModel, Tokens, check_lengths, continued, run_nodes
from wheatstone.texts import bundled_texts

_TOP = 0.95
"""Probability that the tokens of the target `top` have together."""
_CHARACTERS, _TOKENS, _WINDOW, _BATCH = 4000, 2048, 64, 8
"""Of running text that means are taken over: characters of each document, tokens altogether and of a passage, and
passages run at once."""


@dataclass(frozen=True, eq=False)
class Baseline(Brief):
    """What nodes do where they are ablated.

    Args:
        name: `counterfactual`, the prompt's counterfactual; `mean`, over running text; or `zero`.
        input: what the embeddings write.
        values: of heads and neurons; None for 0.
    """

    name: str
    input: Float[Tensor, "1 #pos d_model"]
    values: NodeValues | None


@dataclass(frozen=True, eq=False)
class Question(Brief):
    """A prompt and what about its answer is explained.

    Args:
        model: the model.
        prompt: as text.
        tokens: the prompt, alone.
        answers: tokens that count as the answer; with the target `top` those of the largest probability.
        weights: of each of them in the target, adding up to 1; None for the log of their summed exp.
        distractors: tokens that they are compared with; None for the mean over the vocabulary.
        target: `difference` between answer and distractor; `logit` of the answer, less the mean of all logits; or
            `top`: the same of the tokens that have 95% of the probability, weighted with it.
        clean: the model's run.
    """

    model: ResidualModel
    prompt: str
    tokens: Tokens
    answers: Int[Tensor, " answer"]
    weights: Float[Tensor, " answer"] | None
    distractors: Int[Tensor, " distractor"] | None
    target: str
    clean: NodeRun

    @classmethod
    def of(
        cls, model: ResidualModel, prompt: str, answers: Sequence[str], distractors: Sequence[str], target: str | None
    ) -> Question:
        """The question about a prompt.

        Args:
            model: the model.
            prompt: its text.
            answers: right continuations, the first token of each is meant.
            distractors: wrong ones; may be empty.
            target: see above; by default `difference` where there are distractors, otherwise `logit`.

        Raises:
            PromptError: an answer does not continue the prompt, or shares its first token with a distractor.
            RequestError: no such target, or a difference without a distractor.
        """
        target = target or ("difference" if distractors else "logit")
        check_choice("a target", target, TARGETS)
        if target == "difference" and not distractors:
            raise RequestError(
                expected="a distractor, which the target difference compares the answer with",
                got="none",
                do="give one, or choose the target logit or top",
            )
        check_lengths(model, model.encode(prompt), model.encode(prompt))
        right = _firsts(model, prompt, answers)
        wrong = _wrong(model, prompt, right, distractors)
        tokens = model.tokens([prompt])
        clean = run_nodes(model, tokens)
        weights = None
        ids = torch.tensor(right, device=model.device)
        if target == "top":
            likely, order = clean.logits[0].softmax(-1).sort(descending=True)
            few = int((likely.cumsum(0) < _TOP).sum()) + 1
            ids, weights = order[:few], likely[:few] / likely[:few].sum()
        others = torch.tensor(wrong, device=model.device) if target == "difference" else None
        return cls(model, prompt, tokens, ids, weights, others, target, clean)

    def against(self, distractors: Sequence[str]) -> Question:
        """The same question with the answer compared with other distractors, where it is compared with any.

        Args:
            distractors: usually the answers of a counterfactual.

        Raises:
            PromptError: one does not continue the prompt, or shares its first token with an answer.
        """
        if self.distractors is None or not distractors:
            return self
        wrong = _wrong(self.model, self.prompt, self.answers.tolist(), distractors)
        return replace(self, distractors=torch.tensor(wrong, device=self.model.device))

    def measure(self, logits: Float[Tensor, "batch vocab"]) -> Float[Tensor, " batch"]:
        """The target, in logits."""
        answers = logits[:, self.answers]
        found = answers.logsumexp(-1) if self.weights is None else (answers * self.weights).sum(-1)
        others = logits.mean(-1) if self.distractors is None else logits[:, self.distractors].logsumexp(-1)
        return found - others


@dataclass(frozen=True, eq=False)
class Case(Brief):
    """A question, and what nodes do where they are ablated.

    Args:
        question: what is explained; under another counterfactual the answer may be compared with another distractor.
        baseline: what ablated nodes do.
    """

    question: Question
    baseline: Baseline


def _firsts(model: ResidualModel, prompt: str, texts: Sequence[str]) -> list[int]:
    """First tokens of continuations, each once."""
    return list(dict.fromkeys(continued(model, prompt, text)[0] for text in texts))


def _wrong(model: ResidualModel, prompt: str, right: Sequence[int], distractors: Sequence[str]) -> list[int]:
    """First tokens of distractors.

    Raises:
        PromptError: an answer has the same.
    """
    wrong = _firsts(model, prompt, distractors)
    if shared := sorted(set(right) & set(wrong)):
        raise PromptError(
            expected="an answer and a distractor that differ in their first token",
            got=f"{model.reader.shown(shared[0])} in both",
            do="choose another distractor",
        )
    return wrong


def counterfactual_baseline(question: Question, text: str) -> Baseline:
    """What nodes do on another prompt of the same length.

    Raises:
        PromptError: the two cannot be compared.
    """
    model = question.model
    ours, theirs = model.encode(question.prompt), model.encode(text)
    check_lengths(model, ours, theirs)
    if ours == theirs:
        raise PromptError(
            expected="a counterfactual that differs from its prompt",
            got=f"the same tokens twice, {text!r}",
            do="change what the answer depends on",
        )
    run = run_nodes(model, Tokens.of([theirs], model.device))
    return Baseline("counterfactual", run.input, run.values)


def zero_baseline(question: Question) -> Baseline:
    """Nothing.

    When this misleads: a model without its nodes is far from anything that it was trained on, and may say more for the
    answer than the whole model.
    """
    return Baseline("zero", torch.zeros_like(question.clean.input), None)


def mean_baseline(question: Question, *, report: Reporter = silent) -> Baseline:
    """What nodes do on average in running text: 2,048 tokens of the texts in the package.

    First tokens are left as they are, in the texts and in the prompt: many models use them as a place of rest, with
    values that are found nowhere else and that a mean over different tokens destroys.

    Args:
        question: what is explained.
        report: progress callback.
    """
    own = question.clean
    means = [
        torch.cat((part[:, :1], mean.to(part).expand_as(part[:, 1:])), 1)
        for part, mean in zip(_parts(own), text_means(question.model, report=report), strict=True)
    ]
    layers = question.model.graph.layers
    return Baseline("mean", means[0], NodeValues(tuple(means[1 : layers + 1]), tuple(means[layers + 1 :])))


@torch.no_grad()
def text_means(model: ResidualModel, *, report: Reporter = silent) -> list[Tensor]:
    """Means over running text, first tokens apart: of the input, of every layer's heads, of every layer's neurons.

    Args:
        model: the model.
        report: progress callback.
    """
    documents = [document for document in bundled_texts() if document.kind != "code"]
    ids = [token for document in documents for token in model.encode(document.text[:_CHARACTERS])]
    rows = [ids[first : first + _WINDOW] for first in range(0, min(len(ids), _TOKENS) - _WINDOW + 1, _WINDOW)]
    sums: list[Tensor] = []
    for first in range(0, len(rows), _BATCH):
        report("means over running text", first, len(rows))
        run = run_nodes(model, Tokens.of(rows[first : first + _BATCH], model.device))
        here = [part[:, 1:].double().sum((0, 1)) for part in _parts(run)]
        sums = here if not sums else [one + other for one, other in zip(sums, here, strict=True)]
    report("means over running text", len(rows), len(rows))
    return [total / (len(rows) * (_WINDOW - 1)) for total in sums]


def _parts(run: NodeRun) -> list[Tensor]:
    return [run.input, *run.values.heads, *run.values.neurons]
