"""Circuits: kept edges, their algebra and file format, and the experiment that gives every number about them."""

from wheatstone.circuits._circuit import Circuit as Circuit
from wheatstone.circuits._circuit import Edge as Edge
from wheatstone.circuits._circuit import Evaluation as Evaluation
from wheatstone.circuits._circuit import ModelInfo as ModelInfo
from wheatstone.circuits._experiment import ABLATIONS as ABLATIONS
from wheatstone.circuits._experiment import Experiment as Experiment

__all__ = ["ABLATIONS", "Circuit", "Edge", "Evaluation", "Experiment", "ModelInfo"]
