"""The card of a circuit that cannot be run, and what a line says that was not measured."""

from __future__ import annotations

from wheatstone.cards._core import CLAIM as CORE_CLAIM
from wheatstone.cards._second import CLAIM as SECOND_CLAIM
from wheatstone.circuits import Circuit
from wheatstone.verification import (
    NOT_TESTED,
    SELECTIVITY_CLAIM,
    SPECIFICATION_CLAIM,
    Card,
    CoreLine,
    HeldOutLine,
    NullLine,
    SecondLine,
    SelectivityLine,
    SpecificationLine,
)

HELD_OUT_CLAIM = "On facts that it was not found on, the circuit keeps the behaviour."
NULL_CLAIM = "It keeps more than circuits that chance gives."
NO_PROMPTS = "The circuit was imported without prompts; import it again with --prompts or --task."


def empty_card(circuit: Circuit, seed: int, why: str = NO_PROMPTS) -> Card:
    """The card of a circuit that cannot be run: every line says why."""
    return Card(
        len(circuit),
        circuit.model.graph.edges,
        circuit.goal,
        HeldOutLine(HELD_OUT_CLAIM, NOT_TESTED, why),
        CoreLine(CORE_CLAIM, NOT_TESTED, why),
        NullLine(NULL_CLAIM, NOT_TESTED, why),
        SecondLine(SECOND_CLAIM, NOT_TESTED, why),
        SpecificationLine(SPECIFICATION_CLAIM, NOT_TESTED, why),
        SelectivityLine(SELECTIVITY_CLAIM, NOT_TESTED, why),
        seed,
    )
