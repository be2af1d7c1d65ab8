"""What is said of wrong facts, as values.

The section computes them and the page shows them, so that this loads no torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from wheatstone._view import Brief


class WrongWriter(NamedTuple):
    """What a head writes of D, mean over wrong facts: a row of wrong_writers.parquet.

    Args:
        head: such as `a23.h4`.
        n: wrong facts: none that the order of the heads was chosen on, where there are enough.
        direct: logits towards the wrong answer.
        to_right: logits that it writes towards the right answers of right facts, against their distractors.
    """

    head: str
    n: int
    direct: float
    direct_low: float | None
    direct_high: float | None
    to_right: float


class AskedFact(NamedTuple):
    """How one fact came out: a row of asked_facts.parquet.

    Args:
        subject: that it asks about.
        answer: as it is usually written.
        written: what the model writes.
        verdict: `right`, `wrong`, or `begun` where the top token begins an answer that is then not written.
    """

    subject: str
    answer: str
    written: str
    verdict: str


class Mending(NamedTuple):
    """What a change does: a row of mending.parquet.

    Args:
        change: `right writers look`, `right writers doubled` or `wrong writers silent`.
        heads: that are changed; `random` for as many random ones.
        n: wrong facts that it is tried on: none that the heads were chosen on, where there are enough.
        mended: share of them whose right token is then the top one.
        change_in_difference: of D, logits, mean; negative is towards the right answer.
        known_kept: share of the right facts that stay right.
        draws: sets of heads that this is the mean of.
        known: right facts that it is tried on, likewise.
    """

    change: str
    heads: str
    n: int
    mended: float
    mended_low: float | None
    mended_high: float | None
    change_in_difference: float
    change_in_difference_low: float | None
    change_in_difference_high: float | None
    known_kept: float
    draws: int
    known: int | None = None  # not in runs of earlier versions


@dataclass(frozen=True)
class WrongSummary(Brief):
    """What is said of wrong facts.

    Args:
        known: right facts that are looked at.
        wrong: wrong facts that are looked at.
        template: the words in which facts are asked.
        led: wrong facts on which the right answer is ahead after some layer.
        overtaken_after: layers after which the wrong one is then ahead for good, median.
        layers: of the model.
        right_writers: heads that write most of the right answers.
        writers: heads that write most towards the wrong answers.
        mendings: changes of the model that were tried.
        begun: facts that begin with the answer's first token and end otherwise.
        held_out: whether heads were chosen on other facts.
        asked: facts that were asked.
        verdicts: how many came out `right`, `wrong` and `begun`; None in runs of earlier versions.
        named: facts that were asked for by name.
    """

    known: int
    wrong: int
    template: str
    led: int
    overtaken_after: int | None
    layers: int
    right_writers: tuple[str, ...]
    writers: tuple[WrongWriter, ...]
    mendings: tuple[Mending, ...]
    begun: int
    held_out: bool = False
    asked: int = 0
    verdicts: Mapping[str, int] | None = None
    named: tuple[AskedFact, ...] = ()
