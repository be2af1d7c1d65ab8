"""Single neurons of MLPs: which of them carry an answer, which tokens they write, what their activation foretells."""

from wheatstone.neurons._calibration import Calibration as Calibration
from wheatstone.neurons._calibration import CalibrationBin as CalibrationBin
from wheatstone.neurons._calibration import Estimate as Estimate
from wheatstone.neurons._calibration import calibrate as calibrate
from wheatstone.neurons._congruence import Congruence as Congruence
from wheatstone.neurons._congruence import Reading as Reading
from wheatstone.neurons._congruence import token_of as token_of
from wheatstone.neurons._observed import Observations as Observations
from wheatstone.neurons._observed import doses as doses
from wheatstone.neurons._observed import observe as observe
from wheatstone.neurons._pairs import Pair as Pair
from wheatstone.neurons._pairs import Pairs as Pairs
from wheatstone.neurons._pairs import exclusive_pairs as exclusive_pairs
from wheatstone.neurons._pairs import shuffled_z as shuffled_z
from wheatstone.neurons._patches import Direction as Direction
from wheatstone.neurons._patches import Patching as Patching
from wheatstone.neurons._recovery import SITES as SITES
from wheatstone.neurons._recovery import RecoveryRow as RecoveryRow
from wheatstone.neurons._recovery import recovery_by_place as recovery_by_place
from wheatstone.neurons._scan import NeuronScan as NeuronScan
from wheatstone.neurons._scan_bins import BINS as BINS
from wheatstone.neurons._scan_bins import bin_edges as bin_edges
from wheatstone.neurons._scan_bins import bins_of as bins_of
from wheatstone.neurons._scan_layer import PLACE_BITS as PLACE_BITS
from wheatstone.neurons._scan_layer import LayerStatistics as LayerStatistics
from wheatstone.neurons._scan_windows import Window as Window
from wheatstone.neurons._scan_windows import batches_of as batches_of
from wheatstone.neurons._scan_windows import ranks as ranks
from wheatstone.neurons._scan_windows import windows_of as windows_of
from wheatstone.neurons._screen import Confirmed as Confirmed
from wheatstone.neurons._screen import NeuronScreen as NeuronScreen
from wheatstone.neurons._screen import mlp_recovery as mlp_recovery
from wheatstone.neurons._screen import neuron_effects as neuron_effects
from wheatstone.neurons._screen import screen_neurons as screen_neurons
from wheatstone.neurons._tokens import CongruentToken as CongruentToken
from wheatstone.neurons._tokens import Histogram as Histogram
from wheatstone.neurons._tokens import ends_of as ends_of
from wheatstone.neurons._tokens import neurons_of_token as neurons_of_token

__all__ = [
    "BINS",
    "PLACE_BITS",
    "SITES",
    "Calibration",
    "CalibrationBin",
    "Confirmed",
    "Congruence",
    "CongruentToken",
    "Direction",
    "Estimate",
    "Histogram",
    "LayerStatistics",
    "NeuronScan",
    "NeuronScreen",
    "Observations",
    "Pair",
    "Pairs",
    "Patching",
    "Reading",
    "RecoveryRow",
    "Window",
    "batches_of",
    "bin_edges",
    "bins_of",
    "calibrate",
    "doses",
    "ends_of",
    "exclusive_pairs",
    "mlp_recovery",
    "neuron_effects",
    "neurons_of_token",
    "observe",
    "ranks",
    "recovery_by_place",
    "screen_neurons",
    "shuffled_z",
    "token_of",
    "windows_of",
]
