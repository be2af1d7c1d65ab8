"""Every scoring method, and verified search, against circuits that are known.

    python benchmarks/ground_truth.py [--seeds 10] [--write]

The programs and their true edges are those of benchmarks/tracr (compile.py says how the truth follows from the
program); the last model is trained, and its true edges are those of the induction mechanism. A method's circuit is
the smallest of its ranking that reaches faithfulness 0.99. AUROC and AUPRC are of |score| over all edges. `--write`
puts the tables into docs/results/ground-truth.md.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

os.environ.setdefault("GOMP_SPINCOUNT", "10000")  # as the command does

import numpy as np
import torch
from compiled_programs import PROGRAMS, CompiledProgram, compiled_program
from induction import InductionModel, train_induction
from scipy.stats import mannwhitneyu, t

from wheatstone._intervals import MINIMUM
from wheatstone.circuits import Experiment
from wheatstone.discovery import METHODS, DiscoverySettings, attribute, discover_in

GOAL = 0.99
HEADER = "| method | edges | precision | recall | AUROC | AUPRC |\n|---|---|---|---|---|---|"


@dataclass(frozen=True)
class Agreement:
    """How a method's answer compares with the true edges.

    Args:
        edges: of its circuit.
        precision: share of the circuit's edges that are true.
        recall: share of the true edges that the circuit keeps.
        auroc: chance that a true edge scores above another, ties counting half.
        auprc: mean precision at each true edge of the ranking, ties taken together.
    """

    edges: float
    precision: float
    recall: float
    auroc: float
    auprc: float


def agreement(truth: np.ndarray, kept: np.ndarray, scores: np.ndarray) -> Agreement:
    """Compares a circuit and the scores it came from with the truth, over the edges of one graph.

    Args:
        truth: whether each edge is true; some are and some are not.
        kept: whether the circuit keeps it.
        scores: how highly the method ranks it.
    """
    hits = int((truth & kept).sum())
    right, wrong = scores[truth], scores[~truth]
    levels = np.unique(right)[::-1]
    precision = np.array([truth[scores >= level].mean() for level in levels])
    gained = np.array([(right == level).mean() for level in levels])
    return Agreement(
        edges=int(kept.sum()),
        precision=hits / max(1, int(kept.sum())),
        recall=hits / int(truth.sum()),
        auroc=float(mannwhitneyu(right, wrong).statistic) / (len(right) * len(wrong)),
        auprc=float(precision @ gained),
    )


def ranked(experiment: Experiment, truth: torch.Tensor, method: str, seed: int) -> Agreement:
    """A method's scores, and the smallest circuit of its ranking that meets the goal."""
    scores = attribute(experiment, method=method, seed=seed)
    circuits = scores.top(range(experiment.graph.edges + 1))
    faithfulness = experiment.faithfulness(circuits)
    size = next(size for size, value in enumerate(faithfulness) if abs(1 - value) <= 1 - GOAL)
    valid = experiment.graph.valid
    return agreement(truth.numpy()[valid], circuits[size].numpy()[valid], scores.values.abs().numpy()[valid])


def verified(experiment: Experiment, truth: torch.Tensor, goal: float) -> tuple[Agreement, set[str]]:
    """Verified search's circuit, its edges scored by their exact effects; and the circuit."""
    circuit = discover_in(experiment, DiscoverySettings(faithfulness=goal), curve=False).circuit
    keep, valid = circuit.mask(), experiment.graph.valid
    effects = torch.zeros(keep.shape, dtype=torch.float64)
    assert circuit.effects is not None
    effects[keep] = torch.tensor(circuit.effects, dtype=torch.float64).abs()
    found = agreement(truth.numpy()[valid], keep.numpy()[valid], effects.numpy()[valid])
    return found, {str(edge) for edge in circuit}


def row(name: str, draws: Sequence[Agreement]) -> str:
    """A line of a table: means, with their 95% reach by Student's t where there are four draws or more."""
    table = np.array([astuple(draw) for draw in draws])
    means, several = table.mean(0), len(table) >= MINIMUM
    errors = t.ppf(0.975, len(table) - 1) * table.std(0, ddof=1) / len(table) ** 0.5 if several else means
    cells = [f"{means[0]:.0f}" if not several else f"{means[0]:.1f} ± {errors[0]:.1f}"]
    cells += [
        f"{mean:.2f}" if not several else f"{mean:.2f} ± {error:.2f}"
        for mean, error in zip(means[1:], errors[1:], strict=True)
    ]
    return f"| {name} | {' | '.join(cells)} |"


def compare(experiment: Experiment, truth: torch.Tensor, goal: float, seeds: int) -> tuple[list[str], set[str]]:
    """A table of all methods on one model; and the verified circuit."""
    best, circuit = verified(experiment, truth, goal)
    lines = [HEADER, row("`verified`", [best])]
    for name, method in METHODS.items():
        draws = [ranked(experiment, truth, name, seed) for seed in range(seeds if method.seeded else 1)]
        lines.append(row(f"`{name}`", draws))
    return lines, circuit


def of_program(program: CompiledProgram, seeds: int) -> list[str]:
    """The section of one program."""
    graph = program.model.graph
    lines, _ = compare(Experiment(program.model, program.pairs), program.truth, 1.0, seeds)
    return [
        f"### {program.name}",
        "",
        f"`{program.source}`",
        "",
        f"{graph.layers} layers, {graph.heads} head{'s' * (graph.heads > 1)} each; {len(program.edges)} of "
        f"{graph.edges} edges are true: {_listed(program.edges)}. The weights also touch along "
        f"{_listed(program.wired - program.edges)}, which carry constants, positions or what no live operation reads.",
        "",
        *lines,
        "",
    ]


def of_induction(trained: InductionModel, seeds: int) -> list[str]:
    """The section of the trained model."""
    graph, edges = trained.model.graph, trained.edges()
    truth = torch.zeros(graph.valid.shape, dtype=torch.bool)
    for edge in edges:
        truth[graph.edge(*edge.split("->"))] = True
    experiment = Experiment(trained.model, trained.pairs(64))
    (alone,) = experiment.faithfulness(truth[None])
    lines, circuit = compare(experiment, truth, GOAL, seeds)
    scores = ", ".join(f"`{head}` {a:.2f} / {b:.2f}" for head, (a, b) in trained.attention_scores().items())
    return [
        "## Trained: induction",
        "",
        f"Two attention-only layers, trained for {trained.steps} batches to a loss of {trained.loss:.3f} nats "
        "(`benchmarks/induction.py`). Attention to the previous token / to the token that followed the last one's "
        f"first occurrence: {scores}. The mechanism's edges: {_listed(edges)}. They are what the mechanism must have, "
        f"not all that training left: alone they reach a faithfulness of {alone:.2f} (at 0.5 the answer is no likelier "
        "than the counterfactual's), so that precision below 1 is no error here. "
        f"Verified search, goal {GOAL}, keeps besides: {_listed(circuit - edges) or 'nothing'}.",
        "",
        "Its counterfactuals repeat at another distance. If they repeated at the same one, heads would look to the "
        "same place in both, and queries and keys would carry nothing of their own: choose counterfactuals by what "
        "must differ.",
        "",
        *lines,
        "",
    ]


def _listed(edges: set[str] | frozenset[str]) -> str:
    return ", ".join(f"`{edge}`" for edge in sorted(edges))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=10, help="draws of methods that draw")
    parser.add_argument("--write", action="store_true", help="write docs/results/ground-truth.md")
    options = parser.parse_args()
    text = "\n".join(
        [
            "# Known truth: methods against circuits read off programs",
            "",
            "Made by `python benchmarks/ground_truth.py --write`; float32, counterfactual ablation, logit difference",
            f"at the last position, 64 prompt pairs a program; `±`: 95% by Student's t over {options.seeds} seeds.",
            "",
            RULE,
            *(line for name in PROGRAMS for line in of_program(compiled_program(name), options.seeds)),
            *of_induction(train_induction(), options.seeds),
        ]
    )
    print(text)
    if options.write:
        (Path(__file__).parent.parent / "docs" / "results" / "ground-truth.md").write_text(text, encoding="utf-8")


RULE = """\
## What is true

The programs are RASP, compiled to weights by Tracr (`benchmarks/tracr/compile.py`). Every operation becomes a head, an
MLP or, for selector widths, one of each, and writes residual-stream directions of its own. That one operation is an
operand of another is then an edge: from the unit that writes it to the channel that reads it, q for a selector's
queries, k for its keys, v for what is aggregated. Under counterfactual ablation an edge is true if

1. the output at the last position, the only one that the metric reads, depends on it in the program;
2. its content differs between a prompt and its counterfactual at a position that is read. Positions, constants and the
   sequence length are the same in both, so that edges that carry nothing else are not part of the circuit;
3. the reading operation heeds it: the predicate of a selector is not the same for all its values.

None of this looks at a run with edges ablated. The tests hold the lists against ones written by hand, the outputs
against tracr's own forward pass, and check that the true edges alone give the whole answer and none can go.

A method's circuit is the smallest of its ranking with a faithfulness of 0.99 to 1.01; `verified` is `discover` with a
goal of 1. AUROC and AUPRC are of |score|; for `verified`, of the exact effects of kept edges, 0 elsewhere.

Verified search finds every true edge and no other on every program; there is no miss to explain. So do exact scores:
no program here does one thing along two paths, where the effect of a single edge would hide. Why other rankings miss:
a selector width ends in an MLP that is a staircase, flat on both sides of each step, so that in `histogram` and
`equally_frequent` the gradient at everything before the last such MLP is exactly 0, at every integration step; so is
the score of an edge that does nothing. (In `sort_unique` scores of true edges are as small as 1e-14, but what does
nothing scores exactly 0, and so the order is right.) Node scores rank an edge by its ends, so that every edge into a
needed head looks needed.

## Compiled programs
"""


if __name__ == "__main__":
    main()
