"""The logit lens at every half layer and position, plain or tuned: what the residual stream would answer so far.

The stream after each attention and after each MLP is read as if it were the last, through the model's own final norm
and unembedding. A half layer h is h sublayers done: 0 is the input alone, 2L what the model answers.

Sources: nostalgebraist 2020, "interpreting GPT: the logit lens"; Belrose et al. 2023, "Eliciting Latent Predictions
from Transformers with the Tuned Lens" (arXiv 2303.08112); rank and logit difference by layer at the last token and at
the subject's last, Yao et al. 2024 (arXiv 2405.17969), figure 2.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from wheatstone._intervals import SHARE, interval_note, mean_intervals
from wheatstone._progress import Reporter
from wheatstone.lenses._section import Explanation, Material, Section
from wheatstone.lenses._summaries import LensCourse, LensSites, LensSummary
from wheatstone.lenses._tuned import TunedLens
from wheatstone.models import Graph
from wheatstone.runs import Table
from wheatstone.tasks import gather

_EVERYWHERE = 4
"""Prompts read at every position; of the others, the last token and the subject's."""
_TOP = 5
"""Most likely tokens that are noted at each place."""
_ROWS = 512
"""Places unembedded at once."""


class LensPoint(NamedTuple):
    """The answer at one half layer over all prompts: a row of lens_by_layer.parquet.

    Args:
        lens: `plain` or `tuned`.
        site: `last` token, or the `subject`'s last.
        half: sublayers done.
        after: the last of them: `input`, `a3` (attention of layer 3), `m3`.
        rank: median over prompts of the best-placed answer's.
        first: share of prompts on which an answer is the top token, with its interval.
        probability: of the answers, mean over prompts.
        difference: logit of answers less distractors, mean over prompts; None without distractors.
    """

    lens: str
    site: str
    half: int
    after: str
    n: int
    rank: float
    first: float
    first_low: float | None
    first_high: float | None
    probability: float
    probability_low: float | None
    probability_high: float | None
    difference: float | None
    difference_low: float | None
    difference_high: float | None


class LensPlace(NamedTuple):
    """One half layer at one position of one prompt: a row of lens_by_position.parquet.

    Args:
        prompt: which, from 0.
        position: in the prompt.
        token: at that position.
        lens: `plain` or `tuned`.
        half: sublayers done.
        after: the last of them.
        rank: of the best-placed answer.
        probability: of the answers together.
        tops: the most likely tokens, in order.
        top_probability: of the first of them.
    """

    prompt: int
    position: int
    token: str
    lens: str
    half: int
    after: str
    rank: int
    probability: float
    tops: list[str]
    top_probability: float


class _Seen(NamedTuple):
    """What some places of one half layer answer."""

    rank: Tensor
    probability: Tensor
    difference: Tensor
    tops: Tensor
    top_probability: Tensor


def half_layers(graph: Graph) -> list[str]:
    """The sublayer done last at each half layer: `input`, `a0`, `m0`, `a1` …"""
    return ["input", *(f"{kind}{layer}" for layer in range(graph.layers) for kind in "am")]


def logit_lens(material: Material, report: Reporter) -> Explanation:
    """Rank and probability of the answer, and the top tokens, after every sublayer.

    Args:
        material: read on the clean prompts; its tuned lens, where there is one, is read beside the plain one.
        report: progress callback.

    Returns:
        `lens_by_layer`, over all prompts at the last token and the subject's; `lens_by_position`, every position of the
        first few prompts.

    When this misleads: a middle layer is read as if it were the last one. A token that ranks low there may be
    present in a form that only later layers read; a high rank does not say that later layers use it. A tuned lens
    has learnt to guess what the model will answer, so it may show an answer before the model has computed it.
    """
    model = material.experiment.model
    tuned = TunedLens.load(material.tuned_lens, model) if material.tuned_lens else None
    lenses = {"plain": None} | ({"tuned": tuned} if tuned else {})
    points, places = list[LensPoint](), list[LensPlace]()
    for lens, translate in lenses.items():
        for site, nodes in (("last", material.last_nodes), ("subject", material.subject_nodes)):
            points += _by_layer(material, lens, translate, site, nodes)
            report("logit lens", len(points), None)
        places += _by_position(material, lens, translate)
    courses = {lens: LensSites(*(_course(points, lens, site) for site in ("last", "subject"))) for lens in lenses}
    summary = LensSummary(courses["plain"], courses.get("tuned"))
    method = (
        f"Logit lens through the final norm at every half layer, n = {material.n}. Rank: median over prompts; "
        f"probability and logit difference: mean, {interval_note(material.n)}. "
        f"Every position of the first {min(_EVERYWHERE, material.n)} prompts is in lens_by_position."
    )
    return Explanation(
        {"lens_by_layer": Table.of(LensPoint, points), "lens_by_position": Table.of(LensPlace, places)}, summary, method
    )


def _by_layer(
    material: Material, lens: str, tuned: TunedLens | None, site: str, nodes: Float[Tensor, "node batch d_model"]
) -> Iterator[LensPoint]:
    model, prompts = material.experiment.model, torch.arange(material.n)
    for half, seen in _read(material, tuned, model.after_sublayers(nodes), prompts):
        ranks, first = seen.rank.double(), (seen.rank == 1).double()
        measured = torch.stack([first, seen.probability.double(), seen.difference.double()]).cpu().numpy()
        mean, known = measured.mean(1), bool(np.isfinite(measured[2]).all())
        (first_at, probability_at, difference_at) = mean_intervals(measured, bounds=(SHARE, SHARE, None))
        yield LensPoint(
            lens,
            site,
            half,
            half_layers(model.graph)[half],
            material.n,
            float(ranks.quantile(0.5)),
            float(mean[0]),
            *first_at,
            float(mean[1]),
            *probability_at,
            float(mean[2]) if known else None,
            *(difference_at if known else (None, None)),
        )


def _by_position(material: Material, lens: str, tuned: TunedLens | None) -> Iterator[LensPlace]:
    experiment, encoded = material.experiment, material.experiment.encoded
    model, tokens = experiment.model, encoded.clean.rows(slice(_EVERYWHERE))
    nodes = model.forward(tokens, cache=True).nodes
    assert nodes is not None
    prompts, positions = (torch.arange(tokens.width, device=tokens.ids.device) < tokens.lengths[:, None]).nonzero().T
    texts = model.decode(tokens.ids[prompts, positions].tolist())
    for half, seen in _read(material, tuned, model.after_sublayers(nodes[:, prompts, positions]), prompts.cpu()):
        after = half_layers(model.graph)[half]
        for row, (prompt, position, text) in enumerate(zip(prompts.tolist(), positions.tolist(), texts, strict=True)):
            yield LensPlace(
                prompt,
                position,
                text,
                lens,
                half,
                after,
                int(seen.rank[row]),
                float(seen.probability[row]),
                model.decode(seen.tops[row].tolist()),
                float(seen.top_probability[row]),
            )


def _read(
    material: Material, tuned: TunedLens | None, streams: Float[Tensor, "half place d_model"], prompts: Tensor
) -> list[tuple[int, _Seen]]:
    """Each half layer that the lens reads, as all its places see it. A tuned lens reads whole layers."""
    halves = list(range(0, len(streams), 1 if tuned is None else 2))
    if tuned is not None:
        streams = torch.stack([tuned(half // 2, streams[half]) for half in halves])
    seen = _seen(material, streams.flatten(0, 1), prompts.repeat(len(halves)))
    return [(half, _Seen(*parts)) for half, parts in zip(halves, _by_half(seen, len(halves)), strict=True)]


def _by_half(seen: _Seen, halves: int) -> Iterator[tuple[Tensor, ...]]:
    return zip(*(part.unflatten(0, (halves, -1)) for part in seen), strict=True)


def _seen(material: Material, stream: Float[Tensor, "place d_model"], prompts: Tensor) -> _Seen:
    encoded, model, parts = material.experiment.encoded, material.experiment.model, list[_Seen]()
    for start in range(0, len(stream), _ROWS):
        logits, which = model.unembed(stream[start : start + _ROWS]).float(), prompts[start : start + _ROWS]
        answers, distractors = (ids.cpu()[which].to(logits.device) for ids in (encoded.answers, encoded.distractors))
        best, total, top = gather(logits, answers, -torch.inf), logits.logsumexp(-1), logits.topk(_TOP)
        parts.append(
            _Seen(
                (logits >= best.amax(-1, keepdim=True)).sum(-1),
                (best.logsumexp(-1) - total).exp(),
                best.logsumexp(-1) - gather(logits, distractors, -torch.inf).logsumexp(-1),
                top.indices,
                (top.values[:, 0] - total).exp(),
            )
        )
    return _Seen(*map(torch.cat, zip(*parts, strict=True)))


def _course(points: list[LensPoint], lens: str, site: str) -> LensCourse:
    """Where the answer becomes first, on most prompts and for good, and how sure the model is in the end."""
    rows = [point for point in points if (point.lens, point.site) == (lens, site)]
    stays = next((i + 1 for i, row in reversed(list(enumerate(rows))) if row.rank > 1), 0)
    first = rows[stays] if stays < len(rows) else None
    best = min(rows, key=lambda row: row.rank)
    return LensCourse(
        first_after=None if first is None else first.after,
        first_half=None if first is None else first.half,
        best_rank=best.rank,
        best_after=best.after,
        rank_at_end=rows[-1].rank,
        probability_at_end=rows[-1].probability,
        halves=len(rows) - 1,
    )


LENS = Section("lens", "After which layer is the answer the model's first choice, and where?", logit_lens)
