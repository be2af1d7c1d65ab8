"""How much of a circuit and of its core comes back when the prompts are drawn again: docs/results/core.md.

    python benchmarks/core.py --work FOLDER [--tasks ioi …] [--prompts 16 100] [--counterfactuals 1 4] [--write]

For every task: EAP-IG scores of each prompt, means over its counterfactuals. Then, at each number of prompts and size
of a circuit, the edges that each of 100 bootstrap samples of the prompts ranks first, and the edges that are in at
least 90% of 100 such samples of one random half of the prompts, and of the other half; ten random divisions. Scores
stay in the folder, and a second start reads them. No model is run for the overlaps.
"""

from __future__ import annotations

import argparse
import os
import platform
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from random import Random

import numpy as np
import torch

import wheatstone as ws
from wheatstone._text import count
from wheatstone.cards._scores import identity_of, read_scores, write_scores
from wheatstone.discovery import PromptScores, Recurrence, recurrence, scores_by_prompt
from wheatstone.tasks import PromptPair, load_task, mean_by_prompt, several_counterfactuals

PAGE = Path(__file__).parents[1] / "docs/results/core.md"
EDGES, NODES = 0.8, 0.9
"""Overlaps of two bootstrap samples that are aimed at."""
SIZES = (200, 706, 2119, 7065, 14130)
TASKS = ("ioi", "facts/country_capital", "facts/verb_past_tense")
MADE = """Made by `python benchmarks/core.py --work FOLDER --write` on SmolLM2-135M-Instruct (Q4_1), {machine}, {cores}
cores, float32, counterfactual ablation, logit difference, EAP-IG with 5 steps. A prompt's scores are means over so many
counterfactuals: of a relation other prompts of it, of which few may fit; of ioi other third names. *Two samples*:
Jaccard overlap of the edges that two bootstrap samples of the prompts rank first, mean over all pairs of 100 samples,
and of the nodes that write along them. *Core*: edges that at least 90% of the samples keep. *Cores of two halves*:
overlap of the cores of two halves of the prompts, mean over ten random divisions (least to most): a harder question,
since a half has half the prompts. All samples and divisions are of the same prompts, so the values are not independent
and give no interval."""
WHY = """Why larger circuits share fewer edges was not tested. Their last edges may differ in score by less than the
error of a score, so that the prompts that were drawn decide which of them come next. Nodes say little where nearly all
of them write along some edge."""
HEAD = (
    "| task | prompts | counterfactuals | edges of a sample | two samples share: edges | nodes | core "
    "| cores of two halves share: edges | nodes |"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, help="folder that keeps the scores")
    parser.add_argument("--tasks", nargs="+", default=TASKS, help="bundled tasks")
    parser.add_argument("--prompts", nargs="+", type=int, default=[16, 100], help="numbers of prompts")
    parser.add_argument("--counterfactuals", nargs="+", type=int, default=[1, 4], help="of each prompt, at most")
    parser.add_argument("--write", action="store_true", help="write docs/results/core.md")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    model = ws.load_model("smollm2-135m")
    lines, smallest = [HEAD, "|---" * (HEAD.count("|") - 1) + "|"], dict[tuple[str, int], Recurrence]()
    print("\n".join(lines), flush=True)
    for task, most in product(options.tasks, options.counterfactuals):
        scores = scores_of(model, task, max(options.prompts), most, options.work)
        senders = torch.from_numpy(scores.graph.valid.nonzero()[1])
        for prompts in sorted({min(prompts, len(scores.values)) for prompts in options.prompts}):
            found = [recurrence(scores.values[:prompts], size, senders=senders) for size in SIZES]
            smallest[task, most] = found[0]
            for one in found:
                lines.append(row(task, most, one))
                print(lines[-1], flush=True)
    print(text := page(lines, smallest))
    if options.write:
        PAGE.write_text(text, encoding="utf-8")


def scores_of(model: ws.ResidualModel, task: str, prompts: int, most: int, work: Path) -> PromptScores:
    """The scores of a task's known prompts, of all splits, in the order of the task.

    Args:
        model: the model.
        task: its name.
        prompts: of the task, at most.
        most: counterfactuals of a prompt.
        work: folder that keeps the scores of every pair.
    """
    pairs = load_task(task, model, size=None if task.startswith("facts/") else 2 * prompts, strict=False).every
    pairs = pairs[:prompts]
    pairs = other_names(pairs, most) if task == "ioi" else several_counterfactuals(model, pairs, most=most)
    experiment = ws.Experiment(model, pairs[:16], allow_weak=True)
    path = work / f"{task.replace('/', '-')}-{most}.parquet"
    identity = identity_of(experiment, pairs, "eap-ig", None)
    scores = read_scores(path, model.graph, identity)
    if scores is None:
        scores = scores_by_prompt(experiment, pairs)
        write_scores(path, scores, identity)
    means = mean_by_prompt(pairs, scores.values.T.numpy())
    return replace(scores, values=torch.from_numpy(means.T.copy()))


def other_names(pairs: Sequence[PromptPair], most: int) -> list[PromptPair]:
    """IOI's prompts with further counterfactuals, in which other pairs' third names act; own first."""
    draw, found = Random(0), list[PromptPair]()
    third = [next(iter(set(pair.counterfactual.split()) - set(pair.prompt.split()))) for pair in pairs]
    for pair, name in zip(pairs, third, strict=True):
        others = sorted({other for other in third if other != name and other not in pair.prompt})
        texts = [pair.counterfactual.replace(name, other) for other in draw.sample(others, most - 1)]
        found += [pair, *(pair.model_copy(update={"counterfactual": text}) for text in texts)]
    return found


def row(task: str, most: int, found: Recurrence) -> str:
    """One line of the table."""
    cells = (
        task,
        f"{found.prompts}",
        f"{most}",
        f"{found.size:,}",
        f"{found.overlap:.2f}",
        f"{found.overlap_nodes:.2f}",
    )
    core = f"{int(found.decided_in.sum()):,}"
    return f"| {' | '.join((*cells, core, spread(found.half_edges), spread(found.half_nodes)))} |"


def spread(overlaps: tuple[float, ...]) -> str:
    """`0.61 (0.52 to 0.70)`: mean, least and most of ten divisions."""
    return f"{np.mean(overlaps):.2f} ({min(overlaps):.2f} to {max(overlaps):.2f})"


def page(lines: list[str], smallest: dict[tuple[str, int], Recurrence]) -> str:
    """The whole page.

    Args:
        lines: of the table.
        smallest: what recurs at the smallest size with the most prompts, by task and counterfactuals.
    """
    made = MADE.format(machine=platform.machine(), cores=os.cpu_count())
    verdicts = [
        f"* {task}, {count(most, 'counterfactual')}: edges {_missed(found.overlap, EDGES)}, "
        f"nodes {_missed(found.overlap_nodes, NODES)}."
        for (task, most), found in smallest.items()
    ]
    aims = (
        f"Two samples should share {EDGES} of edges and {NODES} of nodes with the most prompts, at {SIZES[0]} edges a "
        "sample:"
    )
    return (
        "\n\n".join(["# How much of a core comes back", made, "\n".join(lines), aims, "\n".join(verdicts), WHY]) + "\n"
    )


def _missed(value: float, aim: float) -> str:
    return f"{value:.2f} ({f'{aim - value:.2f} too little' if value < aim else 'reached'})"


if __name__ == "__main__":
    main()
