"""Tables that verbs print."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from rich.table import Column, Table

from wheatstone._effects import effect_words, lost, score_words
from wheatstone._intervals import MINIMUM, interval_note, interval_text

if TYPE_CHECKING:
    from wheatstone.circuits import Circuit
    from wheatstone.studies import SharePoint
    from wheatstone.verification import Verification

_MOST_EDGES = 25
_MOST_SIZES = 6
_NEARLY_ALL = 0.9
"""A completeness from which a reader may take the circuit for the only path."""


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


def by_size_table(rows: Sequence[tuple[int, float, float]], goal: str) -> Table:
    """How far the ranking alone and the search are towards the goal, at some of the sizes the search went through."""
    titles = ("edges", f"{lost(goal)} of the ranking alone", f"{lost(goal)} of the search")
    table = Table(*(Column(title, justify="right") for title in titles), box=None)
    step = max(1, (len(rows) - 1) // (_MOST_SIZES - 1))
    for edges, ranking, search in rows[::-1][::step][::-1]:
        table.add_row(f"{edges:,}", f"{ranking:.3f}", f"{search:.3f}")
    return table


def by_share_table(rows: Sequence[SharePoint]) -> Table:
    """The gain in Hit@10 that nested circuits keep, by size."""
    table = Table(*(Column(title, justify="right") for title in ("edges", "share", "test", "training")), box=None)
    table.title = "Share of the model's gain in Hit@10 that circuits of other sizes keep"
    table.title_justify = "left"
    for point in rows:
        kept = ("–" if gain is None else f"{gain:.2f}" for gain in (point.gain_kept_test, point.gain_kept_train))
        table.add_row(f"{point.edges:,}", f"{point.share:.2%}", *kept)
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


def second_path_note(proofs: Iterable[Verification]) -> Iterator[str]:
    """What must be said next to a completeness near 1."""
    if any(proof.completeness >= _NEARLY_ALL for proof in proofs):
        yield (
            "A completeness near 1 does not rule out a second path: one that shares an edge with the circuit is cut "
            "together with it."
        )


def _interval(verification: Verification, name: str) -> str:
    between = interval_text(verification.ci95[name], 3)
    return between and f" (95% {between})"
