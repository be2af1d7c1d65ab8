"""What is said of two-hop and reversed questions, as values.

The section computes them and the page shows them, so that this loads no torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from wheatstone._view import Brief


class HopQuestion(NamedTuple):
    """A question about a fact that was asked for by name: a row of hop_questions.parquet.

    Args:
        subject: of the fact, as it was named.
        task: of the question: the run's own, then those of the relations it is made of.
        prompt: the question.
        answer: the right answer that the model ranks highest.
        rank: of its first token in the model, 1 for the likeliest.
        probability: of that token.
        first: the model's likeliest token.
        circuit_rank: rank of the answer in the circuit of this task alone; None where no other fact of the relation can
            be its counterfactual.
    """

    subject: str
    task: str
    prompt: str
    answer: str
    rank: int
    probability: float
    first: str
    circuit_rank: int | None


class Reappearance(NamedTuple):
    """One circuit looked for in another: a row of reappearance.parquet.

    Args:
        part: name of the circuit that is looked for.
        whole: name of the one it is looked for in.
        edges: of the part.
        shared: share of them that the whole has.
        by_chance: the same of as many edges drawn from the pool, mean over draws.
        chance_low: 2.5% quantile over draws.
        chance_high: 97.5% quantile over draws.
        nodes: heads and MLPs that write in the part.
        nodes_shared: share of them that write in the whole.
        nodes_by_chance: the same of the drawn circuits, mean over draws.
    """

    part: str
    whole: str
    edges: int
    shared: float
    by_chance: float
    chance_low: float
    chance_high: float
    nodes: int
    nodes_shared: float
    nodes_by_chance: float


@dataclass(frozen=True)
class HopsSummary(Brief):
    """What is said of a two-hop or reversed question.

    Args:
        edges: of each circuit.
        parts: tasks of the single hops, or of the relation that is reversed.
        unrelated: tasks that the question has nothing to do with.
        prompts: that the question's circuit was ranked on.
        faithfulness: of that circuit on them.
        rows: what of each task's circuit reappears.
        kind: `two-hop` or `reversed`; empty in runs of earlier versions.
        held_n: test questions that were run.
        held_faithfulness: of the question's circuit on them.
        named: questions about facts that were asked for by name.
    """

    edges: int
    parts: tuple[str, ...]
    unrelated: tuple[str, ...]
    prompts: int
    faithfulness: float | None
    rows: tuple[Reappearance, ...]
    kind: str = ""
    held_n: int = 0
    held_faithfulness: float | None = None
    named: tuple[HopQuestion, ...] = ()
