"""Greater-than as its paper describes it: which years a model predicts, and whether one circuit serves other prompts.

For a span that begins in the year YY of a century, let p(y) be the probability of its last two digits y, whole:
teacher-forced over as many tokens as the tokenizer writes them with.

    two-digit difference     Σ_{y > YY} p(y) − Σ_{y ≤ YY} p(y)
    cutoff sharpness         p(YY + 1) − p(YY − 1)

The paper calls the first the probability difference. Here that name is the metric `prob_diff`, which circuits are
measured by: of a prompt's first token alone. Where years are written digit by digit that is the tens digit (see the
task), and a year of the same decade counts on neither side, so the two differ on the same prompts.

Source: Hanna, Liu and Variengien 2023 (arXiv 2305.00586), sections 2 and 5.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from wheatstone._errors import RequestError
from wheatstone._intervals import DIFFERENCE, mean_intervals, ratio_interval
from wheatstone._progress import Reporter, silent
from wheatstone.circuits import Circuit, Experiment, exchanged_heads
from wheatstone.mechanisms._years_summary import YearSums
from wheatstone.models import ResidualModel, Tokens
from wheatstone.tasks import METRICS, PromptPair
from wheatstone.tasks.generators import year_answers

YEAR_FORMS = {
    "lasted": "The {noun} lasted from the year {century}{year:02d} to the year {century}",
    "started and ended": "The {noun} started in the year {century}{year:02d} and ended in the year {century}",
    "price range": "The price of the {noun} ranges from ${century}{year:02d} to ${century}",
    "years in a row": "{century}01, {century}02, {century}{year:02d}, {century}",
    "less-than": "The {noun} ended in the year {century}{year:02d} and started in the year {century}",
}
"""Prompts after Hanna et al., section 5; in the last an earlier year is right."""


class YearCell(NamedTuple):
    """A cell of the matrix: a row of greater_than_years.parquet.

    Args:
        start: last two digits of the year in which the span begins.
        year: of the year foreseen.
        probability: mean over prompts.
    """

    start: int
    year: int
    n: int
    probability: float


def year_probabilities(model: ResidualModel, prompts: Sequence[str]) -> Float[Tensor, "prompt year"]:
    """p(y) of the two digits 00 to 99 after each prompt.

    Args:
        model: whose tokens are asked for.
        prompts: that end in a century's two digits.

    Raises:
        RequestError: a prompt whose tokens change when digits follow.
    """
    found = torch.zeros(len(prompts), 100, dtype=torch.float64)
    for row, prompt in zip(found, prompts, strict=True):
        ids = model.encode(prompt)
        years = [model.encode(f"{prompt}{year:02d}") for year in range(100)]
        if any(year[: len(ids)] != ids or len(year) == len(ids) for year in years):
            raise RequestError(
                expected="a prompt that two digits follow with tokens of their own",
                got=repr(prompt),
                do="end it with a century's two digits",
            )
        before = sorted({tuple(year[:end]) for year in years for end in range(len(ids), len(year))}, key=len)
        logits = model.forward(Tokens.of([list(prefix) for prefix in before], model.device)).logits
        next_token = dict(zip(before, logits.double().log_softmax(-1).cpu(), strict=True))
        for year, tokens in enumerate(years):
            chances = [next_token[tuple(tokens[:end])][tokens[end]] for end in range(len(ids), len(tokens))]
            row[year] = torch.stack(chances).sum().exp()
    return found


def year_sums(found: Float[Tensor, "prompt year"], starts: Sequence[int]) -> YearSums:
    """Sums the matrix up.

    Args:
        found: from `year_probabilities`.
        starts: of each prompt, from 1 to 98.
    """
    p, start = found.numpy(), np.array(starts)
    later = (p * (np.arange(100) > start[:, None])).sum(1)
    every = np.arange(len(p))
    sharp = p[every, start + 1] - p[every, start - 1]
    values = np.stack([2 * later - p.sum(1), sharp])
    (difference_at, sharp_at) = mean_intervals(values, bounds=DIFFERENCE)
    difference, sharpness = values.mean(1).tolist()
    mass = float(p.sum(1).mean())
    return YearSums(len(p), mass, float(later.mean()), difference, *difference_at, sharpness, *sharp_at)


def year_cells(found: Float[Tensor, "prompt year"], starts: Sequence[int]) -> list[YearCell]:
    """The matrix as rows, prompts of one start averaged."""
    which = torch.tensor(starts)
    return [
        YearCell(start, year, int((which == start).sum()), float(found[which == start, year].mean()))
        for start in sorted(set(starts))
        for year in range(100)
    ]


class YearForm(NamedTuple):
    """One circuit on one form of prompts, by `prob_diff` of the first token: a row of greater_than_forms.parquet.

    Args:
        form: its name.
        model: of the model, mean over prompts; below 0 earlier years are likelier.
        ablated: with everything ablated.
        circuit: of the circuit alone.
        faithfulness: (circuit − ablated) / (model − ablated); None where these are less than 0.1 apart.
        copies: the same of copies with exchanged heads.
    """

    form: str
    n: int
    model: float
    model_low: float | None
    model_high: float | None
    ablated: float
    circuit: float
    faithfulness: float | None
    faithfulness_low: float | None
    faithfulness_high: float | None
    copies: float | None


_LEAST = 0.1


def year_pairs(
    model: ResidualModel, form: str, *, nouns: Sequence[str], count: int = 20, seed: int = 0
) -> list[PromptPair]:
    """Pairs of one form, whose counterfactuals begin in the year 01. The answers are the later years.

    Args:
        model: whose tokens are asked for.
        form: with `{century}` and `{year:02d}`, and perhaps `{noun}`.
        nouns: to draw from.
        count: how many.
        seed: of nouns, centuries and years.
    """
    draw, pairs = Random(seed), list[PromptPair]()
    while len(pairs) < count:
        noun, century, year = draw.choice(nouns), draw.randint(11, 17), draw.randint(3, 98)
        prompt, counterfactual = (form.format(noun=noun, century=century, year=start) for start in (year, 1))
        right, wrong = year_answers(model, prompt, year)
        if right and wrong:
            pairs.append(PromptPair(prompt=prompt, counterfactual=counterfactual, answers=right, distractors=wrong))
    return pairs


def year_forms(
    model: ResidualModel,
    circuit: Circuit,
    forms: Mapping[str, str] = YEAR_FORMS,
    *,
    nouns: Sequence[str] = ("war", "siege", "voyage", "project"),
    count: int = 20,
    draws: int = 3,
    seed: int = 0,
    report: Reporter = silent,
) -> list[YearForm]:
    """Tries the circuit of one form of prompts on others.

    Args:
        model: the model.
        circuit: found on one of the forms.
        forms: by name, see `year_pairs`.
        nouns: to draw from.
        count: prompts of each form.
        draws: copies of the circuit to compare with.
        seed: of prompts and copies.
        report: progress callback.

    When this misleads: a form on which the model itself does not prefer later years says nothing about the circuit.
    """
    rows: list[YearForm] = []
    for name, form in forms.items():
        report("prompt forms", len(rows), len(forms))
        pairs = year_pairs(model, form, nouns=nouns, count=count, seed=seed)
        # KL, for a model that has no preference on some form would be refused under the measure itself.
        experiment = Experiment(
            model, pairs, ablation=circuit.ablation, metric="kl", reference=circuit.examples or None
        )
        keep = circuit.mask(experiment.graph)
        tried = torch.cat((keep[None], exchanged_heads(experiment.graph, keep, draws, seed)))
        measured = torch.cat((experiment.clean_logits[None], experiment.corrupt_logits[None], experiment.logits(tried)))
        values = METRICS["prob_diff"](measured, experiment.targets).double().cpu().numpy()
        interval, *_ = mean_intervals(values, bounds=DIFFERENCE)
        clean, corrupt, alone, *copies = values.mean(1).tolist()
        gap = clean - corrupt
        shown = abs(gap) >= _LEAST
        between = ratio_interval(values[2] - values[1], values[0] - values[1]) if shown else None
        low, high = between or (None, None)
        rows.append(
            YearForm(
                name,
                count,
                clean,
                *interval,
                corrupt,
                alone,
                (alone - corrupt) / gap if shown else None,
                low,
                high,
                float(np.mean(copies) - corrupt) / gap if shown else None,
            )
        )
    report("prompt forms", len(forms), len(forms))
    return rows
