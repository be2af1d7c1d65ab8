"""A Hugging Face checkpoint as a residual-stream graph: nodes, channels and the factored forward pass."""

from typing import TYPE_CHECKING

from wheatstone._lazy import door

if TYPE_CHECKING:
    from wheatstone.models._graph import Graph as Graph
    from wheatstone.models._load import load_model as load_model
    from wheatstone.models._record import Recording as Recording
    from wheatstone.models._residual import ResidualModel as ResidualModel
    from wheatstone.models._rewired import CircuitRun as CircuitRun
    from wheatstone.models._rewired import CircuitState as CircuitState
    from wheatstone.models._tokens import Tokens as Tokens

_WHERE = {
    "CircuitRun": "wheatstone.models._rewired",
    "CircuitState": "wheatstone.models._rewired",
    "Graph": "wheatstone.models._graph",
    "Recording": "wheatstone.models._record",
    "ResidualModel": "wheatstone.models._residual",
    "Tokens": "wheatstone.models._tokens",
    "load_model": "wheatstone.models._load",
}
__all__ = sorted(_WHERE)  # pyright: ignore[reportUnsupportedDunderAll]
__getattr__ = door(__name__, _WHERE)
