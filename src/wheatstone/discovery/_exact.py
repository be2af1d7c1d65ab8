"""Exact scores: what the metric really loses when one edge alone is ablated, for every edge."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from torch import Tensor

from wheatstone._progress import Reporter, silent
from wheatstone.circuits import Experiment
from wheatstone.discovery._method import ScoreMethod


def single_effects(experiment: Experiment, *, steps: int, seed: int, report: Reporter) -> Float[Tensor, "channel node"]:
    """The drop in the metric without each edge in the otherwise intact model, mean over prompts."""
    return effects_by_prompt(experiment, report=report).mean(0)


def effects_by_prompt(experiment: Experiment, *, report: Reporter = silent) -> Float[Tensor, "prompt channel node"]:
    """The drop in each prompt's metric without each edge in the otherwise intact model. Counts one evaluation an edge.

    When this misleads: an effect in the intact model is small where another edge carries the same (a backup), so a
    circuit of the strongest edges may lack what the circuit, left alone, needs.
    """
    graph, clean, done = experiment.graph, experiment.clean, 0
    depth = graph.layers + 1 - np.arange(len(graph.channels)) // graph.layer_channels
    work = int(depth @ graph.senders)
    values = clean.new_zeros(len(clean), *graph.valid.shape)
    metric, targets, vocabulary = experiment.metric, experiment.targets, None
    if metric.reads_answers_alone:
        vocabulary, targets = targets.answers_alone()
    runs = experiment.model.without_each_edge(
        experiment.encoded.clean, experiment.ablated, vocabulary=vocabulary, budget=experiment.memory
    )
    for edges, logits in runs:
        values[:, *edges.T] = (clean - metric(logits, targets)).T
        done += int(depth[edges[:, 0]].sum())
        report("ablating each edge", done, work)
    experiment.evaluations += graph.edges
    return values


EXACT = ScoreMethod("exact", "the metric's true drop when the edge alone is ablated", single_effects, exact=True)
