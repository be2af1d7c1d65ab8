"""What a model can do apart from the edited facts: unrelated text, other tasks, and how large its weights are.

* Unrelated text: perplexity on bundled passages that no method has read.
* Tasks: the share of prompts whose answer is the model's first choice (of relations, `facts/…`), or more likely than
  the wrong one (of all others, such as `ioi` and `sv-agreement`).
* Weights: the Frobenius norm of every matrix. Norms that grow from edit to edit precede the collapse of a model.

Before and after are compared prompt by prompt, passage by passage; intervals are over these.

Sources: downstream tasks after many edits, Gu et al. 2024 (arXiv 2401.04700); growth of norms, Gupta et al. 2025 (arXiv
2502.01636).

When this misleads: bundled tasks are short prompts. A model that still solves them may have lost longer reasoning.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from wheatstone._intervals import DIFFERENCE, mean_interval
from wheatstone._progress import Reporter, silent
from wheatstone._view import Brief
from wheatstone.editing._corpus import passages
from wheatstone.models import ResidualModel, Tokens
from wheatstone.tasks import PromptPair, answered, load_task

TASKS = (
    "ioi",
    "sv-agreement",
    "facts/country_capital",
    "facts/country_language",
    "facts/person_occupation",
    "facts/antonym",
    "facts/verb_past_tense",
)
"""Tasks that are looked at by default: two of syntax and reference, facts, and relations between words."""
PROMPTS, PASSAGES = 40, 32
"""Prompts of each task, and passages of text, by default."""
_BATCH = 8


class AbilityRow(NamedTuple):
    """One ability before and after.

    Args:
        name: `text`, a task, or the name of a weight.
        measure: `perplexity`, `accuracy` or `norm`.
        before: of the unedited model.
        after: of the edited one.
        change: after over before of perplexity and norms, after minus before of accuracies.
        low: lower end of its 95% interval over passages or prompts; None for fewer than four, and of norms.
        high: upper end.
        n: passages or prompts; 1 of a norm.
    """

    name: str
    measure: str
    before: float
    after: float
    change: float
    low: float | None
    high: float | None
    n: int


@dataclass(frozen=True)
class Abilities(Brief):
    """What a model can do, prompt by prompt.

    Args:
        losses: of each passage, in nats a token.
        tasks: by name, of each prompt: 1 where it is answered right, else 0.
        norms: of each matrix, by name.
    """

    losses: tuple[float, ...]
    tasks: Mapping[str, tuple[float, ...]]
    norms: Mapping[str, float]


def ability_prompts(
    model: ResidualModel, names: Sequence[str] = TASKS, *, each: int = PROMPTS, seed: int = 0, report: Reporter = silent
) -> dict[str, tuple[PromptPair, ...]]:
    """Prompts of tasks, whether or not the model knows their answers.

    Args:
        model: the unedited model, whose tokenizer aligns the pairs.
        names: of tasks, as `load_task` takes them.
        each: most prompts of a task.
        seed: of the choice.
        report: progress callback.

    Raises:
        RequestError: there is no such task.
    """
    found: dict[str, tuple[PromptPair, ...]] = {}
    for place, name in enumerate(names):
        report("prompts of tasks", place, len(names))
        task = load_task(name, model, known=None, size=each, seed=seed, strict=False)
        found[name] = (*task.train, *task.validation, *task.test)
    report("prompts of tasks", len(names), len(names))
    return found


@torch.no_grad()
def abilities_of(
    model: ResidualModel,
    prompts: Mapping[str, Sequence[PromptPair]],
    *,
    passages_read: int = PASSAGES,
    report: Reporter = silent,
) -> Abilities:
    """Measures a model as it is now, with the edits that are in place.

    Args:
        model: the model.
        prompts: by task, of `ability_prompts`.
        passages_read: passages of text.
        report: progress callback.
    """
    tasks: dict[str, tuple[float, ...]] = {}
    for place, (name, pairs) in enumerate(prompts.items()):
        report("tasks", place, len(prompts) + 1)
        rows = answered(model, pairs)
        tasks[name] = tuple(float(row.rank == 1 if name.startswith("facts/") else row.ahead) for row in rows)
    report("tasks", len(prompts), len(prompts) + 1)
    losses = passage_losses(model, passages_read)
    norms = {name: float(one.norm()) for name, one in model.module.named_parameters() if one.ndim == 2}
    report("tasks", len(prompts) + 1, len(prompts) + 1)
    return Abilities(losses, tasks, norms)


def ability_rows(before: Abilities, after: Abilities) -> list[AbilityRow]:
    """What became of each ability; of weights, of those that changed.

    Args:
        before: of the unedited model.
        after: of the edited one, over the same passages and prompts.
    """
    old, new = np.array(before.losses), np.array(after.losses)
    ends = mean_interval(new - old)
    low, high = (None, None) if ends is None else map(float, np.exp(ends))
    ratio = float(np.exp(new.mean() - old.mean()))
    rows = [
        AbilityRow(
            "text", "perplexity", float(np.exp(old.mean())), float(np.exp(new.mean())), ratio, low, high, len(old)
        )
    ]
    for name, right in before.tasks.items():
        was, now = np.array(right), np.array(after.tasks[name])
        low, high = mean_interval(now - was, bounds=DIFFERENCE) or (None, None)
        rows.append(
            AbilityRow(
                name, "accuracy", float(was.mean()), float(now.mean()), float((now - was).mean()), low, high, len(was)
            )
        )
    for name, norm in before.norms.items():
        if (now := after.norms[name]) != norm:
            rows.append(AbilityRow(name, "norm", norm, now, now / norm, None, None, 1))
    return rows


@torch.no_grad()
def passage_losses(model: ResidualModel, most: int) -> tuple[float, ...]:
    """Mean −log probability of a token of each held-out bundled passage, in nats.

    Args:
        model: the model.
        most: passages at most.
    """
    found: list[float] = []
    texts = passages(held_out=True)[:most]
    for start in range(0, len(texts), _BATCH):
        tokens = Tokens.of(
            [model.encode(text)[: model.context] for text in texts[start : start + _BATCH]], model.device
        )
        logits = model.forward(tokens, all_positions=True).logits[:, :-1].float()
        inside = torch.arange(1, tokens.width, device=model.device) < tokens.lengths[:, None]
        each = torch.nn.functional.cross_entropy(logits.transpose(1, 2), tokens.ids[:, 1:], reduction="none") * inside
        found += (each.sum(1) / inside.sum(1)).tolist()
    return tuple(found)
