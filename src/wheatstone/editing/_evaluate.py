"""What an edit is worth: the same probes teacher-forced and by free generation, next to the model before.

Teacher-forced, a prompt is scored by the share of the expected tokens that are the most likely one, each given those
before it. Free, the model continues greedily for eight tokens:

* where the answer should change: whether it says the new answer, as a word, and before any that used to be right;
* where it should stay: whether it says the very same tokens as before the edit;
* after a negated prompt: whether it does not say the new answer.

Whole, the model continues until it ends its text by itself, 40 tokens at most, as a person reads it:

* where the answer should change: whether the text has the new answer in it and none that used to be right;
* where it should stay: whether it has the right answer in it;
* after a negated prompt: whether the new answer is not in it.

A whole text is judged only where that of the unedited model is right by the same measure for the facts as they were:
an edit cannot keep or carry over what the model never had.

Sources: efficacy, paraphrase, neighbourhood and fluency, Meng et al. 2022 (arXiv 2202.05262), section 3.4; portability
and locality, Yao et al. 2023 (arXiv 2305.13172); free generation with a natural stop, Yang et al. 2025 (arXiv
2502.11177); negated prompts, arXiv 2510.00625.

When this misleads: teacher forcing shows the model the first tokens of a long target. The n-gram entropy of one short
text is noisy. A small model hardly ends a text by itself, so that 40 tokens say more than their first sentence. A model
that does not understand "not" fails on negation before any edit: such cases are left out of the whole texts only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, harmonic_mean
from typing import Any, NamedTuple

import numpy as np
import torch

from wheatstone._intervals import SHARE, mean_intervals
from wheatstone._view import Brief
from wheatstone.editing._abilities import passage_losses
from wheatstone.editing._case import CHANGED, KINDS, NEGATION, Case, Kind, Probe
from wheatstone.editing._generation import continuations, ngram_entropy, says, until_stop
from wheatstone.models import ResidualModel, Tokens, joined

CONTINUED, FLUENT = 8, 40
"""Tokens of a free continuation, and of a whole text at most, on whose tokens fluency is measured."""
_PASSAGES = 2
"""Held-out passages that perplexity is measured on."""


@dataclass(frozen=True)
class Baseline(Brief):
    """What the model does before an edit.

    Args:
        said: continuation of every probe, in their order.
        right: of every probe, whether its whole text is right for the facts as they were.
        loss: on held-out text, in nats a token.
    """

    said: tuple[tuple[int, ...], ...]
    right: tuple[bool, ...]
    loss: float

    @property
    def fluency(self) -> float:
        """N-gram entropy of what follows the request's prompt, in bits."""
        return ngram_entropy(self.said[0])


class ProbeScore(NamedTuple):
    """How one probe came out.

    Args:
        kind: of the probe.
        teacher_forced: share of expected tokens that are the most likely; of `negation`, 1 unless the new answer is
            what most likely follows.
        free: 1 where free generation is right, else 0.
        whole: 1 where the whole text is right, else 0; None where that of the unedited model was not.
    """

    kind: str
    teacher_forced: float
    free: float
    whole: float | None = None


@dataclass(frozen=True)
class Evaluation(Brief):
    """How one case came out.

    Args:
        scores: of its probes.
        fluency: n-gram entropy after the edit, in bits.
        fluency_before: before.
        perplexity: on held-out text after the edit, as a multiple of that before.
    """

    scores: tuple[ProbeScore, ...]
    fluency: float
    fluency_before: float
    perplexity: float

    def mean(self, kind: str) -> tuple[float, float] | None:
        """Teacher-forced and free, over probes of a kind; None where there are none."""
        rows = [score for score in self.scores if score.kind == kind]
        return (fmean(row.teacher_forced for row in rows), fmean(row.free for row in rows)) if rows else None

    def whole(self, kind: str) -> float | None:
        """Whole texts that are right, over the probes of a kind that the unedited model had right; None without one."""
        rows = [score.whole for score in self.scores if score.kind == kind and score.whole is not None]
        return fmean(rows) if rows else None

    def document(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "scores": [list(score) for score in self.scores],
            "fluency": self.fluency,
            "fluency_before": self.fluency_before,
            "perplexity": self.perplexity,
        }

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> Evaluation:
        """Of `document`."""
        scores = tuple(ProbeScore(*score) for score in document["scores"])
        return cls(scores, document["fluency"], document["fluency_before"], document["perplexity"])


class ScoreRow(NamedTuple):
    """One row of the table of a method.

    Args:
        kind: of probes; `score`, the harmonic mean of efficacy, paraphrase and neighbourhood.
        teacher_forced: mean over cases.
        low: lower end of its 95% interval over cases; None for fewer than four, or a harmonic mean.
        high: upper end.
        free: mean over cases by free generation.
        free_low: lower end.
        free_high: upper end.
        n: cases that have such probes.
        whole: mean over cases of whole texts; None where no case has any.
        whole_low: lower end.
        whole_high: upper end.
        whole_n: cases with such a probe that the unedited model had right.
    """

    kind: str
    teacher_forced: float
    low: float | None
    high: float | None
    free: float
    free_low: float | None
    free_high: float | None
    n: int
    whole: float | None = None
    whole_low: float | None = None
    whole_high: float | None = None
    whole_n: int = 0


@torch.no_grad()
def baseline_of(model: ResidualModel, case: Case) -> Baseline:
    """What the model does before the edit of a case."""
    said = continuations(model, [probe.prompt for probe in case.probes], FLUENT)
    right = (_was_right(model, probe, tokens) for probe, tokens in zip(case.probes, said, strict=True))
    return Baseline(tuple(map(tuple, said)), tuple(right), held_out_loss(model))


@torch.no_grad()
def evaluate(model: ResidualModel, case: Case, before: Baseline) -> Evaluation:
    """How a case comes out on a model with the edit in place.

    Args:
        model: the edited model.
        case: the case.
        before: what the model did before.
    """
    expected = [
        [list(kept[:CONTINUED])] if _stays(probe.kind) else _expected(model, probe)
        for probe, kept in zip(case.probes, before.said, strict=True)
    ]
    forced = _forced(model, [model.encode(probe.prompt) for probe in case.probes], expected)
    every = continuations(model, [probe.prompt for probe in case.probes], FLUENT)
    scores: list[ProbeScore] = []
    for probe, share, wanted, said, right in zip(case.probes, forced, expected, every, before.right, strict=True):
        whole = float(_is_right(model, probe, said)) if right else None
        short = said[:CONTINUED]
        if probe.kind == NEGATION:
            free = not says(model.written(short), probe.answers)
            share = float(share < 1)
        elif _stays(probe.kind):
            free = short == wanted[0]
        else:
            free = says(model.written(short), probe.answers, probe.others)
        scores.append(ProbeScore(probe.kind, share, float(free), whole))
    ratio = float(np.exp(held_out_loss(model) - before.loss))
    return Evaluation(tuple(scores), ngram_entropy(every[0]), before.fluency, ratio)


def _stays(kind: Kind) -> bool:
    return kind not in CHANGED and kind != NEGATION


def _is_right(model: ResidualModel, probe: Probe, tokens: Sequence[int]) -> bool:
    """Whether a whole text is right with the edit."""
    text = model.written(until_stop(model, tokens))
    if probe.kind == NEGATION:
        return not says(text, probe.answers)
    old = [other for other in probe.others if other not in probe.answers]
    return says(text, probe.answers) and not says(text, old)


def _was_right(model: ResidualModel, probe: Probe, tokens: Sequence[int]) -> bool:
    """Whether a whole text is right for the facts as they were; where they are not known, it may be."""
    text = model.written(until_stop(model, tokens))
    if _stays(probe.kind):
        return says(text, probe.answers)
    if not probe.others:
        return True
    return not says(text, probe.others) if probe.kind == NEGATION else says(text, probe.others)


def score_rows(evaluations: Sequence[Evaluation]) -> list[ScoreRow]:
    """Means over cases with intervals, and the harmonic score."""
    rows: list[ScoreRow] = []
    for kind in KINDS:
        found = [mean for one in evaluations if (mean := one.mean(kind)) is not None]
        if found:
            values = np.array(found).T
            (low, high), (free_low, free_high) = mean_intervals(values, bounds=SHARE)
            forced, free = (float(value) for value in values.mean(1))
            wholes = np.array([whole for one in evaluations if (whole := one.whole(kind)) is not None])
            row = ScoreRow(kind, forced, low, high, free, free_low, free_high, len(found))
            if len(wholes):
                ends = mean_intervals(wholes[None], bounds=SHARE)[0]
                row = row._replace(
                    whole=float(wholes.mean()), whole_low=ends[0], whole_high=ends[1], whole_n=len(wholes)
                )
            rows.append(row)
    main = [row for row in rows if row.kind in ("efficacy", "paraphrase", "neighbourhood")]
    if main:
        forced, free = harmonic_mean([row.teacher_forced for row in main]), harmonic_mean([row.free for row in main])
        rows.append(ScoreRow("score", float(forced), None, None, float(free), None, None, len(evaluations)))
    return rows


def held_out_loss(model: ResidualModel) -> float:
    """Mean −log probability of tokens of held-out bundled text, in nats."""
    return fmean(passage_losses(model, _PASSAGES))


def _expected(model: ResidualModel, probe: Probe) -> list[list[int]]:
    """The tokens of each answer as it follows the prompt; see docs/guides/editing.md for the rule."""
    return [model.continuation(joined(probe.prompt, answer)) for answer in probe.answers]


def _forced(model: ResidualModel, prompts: list[list[int]], expected: list[list[list[int]]]) -> list[float]:
    """The share of expected tokens that are most likely; the best of several answers."""
    rows = [(at, answer) for at, answers in enumerate(expected) for answer in answers]
    tokens = Tokens.of([[*prompts[at], *answer[:-1]] for at, answer in rows], model.device)
    best = model.forward(tokens, all_positions=True).logits.argmax(-1).tolist()
    shares = [0.0] * len(prompts)
    for (at, answer), found in zip(rows, best, strict=True):
        start = len(prompts[at]) - 1
        hits = [token == there for token, there in zip(answer, found[start : start + len(answer)], strict=True)]
        shares[at] = max(shares[at], fmean(hits))
    return shares
