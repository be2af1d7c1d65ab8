"""What the model itself says at a set of prompts, and one judgement of it that every verb shares.

A prompt is weak where the known-fact filter would leave it out: no answer is among the model's `KNOWN_RANK` likeliest
tokens, or a distractor is at least as likely as every answer. A circuit for it explains a preference between tokens
that the model does not say. A request is refused where most of its prompts are weak, unless weak answers are allowed;
otherwise the weak prompts are counted in the headline.

A counterfactual is weak where the ablated model keeps more than half of the metric (see decision 9).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from jaxtyping import Float
from torch import Tensor

from wheatstone._errors import PromptError
from wheatstone._view import Brief
from wheatstone.models import ResidualModel
from wheatstone.tasks._batches import length_batches
from wheatstone.tasks._encode import Encoded, encode
from wheatstone.tasks._known import KNOWN_RANK
from wheatstone.tasks._metrics import Metric
from wheatstone.tasks._model_answer import (
    ModelAnswer,
    continuations_of,
    in_quotes,
    model_answer,
    placed,
)
from wheatstone.tasks._pair import PromptPair

ANSWER_RULE = f"an answer among the model's {KNOWN_RANK} likeliest tokens and above every distractor"
_KL_APART = 0.01
"""Nats between the model and the ablated model, below which nothing changed."""


@dataclass(frozen=True)
class ModelAnswers(Brief):
    """The unablated model at every prompt of a request.

    Args:
        prompts: one a prompt.
        metric: name of the metric of their `clean` and `ablated`; empty where none is measured.
        unit: of the metric.
    """

    prompts: tuple[ModelAnswer, ...]
    metric: str = ""
    unit: str = ""

    @property
    def weak(self) -> tuple[ModelAnswer, ...]:
        """Prompts whose answer the model itself does not give."""
        return tuple(row for row in self.prompts if row.weak)

    @property
    def refused(self) -> bool:
        """Whether most prompts are weak. Never under `kl`, which reads the whole distribution and scores no answer."""
        return self.metric != "kl" and 2 * len(self.weak) > len(self.prompts)

    @property
    def change(self) -> tuple[float, float] | None:
        """The metric of the model and of the ablated model, means over prompts; None where none is measured."""
        clean, ablated = ([getattr(row, name) for row in self.prompts] for name in ("clean", "ablated"))
        if not self.metric or None in clean or None in ablated:
            return None
        return sum(clean) / len(clean), sum(ablated) / len(ablated)

    @property
    def summary(self) -> str:
        """What the model says, in one sentence."""
        if len(self.prompts) == 1:
            return str(self.prompts[0])
        n, first = len(self.prompts), sum(row.answer.rank == 1 for row in self.prompts)
        return (
            f"The model itself gives the answer on {n - len(self.weak)} of {n} prompts ({ANSWER_RULE}), "
            f"as its first choice on {first}."
        )

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a headline must say: sentences, none where the model gives the answers and ablation changes them."""
        found: list[str] = []
        if self.weak:
            found.append(f"{self._weakness()} {self._meaning()}")
        if self._small and self.change is not None:
            found.append(self._small_change(*self.change))
        return tuple(found)

    def check(self) -> None:
        """Refuses prompts that the model itself does not answer.

        Raises:
            PromptError: most prompts are weak.
        """
        if not self.refused:
            return
        raise PromptError(
            expected=f"prompts that the model itself answers ({ANSWER_RULE})",
            got=_clause(self._weakness()),
            do="choose another prompt or answer, or allow weak answers (--allow-weak)",
        )

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        rows = [asdict(row) | {"weak": row.weak} for row in self.prompts]
        for row in rows:
            row.update({name: _finite(row[name]) for name in ("clean", "ablated")})
        return {
            "n": len(rows),
            "weak": len(self.weak),
            "needs_allow_weak": self.refused or self._small,
            "rule": ANSWER_RULE,
            "metric": self.metric,
            "unit": self.unit,
            "summary": self.summary,
            "warnings": list(self.warnings),
            "prompts": rows,
        }

    @property
    def _small(self) -> bool:
        return self.change is not None and weak_change(self.metric, *self.change)

    def _weakness(self) -> str:
        """Which answers the model does not give."""
        if len(self.prompts) == 1:
            return str(self.prompts[0])
        low, behind = sum(row.low for row in self.weak), sum(row.behind for row in self.weak)
        worst = max(self.weak, key=lambda row: row.answer.rank)
        return (
            f"The model itself does not give the answer on {len(self.weak)} of {len(self.prompts)} prompts: "
            f"it is not among the {KNOWN_RANK} likeliest tokens on {low}, and not above every distractor on {behind} "
            f"(such as {placed(worst.answer)} after {in_quotes(worst.prompt[-60:])}, where the first choice is "
            f"{in_quotes(worst.first.token)})."
        )

    def _meaning(self) -> str:
        one = len(self.prompts) == 1
        if not self.metric:
            return f"What follows is about {'a token' if one else 'tokens'} that the model does not say there."
        if self.metric == "kl":
            return "kl compares whole distributions: what follows explains these, not the answer."
        if any(row.distractor is None for row in self.weak):
            return f"What follows explains how likely {'a token is' if one else 'tokens are'}, not an answer."
        if one:
            return "What follows explains a preference between two tokens, not an answer."
        return "On these, what follows explains a preference between tokens, not an answer."

    def _small_change(self, clean: float, ablated: float) -> str:
        shares = "Shares of so small a change are noisy, and say little about the answer."
        if self.metric == "kl":
            return f"Fully ablated, the model stays within {ablated:.4f} nats of itself. {shares}"
        if clean <= ablated:
            return (
                f"Fully ablated, the model has no less of the {self.metric} ({ablated:.3f} {self.unit}) than it has "
                f"otherwise ({clean:.3f}): the counterfactual does not take the answer away. {shares}"
            )
        kept = f"{ablated / clean:.0%}" if clean > 0 else "more than half"
        return (
            f"Fully ablated, the model keeps {kept} of the {self.metric} ({ablated:.3f} of {clean:.3f} {self.unit}): "
            f"the counterfactual changes little. {shares}"
        )


def weak_change(metric: str, clean: float, ablated: float) -> bool:
    """Whether the ablated model answers much as the model does: it keeps more than half of the metric."""
    if metric == "kl":
        return abs(ablated) < _KL_APART
    return ablated > clean / 2 or clean <= ablated


def model_answers(model: ResidualModel, pairs: Sequence[PromptPair]) -> ModelAnswers:
    """Runs the clean prompts and reads the model's own answers; no metric is measured.

    Args:
        model: the model.
        pairs: the prompts with answers and distractors.

    Raises:
        PromptError: see `encode`.
    """
    found: dict[int, ModelAnswer] = {}
    for batch in length_batches(model, pairs):
        encoded = encode(model, [pairs[index] for index in batch])
        rows = answers_in(model, encoded, model.forward(encoded.clean).logits)
        found |= dict(zip(batch, rows.prompts, strict=True))
    return ModelAnswers(tuple(found[index] for index in range(len(pairs))))


def answers_in(
    model: ResidualModel,
    encoded: Encoded,
    logits: Float[Tensor, "batch vocab"],
    *,
    metric: Metric | None = None,
    clean: Float[Tensor, " batch"] | None = None,
    ablated: Float[Tensor, " batch"] | None = None,
) -> ModelAnswers:
    """The model's own answers from logits that are at hand.

    Args:
        model: whose logits they are.
        encoded: the prompts.
        logits: of the unablated model at each prompt's last position.
        metric: that `clean` and `ablated` were measured by.
        clean: the metric of the model.
        ablated: the metric of the fully ablated model.
    """
    nothing = [None] * len(encoded.pairs)
    before, after = (nothing if values is None else values.tolist() for values in (clean, ablated))
    rows = tuple(
        model_answer(
            model,
            pair.prompt,
            logits[row],
            continuations_of(model, pair, pair.answers),
            continuations_of(model, pair, pair.distractors),
            clean=before[row],
            ablated=after[row],
        )
        for row, pair in enumerate(encoded.pairs)
    )
    return ModelAnswers(rows) if metric is None else ModelAnswers(rows, metric.name, metric.unit)


def _clause(sentence: str) -> str:
    """A sentence as a part of another one."""
    return sentence[:1].lower() + sentence[1:].rstrip(".")


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
