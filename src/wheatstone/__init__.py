"""Wheatstone: find the circuit inside a language model that recalls a fact or performs a task, and prove it."""

import os
from typing import TYPE_CHECKING

from wheatstone._errors import CircuitError as CircuitError
from wheatstone._errors import ComputationError as ComputationError
from wheatstone._errors import ModelError as ModelError
from wheatstone._errors import PromptError as PromptError
from wheatstone._errors import RequestError as RequestError
from wheatstone._errors import RunError as RunError
from wheatstone._errors import WheatstoneError as WheatstoneError
from wheatstone._lazy import door
from wheatstone._version import __version__ as __version__
from wheatstone._viewer import show_with

if TYPE_CHECKING:
    from wheatstone._bars import progress as progress
    from wheatstone.circuits import Circuit as Circuit
    from wheatstone.circuits import Edge as Edge
    from wheatstone.circuits import Experiment as Experiment
    from wheatstone.discovery import EdgeScores as EdgeScores
    from wheatstone.discovery import discover as discover
    from wheatstone.discovery import score_edges as score_edges
    from wheatstone.graphs import graph as graph
    from wheatstone.lenses import LogitAttribution as LogitAttribution
    from wheatstone.lenses import LogitLens as LogitLens
    from wheatstone.lenses import attention_scores as attention_scores
    from wheatstone.lenses import logit_attribution as logit_attribution
    from wheatstone.lenses import run_lens as run_lens
    from wheatstone.models import Add as Add
    from wheatstone.models import Apply as Apply
    from wheatstone.models import Generation as Generation
    from wheatstone.models import Graph as Graph
    from wheatstone.models import KnockOut as KnockOut
    from wheatstone.models import KnockOutAttention as KnockOutAttention
    from wheatstone.models import ModelRun as ModelRun
    from wheatstone.models import Replace as Replace
    from wheatstone.models import ResidualModel as ResidualModel
    from wheatstone.models import Scale as Scale
    from wheatstone.models import load_model as load_model
    from wheatstone.models import wrap_model as wrap_model
    from wheatstone.studio import show as show
    from wheatstone.tasks import PromptPair as PromptPair
    from wheatstone.tasks import Task as Task
    from wheatstone.tasks import load_task as load_task
    from wheatstone.verification import Verification as Verification
    from wheatstone.verification import verify as verify

# Threads that spin long while they wait make small matrix products ten times slower as soon as another
# process wants a core; torch's OpenMP reads this when it is loaded.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")

__getattr__ = door(__name__)
show_with(lambda value: __getattr__("show")(value))
