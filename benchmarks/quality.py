"""Quality of circuits on held-out prompts, as MIB measures it: CPR and CMD of every method, and sizes.

    python benchmarks/quality.py [--tasks ioi …] [--methods eap-ig …] [--seeds 0 1 2] [--equal] [--write]

Every method ranks all edges on training prompts (`rankings.py` says how). The circuit of the first so many edges is
then run alone on test prompts, whose subjects the training prompts do not share, at edge fractions .001 … 1. With f the
faithfulness,

    CPR = area under f over the fraction       (higher: more of the behaviour in fewer edges)
    CMD = area between f and 1                 (lower: nearer to the model, neither short of it nor beyond)

by the trapezoid rule. `--equal` compares sizes instead: ACDC's circuit of one threshold, and those that the EAP-IG
ranking and verified search find for the faithfulness that ACDC's has, on the same prompts.

What was measured is a line of `--cache` (docs/results/quality.jsonl): a table of hours is made piece by piece, an
interruption loses one row at most, and what is there is not measured again. `--write` puts tables and plot of all that
is there into docs/results/quality.md and docs/images/quality.png. Seconds are a processor's, which a busy machine
changes less.

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
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any

os.environ.setdefault("GOMP_SPINCOUNT", "10000")  # as the command does

import altair as alt
import numpy as np
import torch
from rankings import GOAL, ranked
from scipy.stats import spearmanr

import wheatstone as ws
from wheatstone.discovery import METHODS, EdgeScores, attribute
from wheatstone.tasks import load_task

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/results/quality.md"
TASKS = ("ioi", "greater-than", "a-an", "facts/country_capital", "facts/country_language")
FRACTIONS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
EQUAL = ("eap-ig", "verified")
"""Compared with ACDC by the edges they need."""


@dataclass(frozen=True)
class Result:
    """One method on one task and seed.

    Args:
        task: a bundled task.
        method: as in `rankings.py`.
        seed: of the split, the prompts and what the method draws.
        train: training prompts.
        test: test prompts.
        curve: faithfulness on the test prompts at each of `FRACTIONS`; one number where it was not asked for.
        edges: of the circuit that it found on the training prompts.
        faithfulness: of it, on the training prompts.
        threshold: of `acdc`.
        circuits: run to find it.
        seconds: of a processor, to find it.
        goal: faithfulness that was asked for; `acdc` has none.
        agreement: Spearman's correlation of |score| with EAP-IG's over all edges; None where there are no scores.
    """

    task: str
    method: str
    seed: int
    train: int
    test: int
    curve: Sequence[float]
    edges: int
    faithfulness: float
    threshold: float | None
    circuits: int
    seconds: float
    goal: float | None = GOAL
    agreement: float | None = None

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
        return self.task, self.method, self.seed, self.train, self.goal


class Bench:
    """Measures what is not in the cache yet.

    Args:
        cache: what was measured, a line each.
        train: training prompts.
        test: most test prompts.
        share: of the metric's gap, ACDC's threshold.
    """

    def __init__(self, cache: Path, train: int, test: int, share: float) -> None:
        self.cache, self.train, self.test, self.share = cache, train, test, share
        lines = cache.read_text(encoding="utf-8").splitlines() if cache.exists() else []
        self.results = [Result(**json.loads(line)) for line in lines]

    @cached_property
    def model(self) -> ws.ResidualModel:
        """Loaded only if something is measured."""
        return ws.load_model("smollm2-135m")

    def result(self, task: str, method: str, seed: int = 0, goal: float | None = GOAL, *, curve: bool = True) -> Result:
        """One method on one task."""
        goal = None if method == "acdc" else goal
        for result in self.results:
            if result.key == (task, method, seed, self.train, goal):
                return result
        result = self._measure(task, method, seed, goal, curve)
        self.results.append(result)
        with self.cache.open("a", encoding="utf-8") as out:
            out.write(json.dumps(asdict(result)) + "\n")
        about = f"{result.edges:,} edges, f {result.faithfulness:.3f}, {result.seconds:.0f} s"
        print(f"{task} {method} {seed} goal {goal}: {about}", flush=True)
        return result

    def _measure(self, task: str, method: str, seed: int, goal: float | None, curve: bool) -> Result:
        pairs = load_task(task, self.model, seed=seed, size=100 if "/" in task else 40)
        experiment = ws.Experiment(self.model, pairs.train[: self.train], metric=pairs.metric)
        started, run = time.process_time(), experiment.evaluations
        found = ranked(experiment, method, seed=seed, goal=goal or GOAL, share=self.share)
        seconds, run = time.process_time() - started, experiment.evaluations - run
        values: list[float] = []
        held_out = ws.Experiment(self.model, pairs.test[: self.test], metric=pairs.metric)
        for fraction in FRACTIONS[:-1] if curve else ():
            values += held_out.faithfulness(found.scores.top([round(fraction * experiment.graph.edges)]))
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
            goal,
            _agreement(found.scores, attribute(experiment)) if method in METHODS else None,
        )

    def equal(self, task: str) -> None:
        """ACDC, and what the others need for its faithfulness, a thousandth more to be sure."""
        kept = self.result(task, "acdc", curve=task in TASKS)
        for method in EQUAL:
            self.result(task, method, goal=_goal_of(kept), curve=False)
            self.result(task, method, curve=task in TASKS)


def _agreement(scores: EdgeScores, others: EdgeScores) -> float:
    """How far two methods rank alike."""
    valid = torch.from_numpy(scores.graph.valid)
    found: Any = spearmanr(scores.values[valid].abs(), others.values[valid].abs())
    return float(found.statistic)


def _goal_of(kept: Result) -> float:
    """A goal as near to 1 as a circuit is."""
    return round(max(0.001, 1.001 - abs(1 - kept.faithfulness)), 3)


def spread(values: Iterable[float], form: str) -> str:
    """A mean with the lowest and highest seed."""
    values = list(values)
    if len(values) < 2:
        return "".join(format(value, form) for value in values)
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
        "| method | prompts x seeds | CPR | CMD | f at 0.1% | f at 1% | as `eap-ig` | circuits | CPU s |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for of in sorted(groups, key=lambda of: float(np.mean([r.cmd for r in of]))):
        cells = (
            f"`{of[0].method}`",
            f"{of[0].train} x {len(of)}",
            spread((r.cpr for r in of), ".3f"),
            spread((r.cmd for r in of), ".3f"),
            spread((r.curve[0] for r in of), ".2f"),
            spread((r.curve[3] for r in of), ".2f"),
            spread((r.agreement for r in of if r.agreement is not None), ".2f"),
            spread((r.circuits for r in of), ",.0f"),
            spread((r.seconds for r in of), ".0f"),
        )
        rows.append(f"| {' | '.join(cells)} |")
    missing = sorted({"verified", "acdc", *METHODS} - {of[0].method for of in groups})
    return [*rows, "", *([f"Not measured here: {', '.join(f'`{name}`' for name in missing)}.", ""] if missing else [])]


def sizes(results: list[Result]) -> list[str]:
    """Edges of each method's circuit at the same goal on the same prompts."""
    rows = [
        "| task | prompts | τ | `acdc` | `eap-ig` there | `verified` there | `eap-ig` to 0.9 | `verified` to 0.9 |",
        "|---|---|---|---|---|---|---|---|",
    ]
    by_key = {result.key: result for result in results}
    for kept in (result for result in results if result.method == "acdc"):
        goals = [_goal_of(kept), GOAL]
        found = [by_key.get((kept.task, name, 0, kept.train, goal)) for goal in goals for name in EQUAL]
        cells = [
            "–" if result is None else f"{result.edges:,} ({result.faithfulness:.2f}; {result.seconds:.0f} s)"
            for result in (kept, *found)
        ]
        rows.append(f"| {kept.task} | {kept.train} | {kept.threshold:.3g} | {' | '.join(cells)} |")
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
            "Made by `python benchmarks/quality.py --write`, row by row (`--tasks`, `--methods`, `--seeds`), "
            "from [quality.jsonl](quality.jsonl); four prompts of two relations: [here](quality-four-prompts.md). "
            f"SmolLM2-135M-Instruct (Q4_1), {platform.machine()}, {torch.get_num_threads()} thread, float32, "
            "counterfactual ablation, "
            f"each task's own metric, up to {max(r.test for r in results)} test prompts on other subjects. Mean "
            "over seeds [lowest, highest]; one number where there is one seed.",
            "",
            "f is the faithfulness on test prompts of the circuit of the first edges of a ranking, as a function of "
            "the share of edges kept; `f at 0.1%` is its value at a thousandth of them. CPR is the area under f "
            "(higher is better), CMD the area between f and 1 (lower is better), by the trapezoid rule, as in MIB "
            "(Mueller et al. 2025, arXiv 2504.13151). As `eap-ig`: Spearman's correlation with the |score| of "
            "`eap-ig` over all edges, where it was measured. Circuits: how many were run to find the order "
            "and the circuit at 0.9.",
            "",
            "![Faithfulness on test prompts by share of edges kept, one panel a task.](../images/quality.png)",
            "",
            *(row for task in TASKS for row in curves(results, task)),
            "## Edges at equal faithfulness",
            "",
            "Edges (faithfulness on the training prompts; CPU seconds), seed 0. `acdc` is one whole run at the "
            "threshold τ. There: the smallest circuit found that is at least as near to the model as ACDC's. `eap-ig` "
            "is its ranking as it stands.",
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
    parser.add_argument("--seeds", type=int, nargs="*", default=[0], help="of splits and draws; none only writes")
    parser.add_argument("--share", type=float, default=0.0375, help="of the metric's gap, ACDC's threshold")
    parser.add_argument("--equal", action="store_true", help="compare sizes with ACDC's; --methods are not read")
    parser.add_argument("--cache", type=Path, default=PAGE.with_suffix(".jsonl"), help="what was measured, by lines")
    parser.add_argument("--write", action="store_true", help="write docs/results/quality.md and its plot")
    options = parser.parse_args()
    torch.set_num_threads(1)
    bench = Bench(options.cache, options.train, options.test, options.share)
    for task in options.tasks if options.equal else ():
        bench.equal(task)
    for seed in () if options.equal else options.seeds:
        for task in options.tasks:
            for method in options.methods:
                bench.result(task, method, seed)
    text = page(bench.results)
    print(text)
    if options.write:
        PAGE.write_text(text + "\n", encoding="utf-8")
        plot(bench.results).save(ROOT / "docs/images/quality.png", scale_factor=1.5)


if __name__ == "__main__":
    main()
