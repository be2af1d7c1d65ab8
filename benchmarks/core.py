"""How much of a core comes back from the other half of the prompts: docs/results/core.md.

    python benchmarks/core.py --work FOLDER [--tasks ioi …] [--prompts 16 100] [--write]

For every task: EAP-IG scores of each prompt, then, at each number of prompts and size of a circuit, the edges that are
in at least 90% of 100 bootstrap samples of one random half of the prompts, and of the other half; ten random divisions.
Scores stay in the folder, and a second start reads them. No model is run for the overlaps.
"""

from __future__ import annotations

import argparse
import os
import platform
from pathlib import Path

import numpy as np
import torch

import wheatstone as ws
from wheatstone.cards._scores import identity_of, read_scores, write_scores
from wheatstone.discovery import PromptScores, Recurrence, recurrence, scores_by_prompt
from wheatstone.tasks import load_task

PAGE = Path(__file__).parents[1] / "docs/results/core.md"
EDGES, NODES = 0.8, 0.9
"""Overlaps that are aimed at."""
SIZES = (200, 706, 2119, 7065, 14130)
TASKS = ("ioi", "facts/country_capital", "facts/verb_past_tense")
MADE = """Made by `python benchmarks/core.py --work FOLDER --write` on SmolLM2-135M-Instruct (Q4_1), {machine}, {cores}
cores, float32, counterfactual ablation, logit difference, EAP-IG with 5 steps. *Core*: edges that at least 90% of 100
bootstrap samples keep among their first, on all prompts of the row. *Shared*: Jaccard overlap of the cores of two
halves of these prompts, mean over ten random divisions (least to most). All divisions are of the same prompts, so the
ten values are not independent and give no interval."""
WHY = """Why larger circuits share fewer edges was not tested. Their last edges may differ in score by less than the
error of a score, so that the prompts that were drawn decide which of them come next. Nodes say little where nearly all
of them write along some edge."""
HEAD = "| task | prompts | edges of a sample | core | edges shared by the cores of two halves | nodes shared |"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, help="folder that keeps the scores")
    parser.add_argument("--tasks", nargs="+", default=TASKS, help="bundled tasks")
    parser.add_argument("--prompts", nargs="+", type=int, default=[16, 100], help="numbers of prompts")
    parser.add_argument("--write", action="store_true", help="write docs/results/core.md")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    model = ws.load_model("smollm2-135m")
    lines, most = [HEAD, "|---" * (HEAD.count("|") - 1) + "|"], dict[str, list[Recurrence]]()
    print("\n".join(lines), flush=True)
    for task in options.tasks:
        scores = scores_of(model, task, max(options.prompts), options.work)
        senders = torch.from_numpy(scores.graph.valid.nonzero()[1])
        for prompts in sorted({min(prompts, len(scores.values)) for prompts in options.prompts}):
            found = [recurrence(scores.values[:prompts], size, senders=senders) for size in SIZES]
            most[task] = found
            for one in found:
                lines.append(row(task, one))
                print(lines[-1], flush=True)
    print(text := page(lines, most))
    if options.write:
        PAGE.write_text(text, encoding="utf-8")


def scores_of(model: ws.ResidualModel, task: str, prompts: int, work: Path) -> PromptScores:
    """The scores of a task's known prompts, of all splits, in the order of the task."""
    pairs = load_task(task, model, size=None if task.startswith("facts/") else 2 * prompts, strict=False).every
    pairs = pairs[:prompts]
    experiment = ws.Experiment(model, pairs[:16], allow_weak=True)
    path, identity = work / f"{task.replace('/', '-')}.parquet", identity_of(experiment, pairs, "eap-ig", None)
    scores = read_scores(path, model.graph, identity)
    if scores is None:
        scores = scores_by_prompt(experiment, pairs)
        write_scores(path, scores, identity)
    return scores


def row(task: str, found: Recurrence) -> str:
    """One line of the table."""
    cells = (task, str(found.prompts), f"{found.size:,}", f"{int(found.decided_in.sum()):,}")
    return f"| {' | '.join((*cells, spread(found.half_edges), spread(found.half_nodes)))} |"


def spread(overlaps: tuple[float, ...]) -> str:
    """`0.61 (0.52 to 0.70)`: mean, least and most of ten divisions."""
    return f"{np.mean(overlaps):.2f} ({min(overlaps):.2f} to {max(overlaps):.2f})"


def page(lines: list[str], most: dict[str, list[Recurrence]]) -> str:
    """The whole page.

    Args:
        lines: of the table.
        most: of each task what recurs with the most prompts, for each size.
    """
    said = " ".join(verdict(task, found) for task, found in most.items())
    made = MADE.format(machine=platform.machine(), cores=os.cpu_count())
    aims = f"Aimed at with 100 prompts: {EDGES} of edges and {NODES} of nodes. At {SIZES[0]} edges a sample, {said}"
    return "\n\n".join(["# How much of a core comes back", made, "\n".join(lines), aims, WHY]) + "\n"


def verdict(task: str, found: list[Recurrence]) -> str:
    """What a task reaches at the smallest size, and by how much it misses."""
    edges, nodes = float(np.mean(found[0].half_edges)), float(np.mean(found[0].half_nodes))
    return f"{task}: edges {_missed(edges, EDGES)}, nodes {_missed(nodes, NODES)}."


def _missed(value: float, aim: float) -> str:
    return f"{value:.2f} ({f'{aim - value:.2f} too little' if value < aim else 'reached'})"


if __name__ == "__main__":
    main()
