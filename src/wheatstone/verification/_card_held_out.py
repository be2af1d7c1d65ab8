"""Faithfulness on facts that the circuit was not found on, measured until the question is decided."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool
from torch import Tensor

from wheatstone._intervals import BOUND, mean_sequence
from wheatstone._progress import Reporter, silent
from wheatstone.circuits import Experiment
from wheatstone.tasks import PromptPair
from wheatstone.verification._card import NOT_SUPPORTED, NOT_TESTED, SUPPORTED, Estimate, HeldOutLine, percents
from wheatstone.verification._carried import Carried, carried

_LOOK = 8
"""Facts between two looks at the interval."""


def held_out_line(
    experiment: Experiment,
    keep: Bool[Tensor, "channel node"],
    pairs: Sequence[PromptPair],
    *,
    least: float,
    counterfactuals: int = 1,
    complete: bool = False,
    seed: int = 0,
    report: Reporter = silent,
) -> HeldOutLine:
    """Measures a circuit on held-out facts, in random order, until it clearly keeps a share or clearly does not.

    Args:
        experiment: that the circuit was found in.
        keep: the circuit.
        pairs: the held-out facts, with one counterfactual each; none gives a line that is not tested.
        least: share to keep of a fact, on average.
        counterfactuals: most counterfactuals of each fact.
        complete: whether the circuit is judged by what is lost without it.
        seed: of the order and of counterfactuals.
        report: progress callback.

    When this misleads: facts of one test split are alike. The interval says how the circuit does on more facts of this
    kind, in this wording.
    """
    claim = f"On facts that it was not found on, the circuit keeps at least {percents(least)} of the behaviour."
    if not pairs:
        why = "The run has no held-out facts: only a run of a task has a test split."
        return HeldOutLine(claim, NOT_TESTED, why, least)
    several = experiment.several(pairs, most=counterfactuals, seed=seed)
    prompts = list(dict.fromkeys(pair.prompt for pair in pairs))
    order = np.random.default_rng(seed).permutation(len(prompts))
    parts: list[Carried] = []
    ends, values, seen = np.empty((0, 2)), np.empty(0), 0
    while seen < len(prompts):
        report("held-out facts", seen, len(prompts))
        chosen = {prompts[at] for at in order[seen : seen + _LOOK]}
        facts = [pair for pair in several if pair.prompt in chosen]
        parts.append(carried(experiment.over(facts), keep[None], complete=complete))
        seen += len(chosen)
        whole = _joined(parts)
        values = whole.each()
        ends = mean_sequence(values)
        if len(ends) and (ends[-1, 0] >= least or ends[-1, 1] < least):
            break
    report("held-out facts", len(prompts), len(prompts))
    whole = _joined(parts)
    if not len(values):
        why = f"On none of {seen} held-out facts does the model itself change its answer, so that no share exists."
        return HeldOutLine(claim, NOT_TESTED, why, least, facts=seen, available=len(prompts), left_out=seen)
    low, high = map(float, ends[-1])
    mean = float(values.mean())
    ends_text = f"{percents(low)} to {percents(high)}"
    share = whole.share()
    each = f", each with up to {counterfactuals} counterfactuals" if counterfactuals > 1 else ""
    found = (
        f"It keeps {percents(mean)} of a fact on average over {len(values)} facts{each} ({ends_text}). Averaged before "
        f"dividing, as in the other lines, it keeps {percents(share.value)}."
    )
    if low >= least:
        verdict, why = SUPPORTED, found
    elif high < least:
        verdict, why = NOT_SUPPORTED, found
    else:
        verdict = NOT_SUPPORTED
        why = f"{found} {len(values)} facts do not decide whether that is more or less than {percents(least)}."
    return HeldOutLine(
        claim,
        verdict,
        why,
        least,
        Estimate(mean, low, high, len(values)),
        BOUND,
        facts=seen,
        available=len(prompts),
        left_out=seen - len(values),
        faithfulness=share,
    )


def _joined(parts: Sequence[Carried]) -> Carried:
    return Carried(np.concatenate([p.part for p in parts], 1), np.concatenate([p.whole for p in parts]))
