"""Changing facts: edits as data, methods, causal tracing, what an edit is worth and what it did; and their runs."""

from typing import TYPE_CHECKING

from wheatstone._lazy import door

if TYPE_CHECKING:
    from wheatstone.editing._asked import Asked as Asked
    from wheatstone.editing._asked import asked as asked
    from wheatstone.editing._case import CHANGED as CHANGED
    from wheatstone.editing._case import KINDS as KINDS
    from wheatstone.editing._case import Case as Case
    from wheatstone.editing._case import Probe as Probe
    from wheatstone.editing._case import relation_cases as relation_cases
    from wheatstone.editing._case_files import read_cases as read_cases
    from wheatstone.editing._circuit_change import CircuitChange as CircuitChange
    from wheatstone.editing._circuit_change import CircuitSettings as CircuitSettings
    from wheatstone.editing._circuit_change import EdgeChange as EdgeChange
    from wheatstone.editing._circuit_change import circuit_change as circuit_change
    from wheatstone.editing._comparison import ComparisonSettings as ComparisonSettings
    from wheatstone.editing._comparison import EditComparison as EditComparison
    from wheatstone.editing._comparison import compare_edit as compare_edit
    from wheatstone.editing._conflicts import Conflict as Conflict
    from wheatstone.editing._contexts import keys_at as keys_at
    from wheatstone.editing._delta import Chain as Chain
    from wheatstone.editing._delta import Delta as Delta
    from wheatstone.editing._delta import Dense as Dense
    from wheatstone.editing._delta import LowRank as LowRank
    from wheatstone.editing._edit import Applied as Applied
    from wheatstone.editing._edit import Edit as Edit
    from wheatstone.editing._edit_run import AnswerRow as AnswerRow
    from wheatstone.editing._edit_run import EditRun as EditRun
    from wheatstone.editing._edit_run import EditSettings as EditSettings
    from wheatstone.editing._edit_run import run_edit as run_edit
    from wheatstone.editing._editor import Editor as Editor
    from wheatstone.editing._evaluate import Baseline as Baseline
    from wheatstone.editing._evaluate import Evaluation as Evaluation
    from wheatstone.editing._evaluate import ScoreRow as ScoreRow
    from wheatstone.editing._evaluate import baseline_of as baseline_of
    from wheatstone.editing._evaluate import evaluate as evaluate
    from wheatstone.editing._evaluate import held_out_loss as held_out_loss
    from wheatstone.editing._evaluate import score_rows as score_rows
    from wheatstone.editing._generation import continuations as continuations
    from wheatstone.editing._leak import Leak as Leak
    from wheatstone.editing._leak import LeakRow as LeakRow
    from wheatstone.editing._leak import leak as leak
    from wheatstone.editing._ledger import Ledger as Ledger
    from wheatstone.editing._ledger import LedgerEntry as LedgerEntry
    from wheatstone.editing._ledger_export import check_export as check_export
    from wheatstone.editing._ledger_export import export_checkpoint as export_checkpoint
    from wheatstone.editing._ledger_export import export_delta as export_delta
    from wheatstone.editing._ledger_folder import damaged_edits as damaged_edits
    from wheatstone.editing._ledger_folder import is_ledger as is_ledger
    from wheatstone.editing._ledger_folder import open_ledger as open_ledger
    from wheatstone.editing._ledger_folder import open_sound as open_sound
    from wheatstone.editing._ledger_folder import reserved_ledger as reserved_ledger
    from wheatstone.editing._ledger_folder import save_ledger as save_ledger
    from wheatstone.editing._ledger_work import Added as Added
    from wheatstone.editing._ledger_work import add_edits as add_edits
    from wheatstone.editing._ledger_work import add_made as add_made
    from wheatstone.editing._ledger_work import changed_weights as changed_weights
    from wheatstone.editing._ledger_work import said_targets as said_targets
    from wheatstone.editing._ledger_work import undo_edits as undo_edits
    from wheatstone.editing._methods import METHODS as METHODS
    from wheatstone.editing._methods import make_edit as make_edit
    from wheatstone.editing._passes import Site as Site
    from wheatstone.editing._question import EditQuestion as EditQuestion
    from wheatstone.editing._question import edit_question as edit_question
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
    from wheatstone.editing._trace_run import TraceRun as TraceRun
    from wheatstone.editing._trace_run import run_trace as run_trace
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
    from wheatstone.editing._writers import ObjectByLayer as ObjectByLayer
    from wheatstone.editing._writers import WriterChange as WriterChange
    from wheatstone.editing._writers import WritersChange as WritersChange
    from wheatstone.editing._writers import writers_change as writers_change

__getattr__ = door(__name__)
