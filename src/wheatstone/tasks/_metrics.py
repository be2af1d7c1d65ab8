"""What is measured at the last position: one number per prompt, from its logits."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from wheatstone._errors import RequestError, check_choice
from wheatstone._view import Brief
from wheatstone.tasks._encode import Encoded


@dataclass(frozen=True, eq=False)
class Targets(Brief):
    """What a metric compares logits with.

    Args:
        encoded: the prompts with their answers.
        clean_log_probs: the unablated model's log-probabilities at each prompt's last position.
    """

    encoded: Encoded
    clean_log_probs: Float[Tensor, "batch vocab"]

    def answers_alone(self) -> tuple[Int[Tensor, " vocab"], Targets]:
        """The tokens that are an answer or a distractor, and the same targets in a vocabulary of these alone."""
        encoded = self.encoded
        ids = torch.cat([encoded.answers.flatten(), encoded.distractors.flatten()]).unique()
        ids = ids[ids >= 0]

        def renumbered(tokens: Tensor) -> Tensor:
            return torch.searchsorted(ids, tokens.clamp_min(0)).masked_fill(tokens < 0, -1)

        answers, distractors = renumbered(encoded.answers), renumbered(encoded.distractors)
        alone = replace(encoded, answers=answers, distractors=distractors)
        return ids, Targets(alone, self.clean_log_probs[:, ids])


@runtime_checkable
class Metric(Protocol):
    """A measure of how a model answers; higher is more of the behaviour, except for `kl`.

    Args:
        name: what users call it.
        unit: what it is measured in.
        needs_distractors: whether every prompt must have one.
        reads_answers_alone: whether logits of answers and distractors are all it reads.
    """

    name: str
    unit: str
    needs_distractors: bool
    reads_answers_alone: bool

    def __call__(self, logits: Float[Tensor, "*many batch vocab"], targets: Targets) -> Float[Tensor, "*many batch"]:
        """Measures each prompt."""
        ...


def gather(logits: Float[Tensor, "*many batch vocab"], ids: Tensor, fill: float) -> Float[Tensor, "*many batch id"]:
    """Entries of each prompt's row at its (padded) token ids; padding gives `fill`."""
    index = ids.clamp_min(0).expand(*logits.shape[:-1], -1)
    return logits.gather(-1, index).masked_fill(ids < 0, fill)


class _LogitDifference:
    """log of summed exp of the answers' logits, less the same of the distractors': the log-odds between them."""

    name, unit, needs_distractors, reads_answers_alone = "logit_diff", "logits", True, True

    def __call__(self, logits: Tensor, targets: Targets) -> Tensor:
        answers = gather(logits, targets.encoded.answers, -torch.inf).logsumexp(-1)
        return answers - gather(logits, targets.encoded.distractors, -torch.inf).logsumexp(-1)


class _ProbabilityDifference:
    """Summed probability of the answers, less that of the distractors (nothing where there are none)."""

    name, unit, needs_distractors, reads_answers_alone = "prob_diff", "probability", False, False

    def __call__(self, logits: Tensor, targets: Targets) -> Tensor:
        probabilities = logits.softmax(-1)
        answers = gather(probabilities, targets.encoded.answers, 0.0).sum(-1)
        if targets.encoded.distractors.shape[1] == 0:
            return answers
        return answers - gather(probabilities, targets.encoded.distractors, 0.0).sum(-1)


class _KullbackLeibler:
    """KL(model ‖ circuit) of the next-token distribution: 0 where the circuit answers as the model does."""

    name, unit, needs_distractors, reads_answers_alone = "kl", "nats", False, False

    def __call__(self, logits: Tensor, targets: Targets) -> Tensor:
        clean = targets.clean_log_probs
        return (clean.exp() * (clean - logits.log_softmax(-1))).sum(-1)


METRICS: dict[str, Metric] = {
    metric.name: metric for metric in (_LogitDifference(), _ProbabilityDifference(), _KullbackLeibler())
}


def metric_named(name: str, encoded: Encoded) -> Metric:
    """Looks a metric up and checks that the prompts have what it needs.

    Raises:
        RequestError: no such metric, or it needs distractors that a prompt lacks.
    """
    check_choice("a metric", name, METRICS)
    metric = METRICS[name]
    if metric.needs_distractors and any(not pair.distractors for pair in encoded.pairs):
        raise RequestError(
            expected=f"a distractor for every prompt, which {name} compares the answer with",
            got="a prompt without one",
            do="add --distractor, or use --metric prob_diff or kl, which need none",
        )
    return metric
