"""Changing facts: edits as data, the methods that make them, causal tracing, and what an edit is worth."""

from wheatstone.editing._delta import Delta as Delta
from wheatstone.editing._delta import Dense as Dense
from wheatstone.editing._delta import LowRank as LowRank
from wheatstone.editing._edit import Applied as Applied
from wheatstone.editing._edit import Edit as Edit
from wheatstone.editing._request import EditRequest as EditRequest
from wheatstone.editing._stored import load_edit as load_edit
from wheatstone.editing._stored import save_edit as save_edit
from wheatstone.editing._weights import weights_hash as weights_hash

__all__ = [
    "Applied",
    "Delta",
    "Dense",
    "Edit",
    "EditRequest",
    "LowRank",
    "load_edit",
    "save_edit",
    "weights_hash",
]
