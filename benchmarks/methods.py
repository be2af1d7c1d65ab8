"""Speed of the exact methods on SmolLM2-135M-Instruct (Q4_1), as ratios within one process and one thread.

    python benchmarks/methods.py [--threshold 0.5] [--batches 10]

(1) `exact`: CPU time per edge, on a sample of batches spread over all edges, beside one plain forward pass of the same
prompts (4 of 13 tokens), which is what an edge would cost one at a time. How much is saved depends on where prompt and
counterfactual first differ, so three kinds of prompts are shown. (2) `acdc` on the France pair, whole, beside the loop
of one decision a run, whose time is that of a sample of its decisions times the number of edges. CPU time, so that a
busy machine matters less.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable

os.environ.setdefault("GOMP_SPINCOUNT", "10000")  # as the command does

import numpy as np
import torch

import wheatstone as ws
from wheatstone.discovery import acdc
from wheatstone.models._single_edge import SingleEdges

FACT = "As most people who travel know, the official language of {} is"
LANGUAGES = {"France": "French", "Italy": "Italian", "Germany": "German", "Spain": "Spanish"}
IOI = "When {0} and {1} went to the store, {2} gave it to"
NAMES = [("John", "Mary"), ("Mary", "John"), ("Tom", "James"), ("Paul", "Anna")]


def pair(prompt: str, counterfactual: str, answer: str, distractor: str) -> ws.PromptPair:
    return ws.PromptPair(
        prompt=prompt, counterfactual=counterfactual, answers=(f" {answer}",), distractors=(f" {distractor}",)
    )


FACTS = [pair(FACT.format(country), FACT.format("Japan"), name, "Japanese") for country, name in LANGUAGES.items()]
OBJECTS = [pair(IOI.format(a, b, a), IOI.format(a, b, b), b, a) for a, b in NAMES]
FRANCE = pair("The official language of France is", "The official language of Japan is", "French", "Japanese")


def cpu(work: Callable[[], object], repeats: int = 1) -> float:
    """Median CPU seconds."""
    times: list[float] = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return float(np.median(times))


def exact_row(model: ws.ResidualModel, name: str, pairs: list[ws.PromptPair], ablation: str, batches: int) -> str:
    experiment = ws.Experiment(model, pairs, ablation=ablation)
    tokens = experiment.encoded.clean
    with torch.no_grad():
        vocabulary, targets = experiment.targets.answers_alone()  # as `exact` does for logit_diff
        runs = SingleEdges(model, tokens, experiment.ablated, experiment.memory, vocabulary)
        every = list(runs.batches())
        sample = [every[int(index)] for index in (np.arange(batches) + 0.5) * len(every) / batches]
        forward, spent = [cpu(lambda: model.forward(tokens), 3)], 0.0
        for batch in sample:
            spent += cpu(lambda batch=batch: experiment.metric(runs.run(batch), targets))
            forward.append(cpu(lambda: model.forward(tokens)))
    each, one = spent / sum(map(len, sample)), float(np.median(forward))
    width = max(prompt.differences.shape[1] for prompt in runs.prompts)
    return (
        f"| {name}, {ablation} | {width} of {tokens.width} | {each * 1000:.1f} | {one * 1000:.0f} | {one / each:.1f} |"
    )


def acdc_row(model: ws.ResidualModel, threshold: float, decisions: int) -> str:
    experiment = ws.Experiment(model, [FRANCE])
    valid = torch.from_numpy(experiment.graph.valid)
    start = time.process_time()
    found = acdc(experiment, threshold)
    ours = time.process_time() - start
    edges = valid.nonzero().flip(0)
    sample = edges[torch.linspace(0, len(edges) - 1, decisions).long()].tolist()
    loop: list[float] = []
    for channel, node in sample:
        keep = torch.where(torch.arange(len(valid))[:, None] > channel, found.keep, valid)
        keep[channel, node] = False
        loop.append(cpu(lambda keep=keep: experiment.values(keep[None])))
    theirs = float(np.mean(loop)) * len(edges)
    return (
        f"| {threshold} logits | {int(found.keep.sum()):,} | {found.faithfulness:.3f} | {found.evaluations:,} "
        f"| {ours:.0f} | {theirs:,.0f} | {theirs / ours:.1f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--threshold", type=float, default=0.5, help="of acdc, logits")
    parser.add_argument("--batches", type=int, default=10, help="batches of edges to time per kind of prompt")
    parser.add_argument("--decisions", type=int, default=24, help="decisions of the loop to time")
    options = parser.parse_args()
    torch.set_num_threads(1)
    model = ws.load_model("smollm2-135m")
    print("| exact | positions ablated | per edge, CPU ms | forward pass, CPU ms | ratio (goal ≥ 20) |")
    print("|---|---|---|---|---|")
    for name, pairs, ablation in (
        ("facts", FACTS, "counterfactual"),
        ("indirect object", OBJECTS, "counterfactual"),
        ("facts", FACTS, "zero"),
    ):
        print(exact_row(model, name, pairs, ablation, options.batches), flush=True)
    print("\n| acdc, τ | edges | faithfulness | circuits run | CPU s | one decision a run, CPU s | ratio (goal ≥ 15) |")
    print("|---|---|---|---|---|---|---|")
    print(acdc_row(model, options.threshold, options.decisions), flush=True)


if __name__ == "__main__":
    main()
