"""How a model gets from the tokens of one prompt to its answer, in heads and neurons, without trained dictionaries."""

from typing import TYPE_CHECKING

from wheatstone._lazy import door

if TYPE_CHECKING:
    from wheatstone.graphs._edges import Edges as Edges
    from wheatstone.graphs._edges import edges_of as edges_of
    from wheatstone.graphs._foreign import ForeignGraph as ForeignGraph
    from wheatstone.graphs._foreign import from_circuit_tracer as from_circuit_tracer
    from wheatstone.graphs._graph import NeuronGraph as NeuronGraph
    from wheatstone.graphs._graph import graph as graph
    from wheatstone.graphs._graph_run import GraphRun as GraphRun
    from wheatstone.graphs._graph_run import peak_bytes as peak_bytes
    from wheatstone.graphs._graph_run import run_graph as run_graph
    from wheatstone.graphs._influence import Pruned as Pruned
    from wheatstone.graphs._influence import prune as prune
    from wheatstone.graphs._interchange import to_circuit_tracer as to_circuit_tracer
    from wheatstone.graphs._learn import learn_nodes as learn_nodes
    from wheatstone.graphs._networkx import graph_graphml as graph_graphml
    from wheatstone.graphs._nodes import Node as Node
    from wheatstone.graphs._nodes import NodeAxis as NodeAxis
    from wheatstone.graphs._proof import SetProof as SetProof
    from wheatstone.graphs._proof import prove as prove
    from wheatstone.graphs._proof import single_effects as single_effects
    from wheatstone.graphs._question import Baseline as Baseline
    from wheatstone.graphs._question import Case as Case
    from wheatstone.graphs._question import Question as Question
    from wheatstone.graphs._question import counterfactual_baseline as counterfactual_baseline
    from wheatstone.graphs._question import mean_baseline as mean_baseline
    from wheatstone.graphs._question import zero_baseline as zero_baseline
    from wheatstone.graphs._rank import node_slopes as node_slopes
    from wheatstone.graphs._regrouped import graph_nodes as graph_nodes
    from wheatstone.graphs._regrouped import own_supernodes as own_supernodes
    from wheatstone.graphs._rows import EdgeRow as EdgeRow
    from wheatstone.graphs._rows import NodeRow as NodeRow
    from wheatstone.graphs._rows import strongest_neurons as strongest_neurons
    from wheatstone.graphs._settings import GraphSettings as GraphSettings
    from wheatstone.graphs._supernodes import Supernode as Supernode
    from wheatstone.graphs._task import TaskNodes as TaskNodes
    from wheatstone.graphs._task import TaskSetProof as TaskSetProof
    from wheatstone.graphs._task_ablations import MeanAblation as MeanAblation
    from wheatstone.graphs._task_ablations import TaskAblation as TaskAblation
    from wheatstone.graphs._task_ablations import counterfactual_ablation as counterfactual_ablation
    from wheatstone.graphs._task_edges import mean_edges as mean_edges
    from wheatstone.graphs._task_graph import TaskGraph as TaskGraph
    from wheatstone.graphs._task_graph import task_graph as task_graph

__getattr__ = door(__name__)
