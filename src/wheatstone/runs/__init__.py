"""Results as folders of open formats, written whole or not at all, and the catalogue that lists them."""

from typing import TYPE_CHECKING

from wheatstone._lazy import door
from wheatstone.runs._catalogue import CatalogueEntry as CatalogueEntry
from wheatstone.runs._catalogue import catalogue_add as catalogue_add
from wheatstone.runs._catalogue import catalogue_entries as catalogue_entries
from wheatstone.runs._catalogue import catalogue_remove as catalogue_remove
from wheatstone.runs._catalogue import catalogue_size as catalogue_size
from wheatstone.runs._catalogue import entry_of as entry_of
from wheatstone.runs._catalogue import unlisted_runs as unlisted_runs
from wheatstone.runs._columns import Row as Row
from wheatstone.runs._contents import CIRCUITS as CIRCUITS
from wheatstone.runs._contents import CONTENTS as CONTENTS
from wheatstone.runs._contents import Contents as Contents
from wheatstone.runs._contents import command_of as command_of
from wheatstone.runs._folder import add_file as add_file
from wheatstone.runs._folder import add_text as add_text
from wheatstone.runs._folder import check_free as check_free
from wheatstone.runs._folder import clear_partial as clear_partial
from wheatstone.runs._folder import damaged_files as damaged_files
from wheatstone.runs._folder import new_part as new_part
from wheatstone.runs._folder import new_run as new_run
from wheatstone.runs._folder import reserved as reserved
from wheatstone.runs._folder import write_hashes as write_hashes
from wheatstone.runs._folder import write_json as write_json
from wheatstone.runs._missing import draw as draw
from wheatstone.runs._missing import note_missing as note_missing
from wheatstone.runs._remove import Prunable as Prunable
from wheatstone.runs._remove import delete_run as delete_run
from wheatstone.runs._remove import prunable as prunable
from wheatstone.runs._remove import prune as prune
from wheatstone.runs._resumable import alone_in as alone_in
from wheatstone.runs._run import Run as Run
from wheatstone.runs._save import add_pictures as add_pictures
from wheatstone.runs._save import listed as listed
from wheatstone.runs._save import save_run as save_run
from wheatstone.runs._section import Section as Section
from wheatstone.runs._sound import sound as sound

if TYPE_CHECKING:
    from wheatstone.discovery import DiscoverySettings as DiscoverySettings
    from wheatstone.runs._additions import add_explanation as add_explanation
    from wheatstone.runs._additions import add_verification as add_verification
    from wheatstone.runs._archive import export_run as export_run
    from wheatstone.runs._archive import import_run as import_run
    from wheatstone.runs._discovery import DiscoveryRun as DiscoveryRun
    from wheatstone.runs._discovery import run_discovery as run_discovery
    from wheatstone.runs._discovery_folder import write_discovery as write_discovery
    from wheatstone.runs._edit import AnswerRow as AnswerRow
    from wheatstone.runs._edit import EditRun as EditRun
    from wheatstone.runs._edit import EditSettings as EditSettings
    from wheatstone.runs._edit import run_edit as run_edit
    from wheatstone.runs._explain import ExplainSettings as ExplainSettings
    from wheatstone.runs._explain import explain_run as explain_run
    from wheatstone.runs._held_out import SharePoint as SharePoint
    from wheatstone.runs._held_out import settings_for as settings_for
    from wheatstone.runs._held_out import splits_of as splits_of
    from wheatstone.runs._import import ImportedRun as ImportedRun
    from wheatstone.runs._import import run_import as run_import
    from wheatstone.runs._neuron_page import experiment_of as experiment_of
    from wheatstone.runs._neuron_page import neuron_facts as neuron_facts
    from wheatstone.runs._neurons import ConfirmedRow as ConfirmedRow
    from wheatstone.runs._neurons import DoseRow as DoseRow
    from wheatstone.runs._neurons import NeuronRun as NeuronRun
    from wheatstone.runs._neurons import NeuronSettings as NeuronSettings
    from wheatstone.runs._neurons import run_neurons as run_neurons
    from wheatstone.runs._plan import Plan as Plan
    from wheatstone.runs._plan import plan_discovery as plan_discovery
    from wheatstone.runs._plan_time import expected_seconds as expected_seconds
    from wheatstone.runs._probes import InterferenceRow as InterferenceRow
    from wheatstone.runs._probes import ProbeRun as ProbeRun
    from wheatstone.runs._probes import ProbeSettings as ProbeSettings
    from wheatstone.runs._probes import neuron_probes as neuron_probes
    from wheatstone.runs._probes import run_probes as run_probes
    from wheatstone.runs._resumable import work_begun as work_begun
    from wheatstone.runs._scan import open_scan as open_scan
    from wheatstone.runs._scan import run_scan as run_scan
    from wheatstone.runs._scan_plan import plan_scan as plan_scan
    from wheatstone.runs._scan_read import Example as Example
    from wheatstone.runs._scan_read import Scan as Scan
    from wheatstone.runs._scan_read import ScannedNeuron as ScannedNeuron
    from wheatstone.runs._scan_settings import ScanSettings as ScanSettings
    from wheatstone.runs._shards import damaged_shards as damaged_shards
    from wheatstone.runs._shards import run_shards as run_shards
    from wheatstone.runs._shards import shard_cost as shard_cost
    from wheatstone.runs._shards import shards_done as shards_done
    from wheatstone.runs._study import open_study as open_study
    from wheatstone.runs._study import run_study as run_study
    from wheatstone.runs._study import study_so_far as study_so_far
    from wheatstone.runs._study_settings import StudySettings as StudySettings
    from wheatstone.runs._sweep import open_sweep as open_sweep
    from wheatstone.runs._sweep import run_sweep as run_sweep
    from wheatstone.runs._sweep_pair import SweepSettings as SweepSettings
    from wheatstone.runs._trace import TraceRun as TraceRun
    from wheatstone.runs._trace import run_trace as run_trace
    from wheatstone.runs._weights import same_weights as same_weights

__getattr__ = door(
    __name__,
    {
        "AnswerRow": "wheatstone.runs._edit",
        "DiscoveryRun": "wheatstone.runs._discovery",
        "EditRun": "wheatstone.runs._edit",
        "EditSettings": "wheatstone.runs._edit",
        "run_edit": "wheatstone.runs._edit",
        "TraceRun": "wheatstone.runs._trace",
        "run_trace": "wheatstone.runs._trace",
        "DiscoverySettings": "wheatstone.discovery",
        "ExplainSettings": "wheatstone.runs._explain",
        "ConfirmedRow": "wheatstone.runs._neurons",
        "DoseRow": "wheatstone.runs._neurons",
        "NeuronRun": "wheatstone.runs._neurons",
        "NeuronSettings": "wheatstone.runs._neurons",
        "experiment_of": "wheatstone.runs._neuron_page",
        "neuron_facts": "wheatstone.runs._neuron_page",
        "run_neurons": "wheatstone.runs._neurons",
        "InterferenceRow": "wheatstone.runs._probes",
        "Plan": "wheatstone.runs._plan",
        "Example": "wheatstone.runs._scan_read",
        "Scan": "wheatstone.runs._scan_read",
        "ScannedNeuron": "wheatstone.runs._scan_read",
        "ScanSettings": "wheatstone.runs._scan_settings",
        "ProbeRun": "wheatstone.runs._probes",
        "ProbeSettings": "wheatstone.runs._probes",
        "StudySettings": "wheatstone.runs._study_settings",
        "add_explanation": "wheatstone.runs._additions",
        "add_verification": "wheatstone.runs._additions",
        "explain_run": "wheatstone.runs._explain",
        "export_run": "wheatstone.runs._archive",
        "import_run": "wheatstone.runs._archive",
        "ImportedRun": "wheatstone.runs._import",
        "run_import": "wheatstone.runs._import",
        "neuron_probes": "wheatstone.runs._probes",
        "open_scan": "wheatstone.runs._scan",
        "open_study": "wheatstone.runs._study",
        "plan_discovery": "wheatstone.runs._plan",
        "expected_seconds": "wheatstone.runs._plan_time",
        "plan_scan": "wheatstone.runs._scan_plan",
        "run_discovery": "wheatstone.runs._discovery",
        "SharePoint": "wheatstone.runs._held_out",
        "settings_for": "wheatstone.runs._held_out",
        "splits_of": "wheatstone.runs._held_out",
        "write_discovery": "wheatstone.runs._discovery_folder",
        "run_scan": "wheatstone.runs._scan",
        "run_probes": "wheatstone.runs._probes",
        "open_sweep": "wheatstone.runs._sweep",
        "damaged_shards": "wheatstone.runs._shards",
        "run_shards": "wheatstone.runs._shards",
        "run_study": "wheatstone.runs._study",
        "run_sweep": "wheatstone.runs._sweep",
        "shard_cost": "wheatstone.runs._shards",
        "shards_done": "wheatstone.runs._shards",
        "SweepSettings": "wheatstone.runs._sweep_pair",
        "same_weights": "wheatstone.runs._weights",
        "study_so_far": "wheatstone.runs._study",
        "work_begun": "wheatstone.runs._resumable",
    },
)
