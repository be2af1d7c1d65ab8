"""What the sections of this package say in words, as values.

A section computes its summary and the page reads it, so that this loads no torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from wheatstone._view import Brief


class LensCourse(NamedTuple):
    """How the answer comes up over the layers, at one place of the prompt.

    Args:
        first_after: sublayer after which it is the first choice for good, such as `m17`; None where it never is.
        first_half: the same as a number of sublayers.
        best_rank: its best median rank.
        best_after: after which sublayer.
        rank_at_end: after the last layer.
        probability_at_end: mean over prompts.
        halves: sublayers.
    """

    first_after: str | None
    first_half: int | None
    best_rank: float
    best_after: str
    rank_at_end: float
    probability_at_end: float
    halves: int


class LensSites(NamedTuple):
    """The same at two places.

    Args:
        last: the prompt's last token.
        subject: its subject's last token.
    """

    last: LensCourse
    subject: LensCourse


@dataclass(frozen=True)
class LensSummary(Brief):
    """What is said of the logit lens.

    Args:
        plain: through the final norm and the unembedding.
        tuned: through a tuned lens first, where one was given.
    """

    plain: LensSites
    tuned: LensSites | None = None


class NamedEffect(NamedTuple):
    """A component's direct effect on the answer's logit, mean over prompts.

    Args:
        name: of a head, an MLP or a neuron.
        direct: in logits.
        low: lower end of its 95% interval, None for fewer than four prompts.
        high: upper end.
    """

    name: str
    direct: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class AttributionSummary(Brief):
    """What is said of direct logit attribution.

    Args:
        difference: sum of all direct effects, in logits.
        measured: the same difference out of the model's own logits.
        largest_gap: between the two, over prompts.
        against: what the answer's logit is compared with.
        heads: that write the answer most.
        against_heads: that write against it most.
        mlps: that write the answer most.
        neurons: of the largest direct effect.
        n: prompts that the numbers of these are of; None in older runs.
        held_out: whether other prompts chose them.
        parts: what heads, MLPs, input and biases add together; None in older runs.
    """

    difference: float
    measured: float
    largest_gap: float
    against: str
    heads: tuple[NamedEffect, ...]
    against_heads: tuple[NamedEffect, ...]
    mlps: tuple[NamedEffect, ...]
    neurons: tuple[NamedEffect, ...]
    n: int | None = None
    held_out: bool = False
    parts: Mapping[str, float] | None = None


class MostWritten(NamedTuple):
    """The part of the prompt from which a head writes most towards the answer.

    Args:
        span: its name.
        weight: attention to it, 0 to 1.
        toward: logits that it writes from there.
    """

    span: str
    weight: float
    toward: float


@dataclass(frozen=True)
class AttentionSummary(Brief):
    """What is said of where heads look.

    Args:
        heads: by head, the strongest first.
    """

    heads: Mapping[str, MostWritten]


class Sides(NamedTuple):
    """Words that a component pushes on most prompts.

    Args:
        promotes: that it makes likelier.
        suppresses: that it makes less likely.
    """

    promotes: tuple[str, ...]
    suppresses: tuple[str, ...]


@dataclass(frozen=True)
class VocabularySummary(Brief):
    """What is said of the words that components push.

    Args:
        most_often: by component.
        answer_first: by component, the share of prompts on which the answer is the token it promotes most.
        n: prompts that shares are of; None in older runs.
        held_out: whether other prompts chose the components.
    """

    most_often: Mapping[str, Sides]
    answer_first: Mapping[str, float]
    n: int | None = None
    held_out: bool = False


class HeadLook(NamedTuple):
    """Why one head looks where it looks.

    Args:
        token: that it looks at most in the first prompt.
        weight: attention to it, 0 to 1.
        runner_up_token: the next; None where it sees one token.
        runner_up_weight: attention to that.
        pair: sender of the query and of the key that most often add most to the difference of the two scores; None
            where there is no runner-up. The following are None then too.
        times: prompts on which this pair is the strongest.
        value: what it adds there, mean, in logits.
        difference: of the two scores, mean over prompts.
        weight_without: mean attention in exact runs without the three strongest pairs.
        mean_weight: mean attention as it is.
    """

    token: str
    weight: float
    runner_up_token: str | None
    runner_up_weight: float | None
    pair: tuple[str, ...] | None
    times: int | None = None
    value: float | None = None
    difference: float | None = None
    weight_without: float | None = None
    mean_weight: float | None = None


@dataclass(frozen=True)
class WhySummary(Brief):
    """What is said of why heads look somewhere.

    Args:
        heads: by head, the strongest first.
        prompts: that were read.
        prompt: the first of them.
    """

    heads: Mapping[str, HeadLook]
    prompts: int
    prompt: str
