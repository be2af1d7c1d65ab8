"""The three phases of recalling a fact: the subject is enriched, relation and subject arrive, the attribute is taken.

1. Enrichment: after each layer, the share of the 50 tokens that the stream at the subject's last token promotes most
   which are attributes of the subject, beside the same for another prompt's subject. As our sets are small, also how
   surely an attribute of the subject ranks above a word known of other things (AUROC; one half is chance).
2. Propagation: the answer's probability when the last token may not look at the subject, at the relation, at the first
   token (where attention rests) or at itself in a window of layers, (p_cut − p) / p. What is left of the attention is
   renormalised, as the softmax of the masked scores is. (The published notebook takes a second softmax of the weights,
   which gives uniform attention instead of none where all is cut.)
3. Extraction: the share of prompts on which what an attention or MLP sublayer writes at the last token, read alone,
   has the answer as its top token.

Source: Geva et al. 2023, "Dissecting Recall of Factual Associations in Auto-Regressive Language Models"
(arXiv 2304.14767), sections 5, 6 and 7.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.stats import rankdata
from torch import Tensor

from wheatstone._intervals import SHARE, halves_of, interval_note, mean_intervals, measured_on
from wheatstone._progress import Reporter
from wheatstone.lenses import Explanation, Material, Section, places_of
from wheatstone.mechanisms._attributes import attribute_tokens, known_tokens
from wheatstone.mechanisms._run_relation import own_relations
from wheatstone.runs import Table
from wheatstone.tasks import gather

_TOP = 50
"""Promoted tokens that are looked through, as published."""
LEAST_SUBJECTS, LEAST_WORDS = 5, 20
"""Subjects, and words known of them altogether, from which a sentence on enrichment is made."""
_SHARE = 6
"""A window holds one N-th of all layers; this is N."""
_WINDOWS = 16
"""Windows at most, evenly over the layers: neighbours share most of theirs."""
_ROWS = 512
"""Streams unembedded at once."""


class Enrichment(NamedTuple):
    """Attributes at the subject's last token: a row of recall_enrichment.parquet.

    Args:
        layer: how many layers are done.
        n: prompts whose subject the bundled facts know.
        rate: share of the top 50 tokens that are attributes of the subject, mean over prompts.
        other: the same for attributes of another prompt's subject that are not its own: what chance would give.
        above: probability that an attribute of the subject is promoted above a word known of other things.
        words: known of all these subjects together.
    """

    layer: int
    n: int
    rate: float
    rate_low: float | None
    rate_high: float | None
    other: float
    other_low: float | None
    other_high: float | None
    above: float
    above_low: float | None
    above_high: float | None
    words: int = 0


class Propagation(NamedTuple):
    """The answer without a look at one place: a row of recall_propagation.parquet.

    Args:
        place: `subject`, `relation`, `first` or `last`, which the last token may not look at. The first token is
            no part of subject or relation here: attention rests on any first token.
        layer: the middle of the window.
        first: its first layer.
        final: its last.
        n: prompts.
        change: of the answer's probability, relative: −1 where nothing of it is left.
    """

    place: str
    layer: int
    first: int
    final: int
    n: int
    change: float
    change_low: float | None
    change_high: float | None


class Extraction(NamedTuple):
    """Whether a sublayer says the answer by itself: a row of recall_extraction.parquet.

    Args:
        sublayer: such as `a23` or `m28`.
        layer: of it.
        kind: `attention` or `mlp`.
        n: prompts.
        rate: share of prompts on which the answer is the top token of what it writes.
    """

    sublayer: str
    layer: int
    kind: str
    n: int
    rate: float
    rate_low: float | None
    rate_high: float | None


class Enriched(NamedTuple):
    """Attributes at the subject's last token, before means are taken.

    Args:
        values: at each depth the rate, that of another subject, and how surely they are above; by known subject.
        words: known of all subjects together, as tokens.
    """

    values: Float[Tensor, "depth 3 subject"]
    words: int


_Way = tuple[str, int, int, int]
"""Place, middle, first and last layer of a window."""


def recall(material: Material, report: Reporter) -> Explanation:
    """Measures the three phases over all prompts.

    Args:
        material: prompts whose subject is not the last token.
        report: progress callback.

    When this misleads: a small attribute set misses most of what a subject's stream holds. Knocking attention out
    also takes away what has nothing to do with the fact, and what another token already passed on stays. An extraction
    event is read without the rest of the stream, and a sublayer may help the answer without having it on top.
    """
    report("recall: enrichment", 0, None)
    halves = halves_of(material.n)
    measures = _enriched(material)
    enrichment = list(_enrichment(material, measures, None))
    ways, changes = _propagated(material, report)
    report("recall: extraction", 0, None)
    right = _extracted(material)
    propagation, extraction = _propagation(material, ways, changes), _extraction(material, right)
    chosen, measured = (None, None) if halves is None else (list(half) for half in halves)
    by_choice = (
        (propagation, extraction)
        if chosen is None
        else (_propagation(material, ways, changes[:, chosen]), _extraction(material, right[:, chosen]))
    )
    held = (
        (propagation, extraction)
        if measured is None
        else (_propagation(material, ways, changes[:, measured]), _extraction(material, right[:, measured]))
    )
    summary: dict[str, Any] = {
        "held_out": halves is not None,
        "enrichment": _summary_of_enrichment(material, measures, enrichment),
        "propagation": {row.place: row._asdict() for row in _strongest(*by_choice[:1], *held[:1])},
        "extraction": {kind: _most_often(by_choice[1], held[1], kind) for kind in ("attention", "mlp")},
    }
    known = enrichment[0].n if enrichment else 0
    method = (
        f"n = {material.n}, {interval_note(material.n)}. The layers, windows and sublayers named in "
        f"sentences are {measured_on(material.n)}. Attribute rate: logit lens at the subject's last token, top {_TOP}, "
        f"attributes from the bundled facts and the run's own relation, {known} prompts whose subject these know; "
        f"AUROC among all words of these facts. Knock-out: windows of {_window(material)} layers, at most {_WINDOWS} "
        "of them, all heads, the last token's attention renormalised over what is left. "
        "Extraction: a sublayer's write at the last token through the final norm and unembedding."
    )
    tables = {
        "recall_enrichment": Table.of(Enrichment, enrichment),
        "recall_propagation": Table.of(Propagation, propagation),
        "recall_extraction": Table.of(Extraction, extraction),
    }
    return Explanation(tables, summary, method)


def _enriched(material: Material) -> Enriched | None:
    """Rates of attributes at each depth, prompt by prompt; None where no fact is about any subject."""
    model, own = material.experiment.model, own_relations(material)
    sets = [attribute_tokens(model, text, own) for text in subjects(material)]
    known = [prompt for prompt, tokens in enumerate(sets) if tokens]
    if not known:
        return None
    streams = model.after_layers(material.subject_nodes[:, known])
    words = torch.tensor(sorted(known_tokens(model, own)))
    parts = [model.unembed(rows) for rows in streams.flatten(0, 1).split(_ROWS)]
    tops = torch.cat([logits.topk(_TOP).indices for logits in parts]).unflatten(0, streams.shape[:2]).tolist()
    known_logits = [logits[:, words.to(logits.device)].float().cpu() for logits in parts]
    order = torch.from_numpy(np.concatenate([rankdata(logits, axis=-1) - 1 for logits in known_logits]))
    above = _above(order.unflatten(0, streams.shape[:2]), words, [sets[prompt] for prompt in known])
    others = [sets[known[(at + 1) % len(known)]] - sets[prompt] for at, prompt in enumerate(known)]
    rates = [
        [[len(of[at].intersection(tokens)) / _TOP for at, tokens in enumerate(promoted)] for promoted in tops]
        for of in ([sets[prompt] for prompt in known], others)
    ]
    measured = torch.stack([*torch.tensor(rates, dtype=torch.float64), above.double().cpu()], 1)
    return Enriched(measured, len(frozenset[int]().union(*(sets[prompt] for prompt in known))))


def _enrichment(material: Material, found: Enriched | None, prompts: list[int] | None) -> Iterator[Enrichment]:
    """The rows, over some of the prompts whose subjects are known."""
    if found is None:
        return
    values = found.values if prompts is None else found.values[..., prompts]
    for layer, measured in enumerate(values):
        intervals = mean_intervals(measured.numpy(), bounds=SHARE)
        own, other, over = (
            (mean, *interval) for mean, interval in zip(measured.mean(1).tolist(), intervals, strict=True)
        )
        yield Enrichment(layer, measured.shape[1], *own, *other, *over, found.words)


def _above(
    ranks: Float[Tensor, "depth subject word"], words: Int[Tensor, " word"], sets: list[frozenset[int]]
) -> Float[Tensor, "depth subject"]:
    """AUROC of each subject's words among all, from their ranks (0 for the least promoted, equal ones the mean)."""
    own = torch.stack([torch.isin(words, torch.tensor(sorted(tokens))) for tokens in sets]).double()
    few, all_words = own.sum(-1), len(words)
    summed = (ranks * own).sum(-1)
    return (summed - few * (few - 1) / 2) / (few * (all_words - few)).clamp_min(1)


def _propagated(material: Material, report: Reporter) -> tuple[list[_Way], Float[Tensor, "way batch"]]:
    """Places and windows, and what each costs the answer's probability, prompt by prompt."""
    model, tokens = material.experiment.model, material.experiment.encoded.clean
    layers, half = model.graph.layers, _window(material) // 2
    middles = range(0, layers, -(-layers // _WINDOWS))
    windows = [(middle, max(0, middle - half), min(layers - 1, middle + half)) for middle in middles]
    places = _cut_places(material)
    ways = [(place, *window) for window in windows for place in places]
    cuts = torch.zeros(len(ways), layers, material.n, tokens.width, dtype=torch.bool)
    for row, (place, _, first, final) in enumerate(ways):
        cuts[row, first : final + 1] = places[place].cpu()
    logits = model.last_cut_logits(
        tokens, cuts, done=lambda count: report("recall: attention knock-out", count, len(ways))
    )
    before = _probability(material, material.experiment.clean_logits)
    return ways, ((_probability(material, logits) - before) / before).double().cpu()


def _propagation(material: Material, ways: list[_Way], changes: Float[Tensor, "way batch"]) -> list[Propagation]:
    intervals = mean_intervals(changes.numpy())
    return [
        Propagation(*way, changes.shape[1], change, *interval)
        for way, change, interval in zip(ways, changes.mean(1).tolist(), intervals, strict=True)
    ]


def _cut_places(material: Material) -> dict[str, Bool[Tensor, "batch key"]]:
    """Subject, relation and last token; where no prompt names a relation, all that is neither of the other two."""
    places = places_of(material)
    subject, last = places["subject"], places["last"]
    inside = torch.arange(subject.shape[1], device=subject.device) < material.experiment.encoded.clean.lengths[:, None]
    rest = places.get("relation", inside) & ~subject & ~last & inside
    first = places["first"] & ~last
    return {"subject": subject & ~last & ~first, "relation": rest & ~first, "last": last, "first": first}


def _extracted(material: Material) -> Float[Tensor, "sublayer batch"]:
    """1 where the answer is the top token of what a sublayer writes, prompt by prompt."""
    model, encoded = material.experiment.model, material.experiment.encoded
    writes = model.after_sublayers(material.last_nodes).diff(dim=0)
    tops = torch.cat([model.unembed(rows).argmax(-1) for rows in writes.flatten(0, 1).split(_ROWS)])
    return (tops.unflatten(0, writes.shape[:2])[..., None] == encoded.answers).any(-1).double().cpu()


def _extraction(material: Material, right: Float[Tensor, "sublayer batch"]) -> list[Extraction]:
    intervals, rows = mean_intervals(right.numpy(), bounds=SHARE), list[Extraction]()
    for index, (rate, interval) in enumerate(zip(right.mean(1).tolist(), intervals, strict=True)):
        layer, mlp = divmod(index, 2)
        kind = "mlp" if mlp else "attention"
        rows.append(Extraction(f"{kind[0]}{layer}", layer, kind, right.shape[1], rate, *interval))
    return rows


def _probability(material: Material, logits: Tensor) -> Tensor:
    return gather(logits.softmax(-1), material.experiment.encoded.answers, 0.0).sum(-1)


def _window(material: Material) -> int:
    """An odd number of layers, so that a window has a middle."""
    return 2 * (material.experiment.graph.layers // _SHARE // 2) + 1


def subjects(material: Material) -> list[str]:
    """Each prompt's subject: its span's text, else the tokens in which it differs from its counterfactual."""
    encoded, model = material.experiment.encoded, material.experiment.model
    found: list[str] = []
    for pair, ids, (start, end) in zip(
        encoded.pairs, encoded.clean.ids.tolist(), encoded.spans["subject"].tolist(), strict=True
    ):
        named = pair.spans.get("subject")
        found.append(pair.prompt[slice(*named)] if named else model.written(ids[start:end]).strip())
    return found


def _strongest(chosen: list[Propagation], held: list[Propagation]) -> Iterator[Propagation]:
    """Of each place, the window that costs the answer most where it is chosen, as it is measured on other prompts."""
    for place in dict.fromkeys(row.place for row in chosen):
        at = min((at for at, row in enumerate(chosen) if row.place == place), key=lambda at: chosen[at].change)
        yield held[at]


def _most_often(chosen: list[Extraction], held: list[Extraction], kind: str) -> list[dict[str, Any]]:
    """The three sublayers that say the answer most often where they are chosen, as measured on other prompts."""
    order = sorted((at for at, row in enumerate(chosen) if row.kind == kind), key=lambda at: -chosen[at].rate)
    return [held[at]._asdict() for at in order[:3]]


def _summary_of_enrichment(material: Material, found: Enriched | None, rows: list[Enrichment]) -> dict[str, Any] | None:
    """The depths of the clearest enrichment where they are chosen, as measured on other prompts."""
    if found is None:
        return None
    halves = halves_of(found.values.shape[-1])
    chosen = held = rows
    if halves is not None:
        chosen, held = (list(_enrichment(material, found, list(half))) for half in halves)
    peak = max(chosen, key=lambda row: row.rate - row.other).layer
    above = max(chosen, key=lambda row: row.above).layer
    return {
        "held_out": halves is not None,
        "start": held[0]._asdict(),
        "peak": held[peak]._asdict(),
        "above": held[above]._asdict(),
        "end": held[-1]._asdict(),
        "subjects": rows[0].n,
        "words": found.words,
        "enough": rows[0].n >= LEAST_SUBJECTS and found.words >= LEAST_WORDS,
    }


def _subject_is_not_last(material: Material) -> str | None:
    encoded = material.experiment.encoded
    at_end = int((encoded.subject_last >= encoded.last).sum())
    return f"a subject before the last token in every prompt ({at_end} of {material.n} end in it)" if at_end else None


RECALL = Section(
    "recall", "How is the fact recalled: where is it gathered, carried and taken?", recall, (_subject_is_not_last,)
)
