"""Prompts of one length together: no padding, and the numbers of one prompt at a time."""

from __future__ import annotations

from collections.abc import Sequence

from wheatstone.models import ResidualModel
from wheatstone.tasks._pair import PromptPair


def length_batches(model: ResidualModel, pairs: Sequence[PromptPair], *, most: int = 64) -> list[tuple[int, ...]]:
    """Groups prompts by their number of tokens.

    A measure that is a mean over prompts is the sum over all groups divided by the number of prompts: collect the
    values prompt by prompt, then average once. A mean of the groups' means would weigh short groups more.

    Args:
        model: whose tokenizer counts.
        pairs: the prompts.
        most: prompts in a group.

    Returns:
        Indices into `pairs`, each once, shortest prompts first.
    """
    by_length: dict[int, list[int]] = {}
    for index, pair in enumerate(pairs):
        by_length.setdefault(len(model.encode(pair.prompt)), []).append(index)
    return [
        tuple(same[start : start + most])
        for _, same in sorted(by_length.items())
        for start in range(0, len(same), most)
    ]
