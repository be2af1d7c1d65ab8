"""What an edit is worth: the same probes teacher-forced and by free generation, beside the model before.

Teacher-forced, a prompt is scored by the share of the expected tokens that are the most likely one, each given those
before it. Free, the model continues greedily:

* where the answer should change: whether it says the new answer, as a word, and before any that used to be right;
* where it should stay: whether it says the very same tokens as before the edit.

Sources: efficacy, paraphrase, neighbourhood and fluency, Meng et al. 2022 (arXiv 2202.05262), section 3.4; portability
and locality, Yao et al. 2023 (arXiv 2305.13172); why generation must be free, Yang et al. 2025 (arXiv 2502.11177).

When this misleads: teacher forcing shows the model the first tokens of a long target. The n-gram entropy of one short
text is noisy. A probe that the model never knew says little about portability.
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
from wheatstone.editing._case import CHANGED, KINDS, Case, Probe
from wheatstone.editing._corpus import passages
from wheatstone.editing._generation import continuations, ngram_entropy, says
from wheatstone.models import ResidualModel, Tokens, joined

CONTINUED, FLUENT = 8, 40
"""Tokens of a free continuation, and of one whose fluency is measured."""
_PASSAGES = 2
"""Held-out passages that perplexity is measured on."""


@dataclass(frozen=True)
class Baseline(Brief):
    """What the model does before an edit.

    Args:
        kept: continuations of the probes whose answer should stay, in their order.
        fluency: n-gram entropy, in bits.
        loss: on held-out text, in nats a token.
    """

    kept: tuple[tuple[int, ...], ...]
    fluency: float
    loss: float


class ProbeScore(NamedTuple):
    """How one probe came out.

    Args:
        kind: of the probe.
        teacher_forced: share of expected tokens that are the most likely.
        free: 1 where free generation is right, else 0.
    """

    kind: str
    teacher_forced: float
    free: float


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
    """

    kind: str
    teacher_forced: float
    low: float | None
    high: float | None
    free: float
    free_low: float | None
    free_high: float | None
    n: int


@torch.no_grad()
def baseline_of(model: ResidualModel, case: Case) -> Baseline:
    """What the model does before the edit of a case."""
    stay = [probe.prompt for probe in case.probes if probe.kind not in CHANGED]
    kept = continuations(model, stay, CONTINUED) if stay else []
    (fluent,) = continuations(model, [case.request.prompt], FLUENT)
    return Baseline(tuple(map(tuple, kept)), ngram_entropy(fluent), held_out_loss(model))


@torch.no_grad()
def evaluate(model: ResidualModel, case: Case, before: Baseline) -> Evaluation:
    """How a case comes out on a model with the edit in place.

    Args:
        model: the edited model.
        case: the case.
        before: what the model did before.
    """
    kept = iter(before.kept)
    expected = [_expected(model, probe) if probe.kind in CHANGED else [list(next(kept))] for probe in case.probes]
    forced = _forced(model, [model.encode(probe.prompt) for probe in case.probes], expected)
    (fluent,) = continuations(model, [case.request.prompt], FLUENT)
    rest = continuations(model, [probe.prompt for probe in case.probes[1:]], CONTINUED) if case.probes[1:] else []
    scores: list[ProbeScore] = []
    for probe, share, wanted, said in zip(case.probes, forced, expected, [fluent[:CONTINUED], *rest], strict=True):
        changed = probe.kind in CHANGED
        free = says(model.written(said), probe.answers, probe.others) if changed else said == wanted[0]
        scores.append(ProbeScore(probe.kind, share, float(free)))
    ratio = float(np.exp(held_out_loss(model) - before.loss))
    return Evaluation(tuple(scores), ngram_entropy(fluent), before.fluency, ratio)


def score_rows(evaluations: Sequence[Evaluation]) -> list[ScoreRow]:
    """Means over cases with intervals, and the harmonic score."""
    rows: list[ScoreRow] = []
    for kind in KINDS:
        found = [mean for one in evaluations if (mean := one.mean(kind)) is not None]
        if found:
            values = np.array(found).T
            (low, high), (free_low, free_high) = mean_intervals(values, bounds=SHARE)
            forced, free = (float(value) for value in values.mean(1))
            rows.append(ScoreRow(kind, forced, low, high, free, free_low, free_high, len(found)))
    main = [row for row in rows if row.kind in ("efficacy", "paraphrase", "neighbourhood")]
    if main:
        forced, free = harmonic_mean([row.teacher_forced for row in main]), harmonic_mean([row.free for row in main])
        rows.append(ScoreRow("score", float(forced), None, None, float(free), None, None, len(evaluations)))
    return rows


@torch.no_grad()
def held_out_loss(model: ResidualModel) -> float:
    """Mean −log probability of tokens of held-out bundled text, in nats."""
    tokens = Tokens.of([model.encode(text)[: model.context] for text in passages(held_out=True)[:_PASSAGES]])
    tokens = Tokens(tokens.ids.to(model.device), tokens.lengths.to(model.device))
    logits = model.forward(tokens, all_positions=True).logits[:, :-1]
    after = tokens.ids[:, 1:].clone()
    inside = torch.arange(1, tokens.width, device=model.device) < tokens.lengths[:, None]
    return float(torch.nn.functional.cross_entropy(logits[inside].float(), after[inside]))


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
