"""Neurons that belong to one token, and how many of them hold up in text."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import altair as alt
import numpy as np
import torch

from wheatstone.figures._neuron_calibration import calibration_panel
from wheatstone.figures._theme import finished
from wheatstone.models import ResidualModel, Tokens, start_token
from wheatstone.neurons import (
    CalibrationBin,
    Congruence,
    Observations,
    Pair,
    Pairs,
    calibrate,
    exclusive_pairs,
    observe,
    ranks,
    windows_of,
)
from wheatstone.texts import bundled_texts

LAST_PART = "## How many hold up"
SAMPLES, LENGTH = 48, 64
"""Texts sampled from the model, and tokens of each."""
WINDOW = 128
"""Tokens of a window of the bundled texts."""
STRONG = 0.99
"""Quantile of the activation above which a pair is looked at."""
MUCH = 10
"""A pair predicts its token where its mean probability there is so many times the mean over all positions."""


def pairs_of(model: ResidualModel, parts: list[str]) -> Pairs:
    """Mutually exclusive pairs by both readings, and by chance."""
    found: dict[str, Pairs] = {}
    spent: dict[str, float] = {}
    for name, reading, seed in (("readout", "readout", None), ("embedding", "embedding", None), ("null", "readout", 0)):
        used = time.process_time()
        found[name] = exclusive_pairs(Congruence(model, reading), top=100, shuffled=seed)
        spent[name] = time.process_time() - used
        print(f"{name}: {spent[name]:.0f} s of processor time", flush=True)
    best, plain, chance = found["readout"], found["embedding"], found["null"].best[0].score
    above = sum(pair.score > chance for pair in best.best)
    same = {(pair.neuron, pair.token) for pair in best.best} & {(pair.neuron, pair.token) for pair in plain.best}
    parts += [
        "## Neurons that belong to one token",
        "",
        f"Mutually exclusive pairs out of {best.entries:,} entries, by the true read-out: {best.mutual:,}; in shuffled "
        f"neurons (one shuffle) {found['null'].mutual:,}, {found['null'].mutual / best.mutual:.0%} as many, so that "
        f"being each other's first choice says little by itself. The score says more: the best by chance is "
        f"{chance:.2f}, and {above} of the 100 best pairs are above it (the hundredth has {best.best[-1].score:.2f}). "
        f"By the plain embedding there are {plain.mutual:,}; {len(same)} of its 100 best are among the 100 best of the "
        f"read-out. A search takes {spent['readout']:.0f} s of processor time.",
        "",
        "z: the congruence among all shuffles of the neuron's weights, in standard deviations. Sign −1: the neuron "
        "raises the token by negative activations.",
        "",
        "| neuron | token | sign | congruence | margin to the next neuron | margin to the next token | score | z |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for pair in best.best[:10]:
        parts.append(
            f"| `{pair.neuron}` | {_shown(pair.text)} | {pair.sign:+d} | {pair.congruence:.2f} | {pair.token_gap:.2f} "
            f"| {pair.neuron_gap:.2f} | {pair.score:.1f} | {pair.z:.1f} |"
        )
    parts.append("")
    return best


@dataclass(frozen=True, eq=False)
class Held:
    """A neuron and a token in text: where the activation is strongest in one direction, and everywhere.

    Args:
        base: mean probability of the token over all positions.
        limit: activation (times the direction) above which it is among the strongest.
        strong: what is seen there.
    """

    base: float
    limit: float
    strong: CalibrationBin

    @property
    def predicts(self) -> bool:
        """Whether the token is much more probable there."""
        found = self.strong.probability
        return found.low is not None and found.mean >= MUCH * self.base and found.low > self.base


def hold_up(model: ResidualModel, pairs: Sequence[Pair]) -> tuple[list[str], alt.ConcatChart]:
    """The pairs in texts that the model wrote itself."""
    tokens = samples(model)
    seen = _observed(model, pairs, tokens)
    raising, lowering = (
        [_held(one, way * pair.sign) for one, pair in zip(seen, pairs, strict=True)] for way in (1, -1)
    )
    parts = [
        LAST_PART,
        "",
        f"On {tokens.batch} texts of {LENGTH} tokens that the model wrote itself (temperature 1, seed 0; "
        f"{int(tokens.lengths.sum()):,} positions). An activation *predicts* the token of its pair where, over the "
        f"1% of positions at which it is strongest, the token's mean probability is at least {MUCH} times its mean "
        "over all positions, and the lower end of its 95% interval over texts is above that mean. It is "
        "asked in both directions: of activations that raise the token by congruence, and of those that lower it. Many "
        "tokens hardly occur in so little text; for these nothing is shown either way.",
        "",
        *predicted(seen, pairs, raising, lowering),
        "",
        "A token that lowering activations predict is one that its neuron holds back where it is likely. The five "
        "best, with the causal effect: P lost is the token's probability less that with the neuron set to 0 "
        "everywhere, in the texts that hold its 20 strongest activations in either direction; negative where the "
        "neuron holds the token back.",
        "",
        "| pair | P over all positions | P where it raises most | P lost there | P where it lowers most "
        "| P lost there |",
        "|---|---|---|---|---|---|",
    ]
    panels: list[alt.VConcatChart] = []
    for at, pair in enumerate(pairs[:5]):
        texts = seen[at].texts[seen[at].activations.abs().topk(20).indices].unique()
        run = observe(model, model.neuron(pair.neuron), pair.token, Tokens(tokens.ids[texts], tokens.lengths[texts]))
        cells: list[str] = []
        for held, way in ((raising[at], pair.sign), (lowering[at], -pair.sign)):
            cells += [_range(held.strong.probability), _range(_strongest(run, way, held.limit).effect)]
        parts.append(f"| `{pair.neuron}` {_shown(pair.text)} | {held.base:.4f} | {' | '.join(cells)} |")
        bins = [
            row._asdict()
            | {
                name: None if value is None else value._asdict()
                for name, value in (("probability", row.probability), ("first", row.first), ("effect", row.effect))
            }
            for row in calibrate(run, bins=10).bins
        ]
        panels.append(calibration_panel(bins, f"{pair.neuron} for {pair.text!r}", width=230, height=150))
    parts += [
        "",
        "![Five panels: probability of a token by the activation of the neuron that belongs to it, share of first "
        "choices, and what the neuron contributes, over counts of positions.](../images/neuron-pairs.png)",
        "",
        "*In the texts that hold each neuron's 20 strongest activations, so strong activations are overrepresented.*",
    ]
    subtitle = [
        "Activation of a neuron against the probability of the token that it is most congruent with, and the token",
        "with it. Orange: how much of the probability goes when the neuron is set to 0. Bars: 95% over texts.",
    ]
    picture = alt.concat(*panels, columns=3, spacing=30)
    return parts, finished(picture, "The five most exclusive pairs in text", subtitle, "Activation against prediction.")


def predicted(
    seen: Sequence[Observations], pairs: Sequence[Pair], raising: Sequence[Held], lowering: Sequence[Held]
) -> list[str]:
    """How many pairs' tokens are predicted, as a table; by chance, too: each neuron with another pair's token."""
    others = [replace(one, probabilities=seen[at - 37].probabilities) for at, one in enumerate(seen)]
    chance = [
        sum(_held(one, way * pair.sign).predicts for one, pair in zip(others, pairs, strict=True)) for way in (1, -1)
    ]
    likely = [at for at, one in enumerate(seen) if float(one.probabilities.max()) >= 0.05]
    lines = ["| pairs | predicted by raising activations | by lowering ones | by either |", "|---|---|---|---|"]
    for name, rows in (
        ("5 best pairs", range(5)),
        (f"{len(pairs)} best pairs", range(len(pairs))),
        (f"{len(likely)} of these whose token has a probability of 5% somewhere", likely),
    ):
        counts = (sum(held[at].predicts for at in rows) for held in (raising, lowering))
        either = sum(raising[at].predicts or lowering[at].predicts for at in rows)
        lines.append(f"| {name} | {' | '.join(map(str, counts))} | {either} |")
    return [*lines, f"| {len(pairs)} neurons with another pair's token (chance) | {chance[0]} | {chance[1]} | |"]


def in_corpus(model: ResidualModel, pairs: Sequence[Pair], share: float) -> list[str]:
    """The same question in the bundled texts, on windows drawn over all of them."""
    windows = [
        window
        for number, document in enumerate(bundled_texts())
        for window in windows_of(model, document.text, number, WINDOW)
        if len(window.ids) == WINDOW and ranks(np.array([number << 32 | window.start]), 0, 30)[0] < share * 2**30
    ]
    inside = torch.arange(len(windows) * WINDOW) % WINDOW > 0  # the first has nothing before it
    documents = torch.tensor([window.document for window in windows]).repeat_interleave(WINDOW)[inside]
    seen = [
        replace(
            one,
            texts=documents,
            **{name: getattr(one, name)[inside] for name in ("activations", "probabilities", "first", "changed")},
        )
        for one in _observed(model, pairs, Tokens.of([window.ids for window in windows], model.device))
    ]
    raising, lowering = (
        [_held(one, way * pair.sign) for one, pair in zip(seen, pairs, strict=True)] for way in (1, -1)
    )
    return [
        "## How many hold up in the bundled texts",
        "",
        f"Made by `python benchmarks/neurons.py --parts corpus --pairs FILE --share {share}`: {len(windows)} windows "
        f"of {WINDOW} tokens, drawn over {len(documents.unique())} documents; {len(documents):,} positions. The "
        "question and the bar are those above; intervals are over documents.",
        "",
        *predicted(seen, pairs, raising, lowering),
        "",
    ]


def samples(model: ResidualModel) -> Tokens:
    """Texts that the model writes when it is given nothing."""
    torch.manual_seed(0)
    start = torch.full((SAMPLES, 1), start_token(model), device=model.device)
    generate: Any = model.module.generate
    with torch.no_grad():
        ids = generate(
            start, attention_mask=torch.ones_like(start), do_sample=True, temperature=1.0, top_k=0, top_p=1.0,
            max_new_tokens=LENGTH, min_new_tokens=LENGTH, pad_token_id=start_token(model),
        )  # fmt: skip
    return Tokens.of(ids.tolist(), model.device)


def _observed(model: ResidualModel, pairs: Sequence[Pair], tokens: Tokens) -> list[Observations]:
    """All pairs from one forward pass over the texts."""
    neurons = [model.neuron(pair.neuron) for pair in pairs]
    parts: list[list[Observations]] = [[] for _ in pairs]
    for start in range(0, tokens.batch, 8):
        rows = tokens.rows(slice(start, start + 8))
        found = model.neurons(rows, layers={neuron.layer for neuron in neurons}, all_positions=True)
        probabilities, first = found.logits.softmax(-1), found.logits.argmax(-1)
        texts = torch.arange(rows.batch).repeat_interleave(rows.width)
        for part, pair, neuron in zip(parts, pairs, neurons, strict=True):
            probability = probabilities[..., pair.token].flatten()
            part.append(
                Observations(
                    activations=found.activations[neuron.layer][..., neuron.index].flatten(),
                    probabilities=probability,
                    first=(first == pair.token).flatten(),
                    changed=torch.full_like(probability, torch.nan),
                    texts=texts,
                )
            )
    return [Observations.join(part) for part in parts]


def _held(seen: Observations, way: int) -> Held:
    limit = float((seen.activations * way).quantile(STRONG))
    return Held(float(seen.probabilities.mean()), limit, _strongest(seen, way, limit))


def _strongest(seen: Observations, way: int, limit: float) -> CalibrationBin:
    """What is seen where the activation, in one direction, is above a limit."""
    active = seen.activations * way
    edges = [min(float(active.min()), limit - 1), limit, max(float(active.max()), limit + 1e-6)]
    return calibrate(replace(seen, activations=active), edges=edges).bins[-1]


def _shown(text: str) -> str:
    return (f"`{text}`" if text.strip() and text.isprintable() else f"{text!r}").replace("|", "\\|")


def _range(found: object) -> str:
    mean, low, high = found  # pyright: ignore
    return f"{mean:.3f}" if low is None else f"{mean:.3f} ({low:.3f} to {high:.3f})"
