"""Where heads look from the last token, and what they take from there: weight, size of the write, and its direction.

A head's write at the last token is a sum over the positions k that it looks at,

    write = Σ_k weight[k] · v[k] W_O

so that weight[k] · |v[k] W_O| says how much comes from k, and the term's product with the answer's direction (through
the final norm at its frozen scale) how much of the head's direct effect does.

Sources: Kobayashi et al. 2020, "Attention is Not Only a Weight" (arXiv 2004.10102); Wang et al. 2022
(arXiv 2211.00593).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from wheatstone._intervals import SHARE, interval_note, mean_intervals
from wheatstone._progress import Reporter
from wheatstone.lenses._attribution import direct_effects, norm_scale
from wheatstone.lenses._section import Explanation, Material, Section
from wheatstone.lenses._summaries import AttentionSummary, MostWritten
from wheatstone.runs import Table

_HEADS = 8
"""Heads that are read: those with the largest mean |direct effect|."""


class SpanAttention(NamedTuple):
    """What a head takes from one part of the prompt: a row of attention_spans.parquet.

    Args:
        head: such as `a23.h4`.
        span: `first` token, a named span, or `last`; spans may overlap.
        weight: attention from the last token to it, mean over prompts.
        size: share of the head's value-weighted sizes that comes from there.
        toward: part of its direct effect on the answer, in logits.
    """

    head: str
    span: str
    n: int
    weight: float
    weight_low: float | None
    weight_high: float | None
    size: float
    size_low: float | None
    size_high: float | None
    toward: float
    toward_low: float | None
    toward_high: float | None


class TokenAttention(NamedTuple):
    """What a head takes from one token: a row of attention_tokens.parquet.

    Args:
        prompt: which, from 0.
        head: such as `a23.h4`.
        key: the position that is looked at from the last token.
        token: at that position.
        weight: share of the head's attention.
        size: norm of weight · value · W_O.
        toward: its product with the answer's direction, in logits.
    """

    prompt: int
    head: str
    key: int
    token: str
    weight: float
    size: float
    toward: float


class HeadWrites(NamedTuple):
    """What chosen heads take from each position: weight, size and part towards the answer."""

    weight: Float[Tensor, "chosen batch key"]
    size: Float[Tensor, "chosen batch key"]
    toward: Float[Tensor, "chosen batch key"]


def head_writes(material: Material, heads: list[tuple[int, int]]) -> HeadWrites:
    """Takes the writes of heads at the last token apart by the position they come from.

    Args:
        material: read on the clean prompts.
        heads: as (layer, head).
    """
    experiment, every = material.experiment, range(material.n)
    model, graph, last = experiment.model, experiment.graph, experiment.encoded.last
    values, parts = model.attention_values(experiment.encoded.clean), list[tuple[Tensor, ...]]()
    for layer, head in heads:
        block = model.blocks[layer]
        weight = material.patterns[layer][every, head, last]
        with block.present():
            terms = weight[..., None] * (values[layer][:, :, graph.group_of(head)] @ block.head_weights[head])
        if model.family.attention_output_norm is not None:
            terms = terms * norm_scale(material.last_nodes[graph.head_nodes(layer)][head], terms.sum(1))[:, None]
        parts.append((weight, terms.norm(dim=-1), (terms * material.answer_directions[:, None]).sum(-1)))
    return HeadWrites(*(torch.stack(part) for part in zip(*parts, strict=True)))


def attention(material: Material, report: Reporter) -> Explanation:
    """Reads where the heads of the largest direct effect look from the last token, and what they take from there.

    When this misleads: the weights are the whole model's; inside a circuit a head may look elsewhere. Only what a
    head writes to the answer itself is in `toward`; what it writes for later layers is not.
    """
    report("attention", 0, None)
    graph, encoded = material.experiment.graph, material.experiment.encoded
    strength = direct_effects(material)[:-1].abs().mean(1)
    heads = [(layer, head) for layer in range(graph.layers) for head in range(graph.heads)]
    heads.sort(key=lambda at: -float(strength[graph.head_nodes(at[0])][at[1]]))
    heads = heads[:_HEADS]
    names, found = [f"a{layer}.h{head}" for layer, head in heads], head_writes(material, heads)
    texts = [material.experiment.model.decode(row) for row in encoded.clean.ids.tolist()]
    lengths = encoded.clean.lengths.tolist()
    tokens = (
        TokenAttention(prompt, name, key, texts[prompt][key], *(float(part[row, prompt, key]) for part in found))
        for row, name in enumerate(names)
        for prompt in range(material.n)
        for key in range(lengths[prompt])
    )
    rows = list(_by_span(material, names, found))
    method = (
        f"Attention from the last token by transformers' eager code; each weight times its value through the head's "
        f"output projection (size), and that on the answer's direction at the frozen final norm (toward). The "
        f"{len(names)} heads of the largest mean |direct effect|; n = {material.n}, {interval_note(material.n)}."
    )
    tables = {"attention_spans": Table.of(SpanAttention, rows), "attention_tokens": Table.of(TokenAttention, tokens)}
    most = {name: max((row for row in rows if row.head == name), key=lambda row: abs(row.toward)) for name in names}
    summary = {name: MostWritten(row.span, row.weight, row.toward) for name, row in most.items()}
    return Explanation(tables, AttentionSummary(summary), method)


def _by_span(material: Material, names: list[str], found: HeadWrites) -> Iterator[SpanAttention]:
    shares = HeadWrites(found.weight, found.size / found.size.sum(-1, keepdim=True), found.toward)
    for span, inside in places_of(material).items():
        summed = torch.stack([(part * inside).sum(-1) for part in shares], 1).double().cpu()
        intervals = mean_intervals(summed.flatten(0, 1).numpy(), bounds=(SHARE, SHARE, None) * len(names))
        for row, name in enumerate(names):
            means = summed[row].mean(-1).tolist()
            cells = [(mean, *interval) for mean, interval in zip(means, intervals[3 * row : 3 * row + 3], strict=True)]
            weight, size, toward = cells
            yield SpanAttention(name, span, material.n, *weight, *size, *toward)


def places_of(material: Material) -> dict[str, Tensor]:
    """Parts of the prompts that all of them have, as [batch, key]: the first token, the named spans, the last token."""
    encoded = material.experiment.encoded
    positions = torch.arange(encoded.clean.width, device=encoded.clean.ids.device)
    places = {"first": (positions == 0).expand(material.n, -1)}
    for name, span in encoded.spans.items():
        if bool((span >= 0).all()):
            places[name] = (positions >= span[:, :1]) & (positions < span[:, 1:])
    return places


ATTENTION = Section("attention", "Where do the strongest heads look, and what do they take from there?", attention)
