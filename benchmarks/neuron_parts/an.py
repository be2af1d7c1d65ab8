"""Which neurons say " an": on the pear/apple prompt, and on many."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence

import numpy as np
import torch
from scipy.stats import spearmanr

import wheatstone as ws
from wheatstone._intervals import interval_text, mean_intervals
from wheatstone.models import Neuron, ResidualModel
from wheatstone.neurons import (
    Congruence,
    Patching,
    doses,
    neuron_effects,
    screen_neurons,
    token_of,
)

TREE = "I climbed up the pear tree and picked a pear. I climbed up the {} tree and picked"


def an_neurons(model: ResidualModel) -> list[str]:
    """The screen on one prompt pair, and how far it can be trusted."""
    pair = ws.PromptPair(
        prompt=TREE.format("apple"), counterfactual=TREE.format("lemon"), answers=(" an",), distractors=(" a",)
    )
    experiment = ws.Experiment(model, [pair])
    patching = Patching(experiment)
    busy, started, used = os.getloadavg()[0], time.perf_counter(), time.process_time()
    screen = screen_neurons(patching, top=100)
    seconds, cpu = time.perf_counter() - started, time.process_time() - used
    an = token_of(model, " an")
    ranks = [len(values) - int((values < values[an]).sum()) for values in _readings(model, screen.confirmed[:8])]
    best = screen.confirmed[0]
    layer = best.neuron.layer
    every = [Neuron(layer, index) for index in range(screen.sizes[layer])]
    exact = patching.share(neuron_effects(patching, every))
    start = sum(screen.sizes[:layer])
    estimates = screen.shares[start : start + len(every)]
    confirmed = {row.neuron for row in screen.confirmed}
    missed = max(abs(float(exact[neuron.index])) for neuron in every if neuron not in confirmed)
    least = min(abs(row.exact) for row in screen.confirmed)
    agreement = float(spearmanr(estimates, exact)[0])  # pyright: ignore[reportArgumentType]
    named = {"0 (ablated)": 0.0, "as after lemon": best.corrupt, "as after apple": best.clean}
    prompts = (experiment.encoded.clean, experiment.encoded.counterfactual)
    set_to = torch.stack([doses(model, best.neuron, tokens, list(named.values()))[:, 0, an] for tokens in prompts], 1)
    lines = [
        "# Neurons of SmolLM2-135M-Instruct (Q4_1)",
        "",
        f"Made by `python benchmarks/neurons.py --write`: {os.cpu_count()} cores, "
        f"{torch.get_num_threads()} thread(s), float32. Processor time is given next to wall-clock time, as the "
        "machine also did other things.",
        "",
        '## The neurons that say " an"',
        "",
        f"“{pair.prompt}” against “… lemon tree and picked”, logit difference of ` an` and ` a`: "
        f"{float(experiment.clean.mean()):.2f} and {float(experiment.corrupt.mean()):.2f}. Denoising: clean "
        "activations into the lemon run; shares of the difference. n = 1 prompt pair, so no interval.",
        "",
        f"All {len(screen.neurons):,} neurons screened and {len(screen.confirmed)} confirmed exactly (at all positions "
        f"and at the last alone) in {seconds:.1f} s, {cpu:.1f} s of processor time, at a load of {busy:.1f}. "
        f"Spearman's correlation of estimate and exact effect over the confirmed is {screen.rank_correlation:.3f}; "
        f"over every neuron of layer {layer}, all {len(every):,} run exactly, it is {agreement:.3f}. The largest "
        f"effect there that the screen did not confirm is {missed:.3f}; the smallest confirmed one anywhere is "
        f"{least:.3f}.",
        "",
        "| neuron | estimate | exact | last position alone | its MLP | share of its MLP | activation, apple / lemon "
        "| rank of ` an` among the tokens it promotes |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row, rank in zip(screen.confirmed[:8], ranks, strict=True):
        share = "–" if row.share_of_mlp is None else f"{row.share_of_mlp:.0%}"
        lines.append(
            f"| `{row.neuron}` | {row.estimate:.3f} | {row.exact:.3f} | {row.exact_last:.3f} | {row.mlp:.3f} | {share} "
            f"| {row.clean:.2f} / {row.corrupt:.2f} | {rank:,} |"
        )
    share = "" if best.share_of_mlp is None else f", {best.share_of_mlp:.0%} of what its layer's MLP recovers"
    lines += [
        "",
        f"`{best.neuron}` alone brings back {best.exact:.0%} of the difference{share}. P(` an`) follows it. Set at the "
        "last position:",
        "",
        "| | P(` an`) after apple | P(` an`) after lemon |",
        "|---|---|---|",
    ]
    for (name, value), (apple, lemon) in zip(named.items(), set_to.tolist(), strict=True):
        lines.append(f"| {name}: {value:.2f} | {apple:.3f} | {lemon:.3f} |")
    return [*lines, ""]


def _readings(model: ResidualModel, rows: Sequence[object]) -> list[torch.Tensor]:
    """Congruence of neurons with all tokens, in the direction in which the clean prompt has them more active."""
    congruence = Congruence(model)
    return [
        congruence.of_neuron(row.neuron) * (1 if row.clean > row.corrupt else -1)  # pyright: ignore
        for row in rows
    ]


def an_on_many(model: ResidualModel) -> list[str]:
    """The same on many prompts: is it the same neurons?"""
    task = ws.load_task("a-an", model, size=50)
    pairs = [pair for pair in task.train if pair.answers == (" an",)]
    experiment = ws.Experiment(model, pairs)
    screen = screen_neurons(Patching(experiment), top=30)
    effects = np.array([row.effects for row in screen.confirmed]) / screen.patching.gap
    intervals = mean_intervals(effects)
    lines = [
        "## The same on many prompts",
        "",
        f"The task `a-an`, training pairs whose answer is ` an`: n = {len(pairs)}. Logit difference "
        f"{float(experiment.clean.mean()):.2f} and {float(experiment.corrupt.mean()):.2f}; intervals: 95% "
        f"over prompts. Top 30 confirmed; Spearman's correlation with the estimates {screen.rank_correlation:.3f}.",
        "",
        "| neuron | exact | 95% | share of its MLP |",
        "|---|---|---|---|",
    ]
    for row, (low, high) in list(zip(screen.confirmed, intervals, strict=True))[:6]:
        share = "–" if row.share_of_mlp is None else f"{row.share_of_mlp:.0%}"
        lines.append(f"| `{row.neuron}` | {row.exact:.3f} | {interval_text((low, high), 3) or '–'} | {share} |")
    return [*lines, ""]
