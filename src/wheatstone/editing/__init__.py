"""Changing facts: edits as data, the methods that make them, causal tracing, and what an edit is worth."""

from wheatstone.editing._delta import Delta as Delta
from wheatstone.editing._delta import Dense as Dense
from wheatstone.editing._delta import LowRank as LowRank
from wheatstone.editing._edit import Applied as Applied
from wheatstone.editing._edit import Edit as Edit
from wheatstone.editing._editor import Editor as Editor
from wheatstone.editing._methods import METHODS as METHODS
from wheatstone.editing._methods import make_edit as make_edit
from wheatstone.editing._request import EditRequest as EditRequest
from wheatstone.editing._statistics import KeyStatistics as KeyStatistics
from wheatstone.editing._statistics import key_statistics as key_statistics
from wheatstone.editing._stored import load_edit as load_edit
from wheatstone.editing._stored import save_edit as save_edit
from wheatstone.editing._tracing import ROLES as ROLES
from wheatstone.editing._tracing import Trace as Trace
from wheatstone.editing._tracing import TraceRow as TraceRow
from wheatstone.editing._tracing import TracingSettings as TracingSettings
from wheatstone.editing._tracing import causal_trace as causal_trace
from wheatstone.editing._tracing import trace_rows as trace_rows
from wheatstone.editing._tracing import traced_layer as traced_layer
from wheatstone.editing._weights import weights_hash as weights_hash

__all__ = [
    "METHODS",
    "ROLES",
    "Applied",
    "Delta",
    "Dense",
    "Edit",
    "EditRequest",
    "Editor",
    "KeyStatistics",
    "LowRank",
    "Trace",
    "TraceRow",
    "TracingSettings",
    "causal_trace",
    "key_statistics",
    "load_edit",
    "make_edit",
    "save_edit",
    "trace_rows",
    "traced_layer",
    "weights_hash",
]
