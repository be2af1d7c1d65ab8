"""Whether a model is the one a circuit was found in."""

from __future__ import annotations

from wheatstone._errors import ModelError
from wheatstone.circuits._circuit import Circuit
from wheatstone.models import ResidualModel


def same_weights(model: ResidualModel, circuit: Circuit) -> None:
    """Refuses to score a circuit on other weights than it was found in.

    Raises:
        ModelError: the hashes differ.
    """
    if circuit.model.sha256 and model.sha256 and circuit.model.sha256 != model.sha256:
        raise ModelError(
            expected=f"the weights the circuit was found in, {circuit.model.id} ({circuit.model.sha256[:12]}…)",
            got=f"{model.id} ({model.sha256[:12]}…)",
            do="give that model with --model, or discover the circuit again in this one",
        )
