"""What happens when pairs of senders are taken out of one attention score: exact runs next to the softmax formula."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch

from wheatstone.lenses._score_pairs import ScoreTerm
from wheatstone.models import AddScore, HeadSplit, ResidualModel, Tokens


class Removal(NamedTuple):
    """One exact run without some pairs.

    Args:
        pairs: what was taken out of the score.
        value: what they added to it, in logits of the softmax.
        weight: attention weight of the key before.
        predicted: the weight without them, by the softmax formula.
        exact: the weight that the model's own attention code then has.
        logit: of the answer at the query's position, before.
        logit_after: the same without them.
        probability: of the answer before, 0 to 1.
        probability_after: the same without them.
    """

    pairs: tuple[ScoreTerm, ...]
    value: float
    weight: float
    predicted: float
    exact: float
    logit: float
    logit_after: float
    probability: float
    probability_after: float


def removals(
    model: ResidualModel,
    tokens: Tokens,
    split: HeadSplit,
    head: str,
    query: int,
    key: int,
    answer: int,
    removed: Sequence[tuple[ScoreTerm, ...]],
) -> tuple[Removal, ...]:
    """Takes pairs out of the score and runs the model on.

    Args:
        model: the model.
        tokens: one prompt.
        split: of the head at the query's position.
        head: such as `a23.h4`.
        query: position that looks.
        key: position that is looked at.
        answer: token whose logit is measured.
        removed: the pairs that each run is without; there is at least one run.
    """
    taken = torch.tensor([sum(term.value for term in pairs) for pairs in removed], dtype=torch.float64)
    scores = split.scores.repeat(len(taken), 1)
    scores[:, key] -= taken
    predicted = split.weights(scores)[:, key]
    # Pairs are terms of the score before the softcap; what the model adds to its scores comes after it.
    added = split.capped(scores)[:, key] - split.capped(split.scores)[key]
    batch = tokens.repeat(1 + len(taken))  # the first is left as it is: before and after take the same code path
    edit = AddScore(head=head, queries=(query,), keys=(key,), value=torch.cat([added.new_zeros(1), added]))
    layer, number = model.head(head)
    exact = model.attention(batch, [layer], interventions=[edit])[0, :, number, query, key].tolist()
    last = query == batch.width - 1
    logits = model.forward_with(batch, [edit], all_positions=not last).logits
    logits = (logits if last else logits[:, query]).cpu().double()
    logit, probability = logits[:, answer].tolist(), logits.softmax(-1)[:, answer].tolist()
    return tuple(
        Removal(pairs, value, exact[0], weight, exact[row], logit[0], logit[row], probability[0], probability[row])
        for row, (pairs, value, weight) in enumerate(
            zip(removed, taken.tolist(), predicted.tolist(), strict=True), start=1
        )
    )
