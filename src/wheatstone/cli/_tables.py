"""Tables that verbs print."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.table import Column, Table

from wheatstone._effects import effect_words, score_words
from wheatstone._intervals import MINIMUM, interval_note, interval_text

if TYPE_CHECKING:
    from wheatstone.circuits import Circuit
    from wheatstone.verification import Verification

_MOST_EDGES = 25
_MOST_SIZES = 6


def edge_table(circuit: Circuit) -> Table:
    """The circuit's strongest edges by exact effect, or by score where effects were not measured."""
    values = circuit.effects or circuit.scores or (0.0,) * len(circuit)
    title = f"{effect_words(circuit.goal, circuit.granularity)} (exact)"
    if not circuit.effects:
        title = f"score ({circuit.metric}, estimated; {score_words(circuit.metric)})"
    rows = sorted(zip(circuit.edges, values, strict=True), key=lambda row: -abs(row[1]))
    table = Table("edge", Column(title, justify="right"), box=None)
    for edge, effect in rows[:_MOST_EDGES]:
        table.add_row(f"{edge.sender} → {edge.receiver}", f"{effect:+.3f}")
    if len(rows) > _MOST_EDGES:
        table.add_row(f"… and {len(rows) - _MOST_EDGES} more, in circuit.json", "")
    return table


def by_size_table(rows: Sequence[tuple[int, float, float]]) -> Table:
    """Faithfulness of the ranking alone beside the search's, at some of the sizes that the search went through."""
    table = Table(*(Column(title, justify="right") for title in ("edges", "ranking alone", "searched")), box=None)
    step = max(1, (len(rows) - 1) // (_MOST_SIZES - 1))
    for edges, ranking, search in rows[::-1][::step][::-1]:
        table.add_row(f"{edges:,}", f"{ranking:.3f}", f"{search:.3f}")
    return table


def verification_table(verification: Verification) -> Table:
    """Model, circuit and what they are compared with, on one set of prompts."""
    names = ("metric_value", "kl", "hit_at_1", "hit_at_10")
    titles = (verification.metric, "KL (nats)", "Hit@1", "Hit@10")
    table = Table("", *(Column(title, justify="right") for title in titles), box=None, title_justify="left")
    table.title = (
        f"On {verification.split} (n = {verification.n}): faithfulness {verification.faithfulness:.3f}"
        f"{_interval(verification, 'faithfulness')}, completeness {verification.completeness:.3f}"
        f"{_interval(verification, 'completeness')}"
    )
    for condition in verification.kl:
        label = f"random × {verification.random_draws}" if condition == "random" else condition
        cells = (f"{getattr(verification, name)[condition]:.3f}" for name in names)
        table.add_row(label, *cells)
    if verification.n < MINIMUM:
        table.caption = interval_note(verification.n)
    return table


def _interval(verification: Verification, name: str) -> str:
    between = interval_text(verification.ci95[name], 3)
    return between and f" (95% {between})"
