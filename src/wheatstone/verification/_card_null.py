"""Nulls: what chance gives where nothing is to be found, and how much more the circuit keeps.

*Evenly drawn* circuits match only the circuit's size, and rarely join input and logits. In *heads exchanged* the heads
of each layer have changed places: size, layers and connectedness are the circuit's. *Shuffled answers* are circuits of
the same scoring, cut at the same size, when each prompt is given the answers of another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from wheatstone._intervals import mean_interval
from wheatstone._view import Brief
from wheatstone.tasks import PromptPair
from wheatstone.verification._card import (
    NOT_SUPPORTED,
    NOT_TESTED,
    NOTHING,
    SUPPORTED,
    NullLine,
    NullRow,
    percents,
)
from wheatstone.verification._carried import Carried

EVEN, EXCHANGED, SHUFFLED = "evenly drawn", "heads exchanged", "shuffled answers"
_ENOUGH = 0.75
"""Share of the prompts that must get answers of another behaviour."""
_TRIES = 200


def shuffled_answers(pairs: Sequence[PromptPair], seed: int) -> list[PromptPair] | None:
    """The prompts with each other's answers and distractors; None where too few would get other answers.

    Of some random orders the one that gives most prompts answers none of which is their own is taken.

    Args:
        pairs: the prompts.
        seed: of the orders.
    """
    draw, answers = np.random.default_rng(seed), [set(pair.answers) for pair in pairs]
    best, most = None, -1
    for _ in range(_TRIES):
        order = draw.permutation(len(pairs)).tolist()
        changed = sum(not answers[at] & answers[other] for at, other in enumerate(order))
        if changed > most:
            best, most = order, changed
        if most == len(pairs):
            break
    if best is None or most < _ENOUGH * len(pairs):
        return None
    return [
        pair.model_copy(update={"answers": pairs[other].answers, "distractors": pairs[other].distractors})
        for pair, other in zip(pairs, best, strict=True)
    ]


@dataclass(frozen=True, eq=False)
class Null(Brief):
    """Circuits that chance gives, and the one that they are compared with.

    Args:
        masks: the circuits.
        against: what they are compared with.
        missing: why there are none.
    """

    masks: Bool[Tensor, "circuit channel node"]
    against: Bool[Tensor, "channel node"]
    missing: str = ""


def null_line(
    nulls: Mapping[str, Null],
    carried: Mapping[str, Carried],
    circuit: Bool[Tensor, "channel node"],
    *,
    least: float,
    size: int,
    measured_on: str,
) -> NullLine:
    """Compares a circuit with what chance gives.

    Args:
        nulls: by name.
        carried: by name, what the compared circuit and after it those of chance carry, fact by fact.
        circuit: the circuit.
        least: how many times as much the circuit must keep.
        size: edges of the circuits that are cut from scores.
        measured_on: which facts these are, in words.
    """
    claim = f"It keeps at least {least:g} times as much as circuits that chance gives."
    rows: list[NullRow] = []
    passed: dict[str, bool | None] = {}
    for name, null in nulls.items():
        if null.missing:
            rows.append(NullRow(name, missing=null.missing))
            passed[name] = None
            continue
        found, others = carried[name], slice(1, None)
        shared = (null.masks & circuit).flatten(1).sum(1) / circuit.sum().clamp_min(1)
        rows.append(
            NullRow(
                name,
                len(null.masks),
                found.share(others),
                float(shared.float().mean()),
                found.share(0),
                found.against(0, others),
            )
        )
        passed[name] = _is_more(found, least)
    harder = {name: ok for name, ok in passed.items() if name != EVEN and ok is not None}
    where = f"of the behaviour ({measured_on})"
    said = " ".join(_words(row, where) for row in rows)
    if not harder:
        lacking = "Fewer than four facts give no interval." if not all(row.missing for row in rows) else ""
        return NullLine(
            claim, NOT_TESTED, " ".join(filter(None, (lacking, said))), least, size, tuple(rows), measured_on
        )
    failed = [name for name, ok in harder.items() if not ok]
    verdict = NOT_SUPPORTED if failed else SUPPORTED
    return NullLine(claim, verdict, said, least, size, tuple(rows), measured_on)


def _is_more(found: Carried, least: float) -> bool | None:
    """Whether the first circuit clearly carries `least` times what the others do; None where facts are too few.

    A null that carries less than nothing counts as nothing: the first must then be above 0.
    """
    direction = np.sign(found.whole.mean())
    ours, theirs = found.part[0] * direction, found.part[1:].mean(0) * direction
    interval = mean_interval(ours - least * theirs if theirs.mean() > 0 else ours)
    return None if interval is None else interval[0] > 0


def _words(row: NullRow, where: str) -> str:
    if row.missing:
        return f"{row.name.capitalize()}: not tested, {row.missing}."
    assert row.kept is not None
    assert row.against is not None
    said = f"{row.name.capitalize()}: {percents(row.kept.value)} {where} against {percents(row.against.value)}"
    if abs(row.kept.value) < NOTHING:
        return f"{said}; chance keeps about nothing, so no ratio is given."
    if row.specificity is None:
        return f"{said}."
    ends = f"{row.specificity.low:.1f} to {row.specificity.high:.1f}"
    return f"{said}, {row.specificity.value:.1f} times as much ({ends})."


def no_circuits(like: Tensor, missing: str) -> Null:
    """A null that there is none of, and why."""
    return Null(torch.zeros(0, *like.shape, dtype=torch.bool), like, missing)
