"""Quality of circuits on held-out prompts, as MIB measures it: CPR and CMD of every method, and sizes.

    python benchmarks/quality.py [--tasks ioi …] [--methods eap-ig …] [--seeds 0 1 2] [--cache FILE] [--write]

Every method ranks all edges on training prompts (`rankings.py` says how). The circuit of the first so many edges is
then run alone on test prompts, whose subjects the training prompts do not share, at edge fractions .001 … 1. With f the
faithfulness,

    CPR = area under f over the fraction       (higher: more of the behaviour in fewer edges)
    CMD = area between f and 1                 (lower: nearer to the model, neither short of it nor beyond)

by the trapezoid rule. Beside it stands the size of each method's circuit that meets the goal on the training prompts.

What was measured is a line of `--cache`, so that a table of hours is made piece by piece and an interruption loses one
row at most; what is there already is not measured again. `--write` puts tables and plot of all that is there into
docs/results/quality.md and docs/images/quality.png. Seconds are a processor's, which a busy machine changes less.

Source: Mueller et al. 2025 (arXiv 2504.13151), section 3.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path

os.environ.setdefault("GOMP_SPINCOUNT", "10000")  # as the command does

import altair as alt
import numpy as np
import torch
from rankings import GOAL, ranked

import wheatstone as ws
from wheatstone._home import home
from wheatstone.discovery import METHODS
from wheatstone.tasks import load_task

ROOT = Path(__file__).parents[1]
TASKS = ("ioi", "greater-than", "a-an", "facts/country_capital", "facts/country_language")
FRACTIONS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
EQUAL = ("eap-ig", "acdc", "verified")
"""Compared by the edges they need."""


@dataclass(frozen=True)
class Result:
    """One method on one task and seed.

    Args:
        task: a bundled task.
        method: as in `rankings.py`.
        seed: of the split, the prompts and what the method draws.
        train: training prompts.
        test: test prompts.
        curve: faithfulness on the test prompts at each of `FRACTIONS`; one number with `--no-curve`.
        edges: of the circuit that meets the goal on the training prompts; None where none did.
        faithfulness: of it, on the training prompts.
        threshold: of `acdc`.
        circuits: run to find it.
        seconds: of a processor, to find it.
    """

    task: str
    method: str
    seed: int
    train: int
    test: int
    curve: Sequence[float]
    edges: int | None
    faithfulness: float
    threshold: float | None
    circuits: int
    seconds: float

    @property
    def cpr(self) -> float:
        """Area under the curve."""
        return float(np.trapezoid(self.curve, FRACTIONS))

    @property
    def cmd(self) -> float:
        """Area between the curve and 1."""
        return float(np.trapezoid(np.abs(1 - np.array(self.curve)), FRACTIONS))

    @property
    def key(self) -> tuple[object, ...]:
        """What was measured."""
        return self.task, self.method, self.seed, self.train


def measure(
    model: ws.ResidualModel, task: str, method: str, seed: int, *, train: int, test: int, runs: int, curve: bool
) -> Result:
    """One method on one task."""
    pairs = load_task(task, model, seed=seed, size=100 if "/" in task else 40)
    experiment = ws.Experiment(model, pairs.train[:train], metric=pairs.metric)
    held_out = ws.Experiment(model, pairs.test[:test], metric=pairs.metric)
    started, run = time.process_time(), experiment.evaluations
    found = ranked(experiment, method, seed, runs)
    seconds, run = time.process_time() - started, experiment.evaluations - run
    sizes = [round(fraction * experiment.graph.edges) for fraction in FRACTIONS[:-1]] if curve else []
    values = [held_out.faithfulness(found.scores.top([size]))[0] for size in sizes]
    return Result(
        task,
        method,
        seed,
        len(experiment.encoded.pairs),
        len(held_out.encoded.pairs),
        (*values, 1.0),  # all edges are the model
        found.edges,
        found.faithfulness,
        found.threshold,
        run,
        seconds,
    )


def spread(values: Iterable[float], form: str) -> str:
    """A mean with the lowest and highest seed."""
    values = list(values)
    if len(values) == 1:
        return format(values[0], form)
    return f"{np.mean(values):{form}} [{min(values):{form}}, {max(values):{form}}]"


def curves(results: list[Result], task: str) -> list[str]:
    """One task's rows, best CMD first."""

    def method(result: Result) -> tuple[str, int]:
        return result.method, result.train

    measured = [result for result in results if result.task == task and len(result.curve) == len(FRACTIONS)]
    groups = [list(of) for _, of in groupby(sorted(measured, key=method), method)]
    rows = [
        f"### {task}",
        "",
        "| method | prompts x seeds | CPR | CMD | f at 0.1% | f at 1% | CPU s |",
        "|---|---|---|---|---|---|---|",
    ]
    for of in sorted(groups, key=lambda of: float(np.mean([r.cmd for r in of]))):
        cells = (
            f"`{of[0].method}`",
            f"{of[0].train} x {len(of)}",
            spread((r.cpr for r in of), ".3f"),
            spread((r.cmd for r in of), ".3f"),
            spread((r.curve[0] for r in of), ".2f"),
            spread((r.curve[3] for r in of), ".2f"),
            spread((r.seconds for r in of), ".0f"),
        )
        rows.append(f"| {' | '.join(cells)} |")
    return [*rows, ""]


def sizes(results: list[Result]) -> list[str]:
    """Edges of each method's circuit at the same goal on the same prompts."""
    rows = [
        "| task | prompts | " + " | ".join(f"`{name}`" for name in EQUAL) + " | fewest |",
        "|---|---|" + "---|" * len(EQUAL) + "---|",
    ]
    by_key = {result.key: result for result in results}
    for task in dict.fromkeys(result.task for result in results):
        for train in sorted({result.train for result in results}):
            found = [by_key.get((task, name, 0, train)) for name in EQUAL]
            here = [result for result in found if result is not None]
            if len(here) < len(EQUAL):
                continue
            least = min((result for result in here if result.edges), key=lambda result: result.edges or 0)
            cells = [
                f"{result.edges:,} ({result.faithfulness:.2f}; {result.seconds:.0f} s)"
                if result.edges
                else f"none ({result.seconds:.0f} s)"
                for result in here
            ]
            rows.append(f"| {task} | {train} | {' | '.join(cells)} | `{least.method}` |")
    return rows


def plot(results: list[Result]) -> alt.FacetChart:
    """Faithfulness by fraction, a panel a task."""
    rows = [
        {"task": r.task, "method": r.method, "seed": r.seed, "fraction": fraction, "f": max(-0.5, min(1.6, f))}
        for r in results
        if r.task in TASKS and len(r.curve) == len(FRACTIONS)
        for fraction, f in zip(FRACTIONS, r.curve, strict=True)
    ]
    lines = (
        alt.Chart(alt.Data(values=rows))
        .mark_line(point=True)
        .encode(
            x=alt.X("fraction:Q", scale=alt.Scale(type="log"), title="share of edges kept (log scale)"),
            y=alt.Y("mean(f):Q", title="faithfulness on test prompts", scale=alt.Scale(domain=[-0.5, 1.6])),
            color=alt.Color(
                "method:N", title=None, legend=alt.Legend(orient="top"), scale=alt.Scale(scheme="tableau10")
            ),
        )
        .properties(width=300, height=210)
    )
    return lines.facet(facet=alt.Facet("task:N", title=None), columns=3)


def page(results: list[Result]) -> str:
    """The whole page."""
    return "\n".join(
        [
            "# Quality of circuits on held-out prompts",
            "",
            "Made by `python benchmarks/quality.py --write`, row by row (`--tasks`, `--methods`, `--seeds`). "
            f"SmolLM2-135M, {platform.machine()}, {torch.get_num_threads()} thread, float32, counterfactual ablation, "
            f"each task's own metric, up to {max(r.test for r in results)} test prompts on other subjects. Mean "
            "over seeds [lowest, highest]; one number where there is one seed.",
            "",
            "![Faithfulness on test prompts by share of edges kept, one panel a task.](../images/quality.png)",
            "",
            *(row for task in TASKS for row in curves(results, task)),
            "## Edges at equal faithfulness",
            "",
            f"The smallest circuit that is within {1 - GOAL:.1f} of the model on its training prompts (faithfulness "
            "there; CPU seconds), seed 0. `eap-ig` is its ranking as it stands. `acdc` is the smallest of some whole "
            "runs at thresholds of a bisection, whose time is added up.",
            "",
            *sizes(results),
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--tasks", nargs="+", default=list(TASKS), help="bundled tasks")
    parser.add_argument("--methods", nargs="+", default=["verified", "acdc", *METHODS], help="what to measure")
    parser.add_argument("--train", type=int, default=2, help="training prompts")
    parser.add_argument("--test", type=int, default=8, help="most test prompts")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="of splits and draws")
    parser.add_argument("--runs", type=int, default=3, help="of acdc, to find its threshold")
    parser.add_argument("--no-curve", dest="curve", action="store_false", help="only edges at equal faithfulness")
    parser.add_argument("--cache", type=Path, default=home() / "quality.jsonl", help="what was measured, a line each")
    parser.add_argument("--write", action="store_true", help="write docs/results/quality.md and its plot")
    options = parser.parse_args()
    torch.set_num_threads(1)
    lines = options.cache.read_text(encoding="utf-8").splitlines() if options.cache.exists() else []
    results = [Result(**json.loads(line)) for line in lines]
    done = {result.key for result in results}
    wanted = [(task, method, seed) for seed in options.seeds for task in options.tasks for method in options.methods]
    model = ws.load_model("smollm2-135m")
    for task, method, seed in wanted:
        if (task, method, seed, options.train) in done:
            continue
        asked = {name: getattr(options, name) for name in ("train", "test", "runs", "curve")}
        results.append(measure(model, task, method, seed, **asked))
        with options.cache.open("a", encoding="utf-8") as out:
            out.write(json.dumps(asdict(results[-1])) + "\n")
        r = results[-1]
        print(f"{task} {method} {seed}: {r.edges} edges, {r.faithfulness:.3f}, {r.seconds:.0f} s", flush=True)
    text = page(results)
    print(text)
    if options.write:
        (ROOT / "docs/results/quality.md").write_text(text + "\n", encoding="utf-8")
        plot(results).save(ROOT / "docs/images/quality.png", scale_factor=1.5)


if __name__ == "__main__":
    main()
