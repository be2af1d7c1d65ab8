"""Changing facts: edits as data, the methods that make them, causal tracing, and what an edit is worth."""

from wheatstone.editing._asked import Asked as Asked
from wheatstone.editing._asked import asked as asked
from wheatstone.editing._case import CHANGED as CHANGED
from wheatstone.editing._case import KINDS as KINDS
from wheatstone.editing._case import Case as Case
from wheatstone.editing._case import Probe as Probe
from wheatstone.editing._case import relation_cases as relation_cases
from wheatstone.editing._case_files import read_cases as read_cases
from wheatstone.editing._contexts import keys_at as keys_at
from wheatstone.editing._delta import Delta as Delta
from wheatstone.editing._delta import Dense as Dense
from wheatstone.editing._delta import LowRank as LowRank
from wheatstone.editing._edit import Applied as Applied
from wheatstone.editing._edit import Edit as Edit
from wheatstone.editing._editor import Editor as Editor
from wheatstone.editing._evaluate import Baseline as Baseline
from wheatstone.editing._evaluate import Evaluation as Evaluation
from wheatstone.editing._evaluate import ScoreRow as ScoreRow
from wheatstone.editing._evaluate import baseline_of as baseline_of
from wheatstone.editing._evaluate import evaluate as evaluate
from wheatstone.editing._evaluate import held_out_loss as held_out_loss
from wheatstone.editing._evaluate import score_rows as score_rows
from wheatstone.editing._generation import continuations as continuations
from wheatstone.editing._methods import METHODS as METHODS
from wheatstone.editing._methods import make_edit as make_edit
from wheatstone.editing._passes import Site as Site
from wheatstone.editing._request import EditRequest as EditRequest
from wheatstone.editing._statistics import KeyStatistics as KeyStatistics
from wheatstone.editing._statistics import key_statistics as key_statistics
from wheatstone.editing._steering import Steering as Steering
from wheatstone.editing._steering import steer as steer
from wheatstone.editing._stored import load_edit as load_edit
from wheatstone.editing._stored import save_edit as save_edit
from wheatstone.editing._trace_rows import TraceRow as TraceRow
from wheatstone.editing._trace_rows import mean_rows as mean_rows
from wheatstone.editing._trace_rows import prompt_rows as prompt_rows
from wheatstone.editing._trace_rows import trace_rows as trace_rows
from wheatstone.editing._tracing import ROLES as ROLES
from wheatstone.editing._tracing import SITES as SITES
from wheatstone.editing._tracing import Trace as Trace
from wheatstone.editing._tracing import TracingSettings as TracingSettings
from wheatstone.editing._tracing import causal_trace as causal_trace
from wheatstone.editing._tracing import chosen_sites as chosen_sites
from wheatstone.editing._tracing import first_window_above as first_window_above
from wheatstone.editing._tracing import peak_layer as peak_layer
from wheatstone.editing._tracing import traced_layer as traced_layer
from wheatstone.editing._weights import down_projections as down_projections
from wheatstone.editing._weights import weights_hash as weights_hash

__all__ = [
    "CHANGED",
    "KINDS",
    "METHODS",
    "ROLES",
    "SITES",
    "Applied",
    "Asked",
    "Baseline",
    "Case",
    "Delta",
    "Dense",
    "Edit",
    "EditRequest",
    "Editor",
    "Evaluation",
    "KeyStatistics",
    "LowRank",
    "Probe",
    "ScoreRow",
    "Site",
    "Steering",
    "Trace",
    "TraceRow",
    "TracingSettings",
    "asked",
    "baseline_of",
    "causal_trace",
    "chosen_sites",
    "continuations",
    "down_projections",
    "evaluate",
    "first_window_above",
    "held_out_loss",
    "key_statistics",
    "keys_at",
    "load_edit",
    "make_edit",
    "mean_rows",
    "peak_layer",
    "prompt_rows",
    "read_cases",
    "relation_cases",
    "save_edit",
    "score_rows",
    "steer",
    "trace_rows",
    "traced_layer",
    "weights_hash",
]
