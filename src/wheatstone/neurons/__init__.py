"""Single neurons of MLPs: which of them carry an answer, which tokens they write, what their activation foretells."""

from wheatstone.neurons._patches import Direction as Direction
from wheatstone.neurons._patches import Patching as Patching
from wheatstone.neurons._recovery import SITES as SITES
from wheatstone.neurons._recovery import RecoveryRow as RecoveryRow
from wheatstone.neurons._recovery import recovery_by_place as recovery_by_place
from wheatstone.neurons._screen import Confirmed as Confirmed
from wheatstone.neurons._screen import NeuronScreen as NeuronScreen
from wheatstone.neurons._screen import mlp_recovery as mlp_recovery
from wheatstone.neurons._screen import neuron_effects as neuron_effects
from wheatstone.neurons._screen import screen_neurons as screen_neurons

__all__ = [
    "SITES",
    "Confirmed",
    "Direction",
    "NeuronScreen",
    "Patching",
    "RecoveryRow",
    "mlp_recovery",
    "neuron_effects",
    "recovery_by_place",
    "screen_neurons",
]
