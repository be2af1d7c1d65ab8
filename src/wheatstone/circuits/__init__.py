"""Circuits: kept edges, their algebra and file format, and the experiment that gives every number about them."""

from typing import TYPE_CHECKING

from wheatstone._lazy import door

if TYPE_CHECKING:
    from wheatstone.circuits._circuit import Circuit as Circuit
    from wheatstone.circuits._circuit import Edge as Edge
    from wheatstone.circuits._circuit import Evaluation as Evaluation
    from wheatstone.circuits._circuit import ModelInfo as ModelInfo
    from wheatstone.circuits._experiment import ABLATIONS as ABLATIONS
    from wheatstone.circuits._experiment import Experiment as Experiment
    from wheatstone.circuits._experiment import first_change as first_change
    from wheatstone.circuits._foreign import Imported as Imported
    from wheatstone.circuits._foreign import open_foreign as open_foreign
    from wheatstone.circuits._gain import SHARES as SHARES
    from wheatstone.circuits._gain import Kept as Kept
    from wheatstone.circuits._gain import kept_over as kept_over
    from wheatstone.circuits._gain import sizes_of as sizes_of
    from wheatstone.circuits._interop import from_eap_json as from_eap_json
    from wheatstone.circuits._interop import to_eap_json as to_eap_json
    from wheatstone.circuits._interop import to_graphml as to_graphml
    from wheatstone.circuits._manifest import manifest_of as manifest_of
    from wheatstone.circuits._means import PositionMeans as PositionMeans
    from wheatstone.circuits._positions import POSITIONS as POSITIONS
    from wheatstone.circuits._random import exchanged_heads as exchanged_heads
    from wheatstone.circuits._random import random_circuits as random_circuits
    from wheatstone.circuits._weights import same_weights as same_weights

__getattr__ = door(__name__)
