"""Quality of circuits on held-out prompts, as MIB measures it: CPR and CMD of every method on five tasks.

    python benchmarks/quality.py [--tasks ioi …] [--methods eap-ig …] [--train 6] [--test 20] [--seeds 2] [--write]

Every method ranks all edges on training prompts. The circuit of the first so many edges is then run alone on test
prompts, whose subjects the training prompts do not share, at edge fractions .001 … 1. With f the faithfulness,

    CPR = area under f over the fraction       (higher: more of the behaviour in fewer edges)
    CMD = area between f and 1                 (lower: nearer to the model, neither short of it nor beyond)

by the trapezoid rule. `verified` is its circuit's edges by exact effect first, then all others by its starting
ranking. `edges to 0.9` is the size of the smallest circuit that reaches 0.9 on the training prompts: of the ranking
as it stands, and for `verified` of the search. `--write` puts tables and plot into docs/results/quality.md and
docs/images/quality.png.

Source: Mueller et al. 2025 (arXiv 2504.13151), section 3.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("GOMP_SPINCOUNT", "10000")  # as the command does

import altair as alt
import numpy as np
import torch

import wheatstone as ws
from wheatstone.discovery import METHODS, DiscoverySettings, EdgeScores, discover_in
from wheatstone.tasks import load_task

ROOT = Path(__file__).parents[1]
TASKS = ("ioi", "greater-than", "a-an", "facts/country_capital", "facts/country_language")
FRACTIONS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
SLOW = ("exact", "edge-pruning")
GOAL = 0.9


@dataclass(frozen=True)
class Result:
    """One method on one task and seed: faithfulness by fraction on test prompts, and size at the goal in training."""

    task: str
    method: str
    seed: int
    curve: tuple[float, ...]
    edges: int
    faithfulness: float
    seconds: float

    @property
    def cpr(self) -> float:
        """Area under the curve."""
        return float(np.trapezoid(self.curve, FRACTIONS))

    @property
    def cmd(self) -> float:
        """Area between the curve and 1."""
        return float(np.trapezoid(np.abs(1 - np.array(self.curve)), FRACTIONS))


def ranked(experiment: ws.Experiment, method: str, seed: int) -> tuple[EdgeScores, int, float]:
    """All edges by a method, with the size and training faithfulness of its smallest circuit that meets the goal."""
    found = discover_in(experiment, DiscoverySettings(GOAL, method=method, seed=seed), curve=False)
    circuit, scores = found.circuit, found.scores
    assert circuit.evaluation is not None
    if method == "verified":
        values = scores.values.abs() / (1 + scores.values.abs().max())
        keep = circuit.mask()
        values[keep] = 1 + torch.tensor(circuit.effects, dtype=values.dtype).abs()
        scores = EdgeScores(scores.graph, values, method, scores.steps)
    return scores, len(circuit), circuit.evaluation.faithfulness


def measure(model: ws.ResidualModel, task: str, method: str, seed: int, train: int, test: int) -> Result:
    """One method on one task."""
    pairs = load_task(task, model, seed=seed, size=None if task.startswith("facts/") else 3 * (train + test))
    experiment = ws.Experiment(model, pairs.train[:train], metric=pairs.metric)
    held_out = ws.Experiment(model, pairs.test[:test], metric=pairs.metric)
    started = time.perf_counter()
    scores, edges, faithfulness = ranked(experiment, method, seed)
    seconds = time.perf_counter() - started
    sizes = [round(fraction * experiment.graph.edges) for fraction in FRACTIONS]
    curve = [held_out.faithfulness(scores.top([size]))[0] for size in sizes]
    return Result(task, method, seed, tuple(curve), edges, faithfulness, seconds)


def spread(values: list[float], form: str) -> str:
    """A mean with the lowest and highest seed."""
    if len(values) == 1:
        return format(values[0], form)
    return f"{np.mean(values):{form}} [{min(values):{form}}, {max(values):{form}}]"


def table(results: list[Result], task: str) -> list[str]:
    """One task's rows, best CMD first."""
    rows = [
        f"### {task}",
        "",
        f"| method | CPR | CMD | edges to {GOAL} in training | f at 0.1% | f at 1% | seconds |",
        "|---|---|---|---|---|---|---|",
    ]
    by_method: dict[str, list[Result]] = {}
    for result in results:
        if result.task == task:
            by_method.setdefault(result.method, []).append(result)
    for method, of in sorted(by_method.items(), key=lambda item: float(np.mean([result.cmd for result in item[1]]))):
        cells = (
            spread([result.cpr for result in of], ".3f"),
            spread([result.cmd for result in of], ".3f"),
            spread([float(result.edges) for result in of], ",.0f"),
            spread([result.curve[0] for result in of], ".2f"),
            spread([result.curve[3] for result in of], ".2f"),
            spread([result.seconds for result in of], ".0f"),
        )
        rows.append(f"| `{method}` | {' | '.join(cells)} |")
    return [*rows, ""]


def plot(results: list[Result]) -> alt.FacetChart:
    """Faithfulness by fraction, a panel a task."""
    rows = [
        {"task": r.task, "method": r.method, "seed": r.seed, "fraction": fraction, "f": max(-0.5, min(1.6, f))}
        for r in results
        for fraction, f in zip(FRACTIONS, r.curve, strict=True)
    ]
    lines = (
        alt.Chart(alt.Data(values=rows))
        .mark_line(point=True)
        .encode(
            x=alt.X("fraction:Q", scale=alt.Scale(type="log"), title="share of edges kept (log scale)"),
            y=alt.Y("mean(f):Q", title="faithfulness on test prompts", scale=alt.Scale(domain=[-0.5, 1.6])),
            color=alt.Color("method:N", title=None, legend=alt.Legend(orient="top")),
        )
        .properties(width=300, height=210)
    )
    return lines.facet(facet=alt.Facet("task:N", title=None), columns=3)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--tasks", nargs="+", default=list(TASKS), help="bundled tasks")
    quick = [name for name in METHODS if name not in SLOW]
    parser.add_argument("--methods", nargs="+", default=["verified", *quick], help="verified, or scoring methods")
    parser.add_argument("--train", type=int, default=6, help="training prompts")
    parser.add_argument("--test", type=int, default=20, help="most test prompts")
    parser.add_argument("--seeds", type=int, default=2, help="seeds of splits and draws")
    parser.add_argument("--write", action="store_true", help="write docs/results/quality.md and its plot")
    options = parser.parse_args()
    model = ws.load_model("smollm2-135m")
    results: list[Result] = []
    for task in options.tasks:
        for seed in range(options.seeds):
            for method in options.methods:
                results.append(measure(model, task, method, seed, options.train, options.test))
                r = results[-1]
                print(
                    f"{task} seed {seed} {method}: CPR {r.cpr:.3f} CMD {r.cmd:.3f} edges {r.edges:,} "
                    f"f(0.1%) {r.curve[0]:.2f} {r.seconds:.0f} s",
                    flush=True,
                )
    lines = [
        "# Quality of circuits on held-out prompts",
        "",
        f"Made by `python benchmarks/quality.py {' '.join(sys.argv[1:])}`. "
        f"SmolLM2-135M, {platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, "
        f"float32, counterfactual ablation, each task's own metric. {options.train} training and up to {options.test} "
        "test prompts, other subjects in each; mean over seeds [lowest, highest].",
        "",
        "![Faithfulness on test prompts by share of edges kept, one panel a task.](../images/quality.png)",
        "",
        *(row for task in options.tasks for row in table(results, task)),
    ]
    print("\n".join(lines))
    if options.write:
        (ROOT / "docs/results/quality.md").write_text("\n".join(lines), encoding="utf-8")
        plot(results).save(ROOT / "docs/images/quality.png", scale_factor=1.5)


if __name__ == "__main__":
    main()
