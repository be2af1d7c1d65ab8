"""Why the circuit's strongest heads look where they look: the pairs of senders behind their attention.

For each head, from the last token: the key of the highest weight beside the runner-up, the strongest pairs of the score
and of the difference of the two, and the attention that is left when the strongest pairs of the score are removed from
it in an exact run. See `wheatstone.lenses.attention_scores`.
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from wheatstone._intervals import halves_of
from wheatstone._progress import Reporter
from wheatstone._text import count
from wheatstone.lenses._attention_score import AttentionScore, score_of
from wheatstone.lenses._attribution import direct_effects
from wheatstone.lenses._section import Explanation, Material, Section
from wheatstone.lenses._summaries import HeadLook, WhySummary
from wheatstone.runs import Table

_HEADS = 4
"""Heads that are read: of the circuit's, those with the largest mean |direct effect|."""
_PROMPTS = 4
"""Prompts that are read, at most: each head and prompt is a run of its own."""
_PAIRS = 6
"""Pairs noted of each sum."""
_REMOVED = 3
"""Pairs of the score that are removed together."""


class LookRow(NamedTuple):
    """Where one head looks from the last token of one prompt: a row of why_looks.parquet.

    Args:
        prompt: which, from 0.
        head: such as `a23.h4`.
        key: position of the highest weight.
        token: its text.
        weight: the attention weight, 0 to 1.
        score: before the softmax and any softcap, in logits.
        runner_up: position of the next highest weight; None where the head sees one token.
        runner_up_token: its text.
        runner_up_weight: its weight.
        difference: the score less the runner-up's.
        bias: what pairs with a bias term add to the score.
        dominated_by_bias: whether that is more than what pairs of nodes add.
        predicted: the weight without the three strongest pairs of the score, by the softmax formula.
        exact: the weight that the model's own attention code then has.
        moved: what the head moves from the key to the answer's logit.
    """

    prompt: int
    head: str
    key: int
    token: str
    weight: float
    score: float
    runner_up: int | None
    runner_up_token: str | None
    runner_up_weight: float | None
    difference: float | None
    bias: float
    dominated_by_bias: bool
    predicted: float
    exact: float
    moved: float


class PairRow(NamedTuple):
    """One pair of senders: a row of why_pairs.parquet.

    Args:
        prompt: which, from 0.
        head: such as `a23.h4`.
        of: `score`, or `difference` from the runner-up's score.
        place: 1 for the strongest by |value|.
        query_sender: whose write the last token's query reads.
        key_sender: whose write the key reads.
        value: what the pair adds, in logits of the softmax.
    """

    prompt: int
    head: str
    of: str
    place: int
    query_sender: str
    key_sender: str
    value: float


def why(material: Material, report: Reporter) -> Explanation:
    """Splits the attention scores of the circuit's strongest heads at each prompt's last token.

    When this misleads: a pair that adds as much to the runner-up moves no attention, so read the difference. A large
    pair may be cancelled by others. Heads that act through later heads alone have no direct effect and are not read.
    """
    halves, every = halves_of(material.n), range(material.n)
    choosing, measuring = (list(half) for half in halves or (every, every))
    heads, prompts = _strongest(material, choosing), measuring[:_PROMPTS]
    found: list[tuple[int, AttentionScore]] = []
    encoded = material.experiment.encoded
    for head in heads:
        for prompt in prompts:
            report("why heads look there", len(found), len(heads) * len(prompts))
            ids = encoded.clean.ids[prompt, : int(encoded.clean.lengths[prompt])].tolist()
            answer = int(encoded.answers[prompt, 0])
            found.append((prompt, score_of(material.experiment.model, ids, head, answer=answer)))
    looks = [_look(prompt, score) for prompt, score in found]
    pairs = [row for prompt, score in found for row in _pairs(prompt, score)]
    method = (
        f"{count(len(heads), 'head')} of the circuit with the largest mean |direct effect|, on {len(prompts)} of "
        f"{count(material.n, 'prompt')}, from the last token. The score before the softmax is an exact sum over pairs "
        "of senders, the norms' scales held at those of the run. Exact: the three strongest pairs subtracted from that "
        "one score, and the model's own attention code run on."
    )
    summary = WhySummary(
        heads={head: _summed(head, looks, pairs) for head in heads},
        prompts=len(prompts),
        prompt=encoded.pairs[prompts[0]].prompt,
    )
    return Explanation({"why_looks": Table.of(LookRow, looks), "why_pairs": Table.of(PairRow, pairs)}, summary, method)


def _strongest(material: Material, prompts: list[int]) -> list[str]:
    """The circuit's heads of the largest mean |direct effect|; of all heads where the circuit has none."""
    graph = material.experiment.graph
    strength = direct_effects(material)[:-1, prompts].abs().mean(1).tolist()
    ranked = sorted(range(len(strength)), key=lambda node: -strength[node])
    heads = [graph.nodes[node] for node in ranked if graph.nodes[node].startswith("a")]
    senders = {edge.sender.partition("@")[0] for edge in material.circuit.edges}
    return ([head for head in heads if head in senders] or heads)[:_HEADS]


def _look(prompt: int, score: AttentionScore) -> LookRow:
    removed, other, difference = score.confirm(_REMOVED, alone=False)[-1], score.runner_up, score.difference
    return LookRow(
        prompt=prompt,
        head=score.head,
        key=score.key,
        token=score.texts[score.key],
        weight=score.weight,
        score=score.score,
        runner_up=other,
        runner_up_token=None if other is None else score.texts[other],
        runner_up_weight=None if other is None else float(score.weights[other]),
        difference=None if difference is None else difference.total,
        bias=score.pairs.bias,
        dominated_by_bias=score.pairs.dominated_by_bias,
        predicted=removed.predicted,
        exact=removed.exact,
        moved=sum(term.value for term in score.moved),
    )


def _pairs(prompt: int, score: AttentionScore) -> list[PairRow]:
    sums = {"score": score.pairs, "difference": score.difference}
    return [
        PairRow(prompt, score.head, of, place, *term)
        for of, pairs in sums.items()
        if pairs is not None
        for place, term in enumerate(pairs.top(_PAIRS), start=1)
    ]


def _summed(head: str, looks: list[LookRow], pairs: list[PairRow]) -> HeadLook:
    """A head over the prompts that were read: its first one's look, and the pair that is most often first."""
    rows = [row for row in looks if row.head == head]
    first = [row for row in pairs if row.head == head and row.of == "difference" and row.place == 1]
    one = rows[0]
    look = HeadLook(one.token, one.weight, one.runner_up_token, one.runner_up_weight, None)
    if not first:
        return look
    (pair, times), *_ = Counter((row.query_sender, row.key_sender) for row in first).most_common(1)
    values = [row.value for row in first if (row.query_sender, row.key_sender) == pair]
    differences = [row.difference for row in rows if row.difference is not None]
    return look._replace(
        pair=pair,
        times=times,
        value=sum(values) / len(values),
        difference=sum(differences) / len(differences),
        weight_without=sum(row.exact for row in rows) / len(rows),
        mean_weight=sum(row.weight for row in rows) / len(rows),
    )


WHY = Section("why", "Why do the circuit's strongest heads look where they look?", why)
