"""How well do scores from gradients predict exact effects, and what do they cost?

    python benchmarks/estimates.py [--facts 4] [--edges 150] [--strong 60] [--write]

On the France pair and on training facts of six relations, a random sample of edges is ablated one by one, and so are
the strongest by the mean of all methods' ranks. Reported are Spearman's correlations of the scores with these exact
effects, signed, and of their sizes. They say how well single edges are estimated. How good circuits are is measured by
what the first edges of each ranking keep, run alone, on training facts and on test facts about other subjects. Cost is
processor time on one thread, as a multiple of that of `eap`. The relations are those that methods are developed on; no
other relation's test facts are read. `--write` puts the tables into docs/results/estimates.md. About ten minutes.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("GOMP_SPINCOUNT", "10000")  # as the command does

import numpy as np
import torch
from generalise import DEVELOPMENT
from scipy.stats import rankdata, spearmanr
from torch import Tensor

import wheatstone as ws
from wheatstone._intervals import DIFFERENCE, interval_text, mean_interval
from wheatstone.discovery import EdgeScores, attribute
from wheatstone.tasks import load_task

METHODS = ("eap", "eap-ig", "gim", "relp", "ceap")
FRANCE = ws.PromptPair(
    prompt="The official language of France is",
    counterfactual="The official language of Japan is",
    answers=(" French",),
    distractors=(" Japanese",),
)
SHARES = (0.01, 0.02)
PAGE = Path(__file__).parents[1] / "docs/results/estimates.md"


@dataclass(frozen=True)
class Row:
    """One method on one set of prompts.

    Args:
        subject: the prompts.
        method: that scored.
        signed: Spearman's correlation of score and effect on the random sample.
        sizes: of |score| and |effect| there.
        strong: of score and effect among the strongest edges.
        train: faithfulness of the first of `SHARES` on the prompts that were scored.
        test: the same on test prompts; nothing where there are none.
        cost: processor time, as a multiple of that of `eap`.
    """

    subject: str
    method: str
    signed: float
    sizes: float
    strong: float
    train: tuple[float, ...]
    test: tuple[float, ...]
    cost: float


def measure(
    subject: str, experiment: ws.Experiment, held_out: ws.Experiment | None, sampled: int, strong: int
) -> list[Row]:
    """All methods on one set of prompts.

    Args:
        subject: what to call the prompts.
        experiment: the prompts that are scored.
        held_out: test prompts; None where there are none.
        sampled: edges drawn at random.
        strong: edges with the best mean rank over all methods.
    """
    scores: dict[str, EdgeScores] = {}
    seconds: dict[str, float] = {}
    attribute(experiment, method="eap")  # so that no method pays for what is made once
    for method in METHODS:
        started = time.process_time()
        scores[method] = attribute(experiment, method=method)
        seconds[method] = time.process_time() - started
    valid = torch.from_numpy(experiment.graph.valid)
    values = {method: scored.values[valid].numpy() for method, scored in scores.items()}
    drawn = np.random.default_rng(0).choice(experiment.graph.edges, sampled, replace=False)
    top = np.mean([rankdata(-np.abs(row)) for row in values.values()], axis=0).argsort()[:strong]
    at_random, at_top = (effects_of(experiment, valid, chosen) for chosen in (drawn, top))
    rows: list[Row] = []
    for method in METHODS:
        masks = scores[method].top([round(share * experiment.graph.edges) for share in SHARES])
        row = Row(
            subject,
            method,
            _spearman(values[method][drawn], at_random),
            _spearman(np.abs(values[method][drawn]), np.abs(at_random)),
            _spearman(values[method][top], at_top),
            tuple(experiment.faithfulness(masks)),
            tuple(held_out.faithfulness(masks)) if held_out else (),
            seconds[method] / seconds["eap"],
        )
        print(row, flush=True)
        rows.append(row)
    return rows


def effects_of(experiment: ws.Experiment, valid: Tensor, chosen: np.ndarray) -> np.ndarray:
    """The exact drop in the metric without each of some edges."""
    found: list[Tensor] = []
    for part in valid.nonzero()[torch.from_numpy(chosen)].split(32):
        keep = valid.repeat(len(part), 1, 1)
        keep[torch.arange(len(part)), part[:, 0], part[:, 1]] = False
        found.append(experiment.clean.mean() - experiment.values(keep).mean(-1))
    return torch.cat(found).numpy()


def _spearman(scores: np.ndarray, effects: np.ndarray) -> float:
    found: Any = spearmanr(scores, effects)
    return float(found.statistic)


def _cell(values: Sequence[float], bounds: tuple[float, float] | None = None) -> str:
    """A mean with its 95% interval, where there are enough values for one."""
    reach = interval_text(mean_interval(np.array(values), bounds=bounds))
    return f"{np.mean(values):.2f}" + (f" ({reach})" if reach else "")


def table(rows: Sequence[Row]) -> list[str]:
    """One line a method, means over subjects."""
    lines = [
        "| method | rank of effects | rank of sizes | rank among strongest | f at 1% | f at 2% | test f at 1% "
        "| test f at 2% | cost |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for method in METHODS:
        of = [row for row in rows if row.method == method]
        columns = [[row.signed for row in of], [row.sizes for row in of], [row.strong for row in of]]
        columns += [[row.train[at] for row in of] for at in range(len(SHARES))]
        columns += [[row.test[at] for row in of if row.test] for at in range(len(SHARES))]
        ranks, kept = columns[:3], columns[3:]
        cells = [_cell(column, DIFFERENCE) for column in ranks]
        cells += [_cell(column) if column else "" for column in kept]
        lines.append(f"| `{method}` | {' | '.join(cells)} | {np.mean([row.cost for row in of]):.1f} |")
    return lines


def page(rows: Sequence[Row], facts: int, sampled: int, strong: int) -> str:
    """The whole page."""
    france = [row for row in rows if row.subject == "France"]
    others = [row for row in rows if row.subject != "France"]
    machine = f"{platform.machine()}, {torch.get_num_threads()} thread, float32"
    return "\n".join(
        [
            "# Estimates against exact effects",
            "",
            f"Made by `python benchmarks/estimates.py --write`. SmolLM2-135M-Instruct (Q4_1), {machine}, "
            f"counterfactual ablation, logit difference. Relations: {', '.join(DEVELOPMENT)}, {facts} training "
            f"facts each; means over them with 95% intervals (n = {len(DEVELOPMENT)}).",
            "",
            "*Rank of effects*: Spearman's correlation of the scores with the exact effects of single ablations, over "
            f"{sampled} edges drawn at random; *of sizes*: of their absolute values; *among strongest*: of scores and "
            f"effects over the {strong} edges with the best mean rank over all methods. *f*: faithfulness of the first "
            "1% and 2% of the edges of a ranking, run alone on the prompts that were scored and on up to 8 test facts "
            "about other subjects. *Cost*: processor time as a multiple of that of `eap`.",
            "",
            "## Six relations",
            "",
            *table(others),
            "",
            "## France, not Japan: one prompt",
            "",
            *table(france),
            "",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--facts", type=int, default=4, help="training facts of each relation")
    parser.add_argument("--edges", type=int, default=150, help="edges drawn at random")
    parser.add_argument("--strong", type=int, default=60, help="strongest edges")
    parser.add_argument("--write", action="store_true", help="write docs/results/estimates.md")
    options = parser.parse_args()
    torch.set_num_threads(1)
    model = ws.load_model("smollm2-135m")
    rows = measure("France", ws.Experiment(model, [FRANCE]), None, options.edges, options.strong)
    for relation in DEVELOPMENT:
        task = load_task(f"facts/{relation}", model, strict=False)
        train, test = (
            ws.Experiment(model, pairs, metric=task.metric) for pairs in (task.train[: options.facts], task.test[:8])
        )
        rows += measure(relation, train, test, options.edges, options.strong)
    text = page(rows, options.facts, options.edges, options.strong)
    print(f"\n{text}")
    if options.write:
        PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
