"""Free-running generation: greedy continuations, and how repetitive they are."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from transformers import GenerationConfig

from wheatstone.models import ResidualModel, end_tokens


def continuations(model: ResidualModel, prompts: Sequence[str], length: int) -> list[list[int]]:
    """Greedy continuations of `length` tokens, or of as many as fit in the model's context after the prompt.

    Each prompt is continued as it would be alone: prompts are generated together only where that makes no difference.

    Args:
        model: the model.
        prompts: of any lengths; padded on the left and masked.
        length: tokens of each continuation.
    """
    rows = [model.encode(prompt) for prompt in prompts]
    groups: dict[tuple[int, int], list[int]] = {}
    for number, row in enumerate(rows):
        new = max(1, min(length, model.context - len(row)))
        switched = model.rotary.last is not None and len(row) + new > model.rotary.last
        groups.setdefault((new, len(row) if switched else 0), []).append(number)
    found: dict[int, list[int]] = {}
    for (new, _), numbers in groups.items():
        found |= zip(numbers, _generated(model, [rows[number] for number in numbers], new), strict=True)
    return [found[number] for number in range(len(rows))]


def _generated(model: ResidualModel, rows: Sequence[list[int]], new: int) -> list[list[int]]:
    """Continuations of `new` tokens. Where rotary tables depend on the length, all rows have one length."""
    width = max(map(len, rows))
    ids = torch.tensor([[0] * (width - len(row)) + row for row in rows], device=model.device)
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows], device=model.device)
    config = GenerationConfig(max_new_tokens=new, do_sample=False, pad_token_id=0, eos_token_id=None)
    generate: Any = model.module.generate
    with model.rotary.alone():
        return generate(ids, attention_mask=mask, generation_config=config)[:, width:].tolist()


def until_stop(model: ResidualModel, tokens: Sequence[int]) -> list[int]:
    """A continuation up to where the model ends its text by itself; all of it where it does not.

    Args:
        model: whose tokens end a text.
        tokens: the continuation.
    """
    ends = end_tokens(model)
    return list(tokens[: next((at for at, token in enumerate(tokens) if token in ends), len(tokens))])


def says(text: str, answers: Sequence[str], others: Sequence[str] = ()) -> bool:
    """Whether a text has an answer in it as a word, and before any of the others."""
    first = min((at for answer in answers if (at := _place(text, answer)) is not None), default=None)
    rivals = [at for other in others if other not in answers and (at := _place(text, other)) is not None]
    return first is not None and all(first < at for at in rivals)


def _place(text: str, words: str) -> int | None:
    found = re.search(rf"(?<!\w){re.escape(words.strip())}(?!\w)", text, re.IGNORECASE)
    return found.start() if found else None


def ngram_entropy(tokens: Sequence[int]) -> float:
    """Fluency: 2/3 of the entropy of bigrams plus 4/3 of that of trigrams, in bits; low where a text repeats itself.

    Source: Meng et al. 2022 (arXiv 2202.05262), section 3.4, weights as in its code; there over words of 100 tokens.

    When this misleads: it grows with the length; compare texts of one length alone.
    """
    return float(np.mean([weight * _entropy(tokens, n) for n, weight in ((2, 2 / 3), (3, 4 / 3))]))


def _entropy(tokens: Sequence[int], n: int) -> float:
    counts = Counter(zip(*(tokens[start:] for start in range(n)), strict=False))
    shares = np.array(list(counts.values()), dtype=np.float64)
    shares /= shares.sum()
    return float(-(shares * np.log2(shares)).sum())
