"""Single neurons of MLPs: which of them carry an answer, which tokens they write, what their activation foretells."""

from wheatstone.neurons._calibration import Calibration as Calibration
from wheatstone.neurons._calibration import CalibrationBin as CalibrationBin
from wheatstone.neurons._calibration import Estimate as Estimate
from wheatstone.neurons._calibration import calibrate as calibrate
from wheatstone.neurons._concepts import LabelledSpan as LabelledSpan
from wheatstone.neurons._concepts import LabelledText as LabelledText
from wheatstone.neurons._concepts import concepts_in as concepts_in
from wheatstone.neurons._concepts import read_concepts as read_concepts
from wheatstone.neurons._concepts_bundled import CONCEPTS as CONCEPTS
from wheatstone.neurons._concepts_bundled import BundledConcept as BundledConcept
from wheatstone.neurons._concepts_bundled import bundled_concepts as bundled_concepts
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
from wheatstone.neurons._patches import check_direction as check_direction
from wheatstone.neurons._probe import ConceptProbes as ConceptProbes
from wheatstone.neurons._probe import LayerDirections as LayerDirections
from wheatstone.neurons._probe import ProbeRow as ProbeRow
from wheatstone.neurons._probe import probe_concept as probe_concept
from wheatstone.neurons._probe_fit import SIZES as SIZES
from wheatstone.neurons._probe_fit import Probe as Probe
from wheatstone.neurons._probe_fit import differences as differences
from wheatstone.neurons._probe_fit import fit_on as fit_on
from wheatstone.neurons._probe_fit import fit_threshold as fit_threshold
from wheatstone.neurons._probe_fit import probes_by_l1 as probes_by_l1
from wheatstone.neurons._probe_fit import probes_by_pursuit as probes_by_pursuit
from wheatstone.neurons._probe_fit import probes_by_ranking as probes_by_ranking
from wheatstone.neurons._probe_fit import standardised as standardised
from wheatstone.neurons._probe_parts import PARTS as PARTS
from wheatstone.neurons._probe_parts import ConceptRows as ConceptRows
from wheatstone.neurons._probe_parts import split_documents as split_documents
from wheatstone.neurons._probe_rows import Activations as Activations
from wheatstone.neurons._probe_rows import LabelledRows as LabelledRows
from wheatstone.neurons._probe_rows import recorded as recorded
from wheatstone.neurons._probe_rows import rows_of as rows_of
from wheatstone.neurons._probe_scores import ProbeScore as ProbeScore
from wheatstone.neurons._probe_scores import always_yes as always_yes
from wheatstone.neurons._probe_scores import score_decisions as score_decisions
from wheatstone.neurons._probe_single import DETECTS as DETECTS
from wheatstone.neurons._probe_single import LEVEL as LEVEL
from wheatstone.neurons._probe_single import NeuronTests as NeuronTests
from wheatstone.neurons._probe_single import exchanged as exchanged
from wheatstone.neurons._probe_single import explained as explained
from wheatstone.neurons._probe_single import neuron_tests as neuron_tests
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
from wheatstone.neurons._superposition import Interference as Interference
from wheatstone.neurons._superposition import cosines as cosines
from wheatstone.neurons._superposition import interference as interference
from wheatstone.neurons._superposition import random_directions as random_directions
from wheatstone.neurons._superposition_planted import Found as Found
from wheatstone.neurons._superposition_planted import Planted as Planted
from wheatstone.neurons._superposition_planted import find_planted as find_planted
from wheatstone.neurons._superposition_planted import train_planted as train_planted
from wheatstone.neurons._tokens import CongruentToken as CongruentToken
from wheatstone.neurons._tokens import Histogram as Histogram
from wheatstone.neurons._tokens import ends_of as ends_of
from wheatstone.neurons._tokens import neurons_of_token as neurons_of_token

__all__ = [
    "BINS",
    "CONCEPTS",
    "DETECTS",
    "LEVEL",
    "PARTS",
    "PLACE_BITS",
    "SITES",
    "SIZES",
    "Activations",
    "BundledConcept",
    "Calibration",
    "CalibrationBin",
    "ConceptProbes",
    "ConceptRows",
    "Confirmed",
    "Congruence",
    "CongruentToken",
    "Direction",
    "Estimate",
    "Found",
    "Histogram",
    "Interference",
    "LabelledRows",
    "LabelledSpan",
    "LabelledText",
    "LayerDirections",
    "LayerStatistics",
    "NeuronScan",
    "NeuronScreen",
    "NeuronTests",
    "Observations",
    "Pair",
    "Pairs",
    "Patching",
    "Planted",
    "Probe",
    "ProbeRow",
    "ProbeScore",
    "Reading",
    "RecoveryRow",
    "Window",
    "always_yes",
    "batches_of",
    "bin_edges",
    "bins_of",
    "bundled_concepts",
    "calibrate",
    "concepts_in",
    "cosines",
    "differences",
    "doses",
    "ends_of",
    "exchanged",
    "exclusive_pairs",
    "explained",
    "find_planted",
    "fit_on",
    "fit_threshold",
    "interference",
    "mlp_recovery",
    "neuron_effects",
    "neuron_tests",
    "neurons_of_token",
    "observe",
    "probe_concept",
    "probes_by_l1",
    "probes_by_pursuit",
    "probes_by_ranking",
    "random_directions",
    "ranks",
    "read_concepts",
    "recorded",
    "recovery_by_place",
    "rows_of",
    "score_decisions",
    "screen_neurons",
    "shuffled_z",
    "split_documents",
    "standardised",
    "token_of",
    "train_planted",
    "windows_of",
]
