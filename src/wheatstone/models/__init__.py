"""A Hugging Face checkpoint as a residual-stream graph: nodes, channels and the factored forward pass."""

from typing import TYPE_CHECKING

from wheatstone._lazy import door

if TYPE_CHECKING:
    from wheatstone.models._backward import GIM as GIM
    from wheatstone.models._backward import LINEAR as LINEAR
    from wheatstone.models._backward import RELP as RELP
    from wheatstone.models._backward import BackwardRules as BackwardRules
    from wheatstone.models._backward import backward_rules as backward_rules
    from wheatstone.models._block import QKV as QKV
    from wheatstone.models._block import Block as Block
    from wheatstone.models._continuation import boundary_notes as boundary_notes
    from wheatstone.models._continuation import check_lengths as check_lengths
    from wheatstone.models._continuation import continued as continued
    from wheatstone.models._continuation import remedy_for_shared as remedy_for_shared
    from wheatstone.models._continuation import scored_note as scored_note
    from wheatstone.models._generate import Generation as Generation
    from wheatstone.models._generate import end_tokens as end_tokens
    from wheatstone.models._gradient_memory import channel_gradient_bytes as channel_gradient_bytes
    from wheatstone.models._gradient_memory import circuit_gradient_bytes as circuit_gradient_bytes
    from wheatstone.models._gradients import ChannelGradients as ChannelGradients
    from wheatstone.models._gradients import Rewrite as Rewrite
    from wheatstone.models._gradients import first_run as first_run
    from wheatstone.models._graph import Graph as Graph
    from wheatstone.models._graph import MlpParts as MlpParts
    from wheatstone.models._graph import Split as Split
    from wheatstone.models._head_runs import stream_heads as stream_heads
    from wheatstone.models._head_split import BIASES as BIASES
    from wheatstone.models._head_split import HeadSplit as HeadSplit
    from wheatstone.models._interventions import Add as Add
    from wheatstone.models._interventions import AddScore as AddScore
    from wheatstone.models._interventions import Apply as Apply
    from wheatstone.models._interventions import Intervention as Intervention
    from wheatstone.models._interventions import KnockOut as KnockOut
    from wheatstone.models._interventions import KnockOutAttention as KnockOutAttention
    from wheatstone.models._interventions import Replace as Replace
    from wheatstone.models._interventions import Scale as Scale
    from wheatstone.models._interventions import position_of as position_of
    from wheatstone.models._load import PrecisionWarning as PrecisionWarning
    from wheatstone.models._load import TokenizerWarning as TokenizerWarning
    from wheatstone.models._load import load_model as load_model
    from wheatstone.models._load import open_model as open_model
    from wheatstone.models._manifest import computed_on as computed_on
    from wheatstone.models._manifest import manifest_without_prompts as manifest_without_prompts
    from wheatstone.models._masked import mask_gradient_bytes as mask_gradient_bytes
    from wheatstone.models._memory import MemoryWarning as MemoryWarning
    from wheatstone.models._memory import circuit_bytes as circuit_bytes
    from wheatstone.models._memory import free_memory as free_memory
    from wheatstone.models._memory import memory_budget as memory_budget
    from wheatstone.models._memory import memory_room as memory_room
    from wheatstone.models._model_run import ModelRun as ModelRun
    from wheatstone.models._neuron import Neuron as Neuron
    from wheatstone.models._neuron_runs import NeuronRecording as NeuronRecording
    from wheatstone.models._node_outputs import NodeOutputs as NodeOutputs
    from wheatstone.models._node_outputs import outputs_numbers as outputs_numbers
    from wheatstone.models._node_runs import NodeRun as NodeRun
    from wheatstone.models._node_runs import NodeValues as NodeValues
    from wheatstone.models._node_runs import run_nodes as run_nodes
    from wheatstone.models._parity import Parity as Parity
    from wheatstone.models._parity import check_parity as check_parity
    from wheatstone.models._places import Place as Place
    from wheatstone.models._record import Recording as Recording
    from wheatstone.models._residual import ResidualModel as ResidualModel
    from wheatstone.models._rewired import CircuitRun as CircuitRun
    from wheatstone.models._rewired import CircuitState as CircuitState
    from wheatstone.models._scripts import joined as joined
    from wheatstone.models._spans import Span as Span
    from wheatstone.models._spans import SpannedGraph as SpannedGraph
    from wheatstone.models._spans import span_positions as span_positions
    from wheatstone.models._start import start_token as start_token
    from wheatstone.models._streams import Streams as Streams
    from wheatstone.models._tokens import Tokens as Tokens
    from wheatstone.models._top_tokens import TopToken as TopToken
    from wheatstone.models._top_tokens import TopTokens as TopTokens
    from wheatstone.models._wide import wide as wide
    from wheatstone.models._wrap import wrap_model as wrap_model

__getattr__ = door(__name__)
