"""What is said of circuits that compete, as values.

The section computes them and the page shows them, so that this loads no torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from wheatstone._view import Brief


class Strength(NamedTuple):
    """How active a circuit is over some prompts, in logits: means with 95% intervals over prompts.

    Args:
        circuit: its name.
        n: prompts.
        edges: that it has.
        own_edges: that no other circuit has.
        share: push as a share of what the model does, D(model) − D(all ablated), both averaged over prompts first;
            None where these are less than half a logit apart, so that a share is of nothing.
        push: of it alone.
        beyond: push less that of its copies.
        drop: without it.
        own_drop: without its own edges.
        own_beyond: own drop less that of its copies.
    """

    circuit: str
    n: int
    edges: int
    own_edges: int
    share: float | None
    push: float
    push_low: float | None
    push_high: float | None
    beyond: float
    beyond_low: float | None
    beyond_high: float | None
    drop: float
    own_drop: float
    own_drop_low: float | None
    own_drop_high: float | None
    own_beyond: float
    own_beyond_low: float | None
    own_beyond_high: float | None


class Verdict(NamedTuple):
    """Whether the stronger of two circuits has its way, prompt by prompt.

    Args:
        measure: of strength, `push` or `own_drop`.
        of: `circuits`, or their `copies`.
        n: prompts.
        agrees: share of prompts on which the two strengths' sum has the sign of the model's D.
        same: share of prompts on which D has its more frequent sign: what is right without looking.
        correlation: Spearman's, of the sum with D over prompts; None for two prompts, or where either is constant.
    """

    measure: str
    of: str
    n: int
    agrees: float
    agrees_low: float | None
    agrees_high: float | None
    same: float
    correlation: float | None


class RungStrength(NamedTuple):
    """A task's circuit on one rung of the ladder: a row of competition_ladder.parquet.

    Args:
        rung: how the prompts were edited.
        model: D of the model, mean over prompts: log-odds of the answer against the one that can be copied.
        wins: prompts on which the answer is ahead.
        push: of the circuit alone, in logits; the rest as in `Strength`.
    """

    rung: str
    circuit: str
    n: int
    model: float
    wins: int
    share: float | None
    push: float
    push_low: float | None
    push_high: float | None
    own_drop: float
    own_drop_low: float | None
    own_drop_high: float | None


@dataclass(frozen=True)
class CompetitionSummary(Brief):
    """What is said of circuits that compete.

    Args:
        edges: of each circuit.
        n: prompts that circuits were run on.
        model: D of the model, mean over them.
        circuits: each task's circuit on these prompts.
        task: of the run, where it is one of these tasks.
        ladder: circuits on each rung of the ladder into copying.
        verdicts: whether the strongest circuit has its way on the last rung.
        held_out: whether no circuit was ranked on these prompts.
    """

    edges: int
    n: int
    model: float
    circuits: tuple[Strength, ...]
    task: str | None
    ladder: tuple[RungStrength, ...]
    verdicts: tuple[Verdict, ...]
    held_out: bool = False
