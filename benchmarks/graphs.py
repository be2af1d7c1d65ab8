"""Graphs of single prompts on SmolLM2-135M-Instruct (Q4_1): cost, sums, effects, and what sets of nodes hold.

    python benchmarks/graphs.py OUT [--facts 50] [--sets] [--write]

Works fact by fact and keeps what it has in OUT, so that it can be stopped and started again. `--write` puts the tables
into docs/results/graphs.md.

Facts are drawn from five bundled relations, those that the model ranks first. For each fact nodes are learned with up
to 16 counterfactuals and judged under six others that were not used; the quick graph of the same fact is proven as
well. `--sets` measures these sets alone.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

os.environ.setdefault("GOMP_SPINCOUNT", "10000")  # as the command does

import numpy as np
import torch
from scipy.stats import spearmanr

import wheatstone as ws
from wheatstone._intervals import SHARE, interval_text, mean_interval
from wheatstone.graphs import (
    GraphSettings,
    NodeAxis,
    Question,
    TaskNodes,
    counterfactual_baseline,
    graph,
    node_slopes,
    peak_bytes,
    single_effects,
)
from wheatstone.models import LINEAR
from wheatstone.tasks import PromptPair, counterfactuals_among, load_task

PAGE = Path(__file__).parent.parent / "docs/results/graphs.md"
RELATIONS = ("country_capital", "country_language", "country_currency", "country_largest_city", "landmark_country")
LEARNED_WITH, JUDGED_WITH, LEAST = 16, 6, 4
"""Counterfactuals of a fact to learn with, at most, and to judge by; and the fewest to learn with."""
NODES = 500
EFFECT_PROMPTS, EFFECT_NODES = 10, 500
UNITS = (25, 50, 75, 100, 150, 200, 300, 500, 1000)
"""Sizes of sets of a task."""
LONG = PromptPair(
    prompt="The travellers had talked about it for weeks, and in the end they all agreed that the capital of Italy is",
    counterfactual="The travellers had talked about it for weeks, and in the end they all agreed that the capital of "
    "Egypt is",
    answers=(" Rome",),
    distractors=(" Cairo",),
)
AN = PromptPair(
    prompt="I climbed up the pear tree and picked a pear. I climbed up the apple tree and picked",
    counterfactual="I climbed up the pear tree and picked a pear. I climbed up the lemon tree and picked",
    answers=(" an",),
    distractors=(" a",),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("out", type=Path, help="folder of what was measured")
    parser.add_argument("--facts", type=int, default=50)
    parser.add_argument("--sets", action="store_true", help="only what sets of nodes hold")
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    model = ws.load_model("smollm2-135m")
    facts = drawn(model, options.facts)
    sets: list[dict[str, Any]] = []
    for number, fact in enumerate(facts):
        sets.append(kept(options.out / f"set-{number}.json", lambda fact=fact: learned(model, fact)))
        print(f"{number + 1} of {len(facts)}: {sets[-1]['prompt']} {sets[-1]['learned']}", flush=True)
    if options.sets:
        print("\n\n".join(_sets(sets)))
        return
    cost = kept(options.out / "cost.json", lambda: measured_cost(model))
    an = kept(options.out / "an.json", lambda: an_neurons(model))
    effects = [
        kept(options.out / f"effects-{number}.json", lambda fact=fact: predicted(model, fact[0]))
        for number, fact in enumerate(facts[:EFFECT_PROMPTS])
    ]
    task = kept(options.out / "agreement.json", lambda: agreement(model))
    text = page(cost, an, effects, sets, task)
    print(text)
    if options.write:
        PAGE.write_text(text, encoding="utf-8")


def kept(path: Path, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What was measured before, or is now."""
    if not path.is_file():
        path.write_text(json.dumps(make(), ensure_ascii=False), encoding="utf-8")
    return json.loads(path.read_text(encoding="utf-8"))


def drawn(model: ws.ResidualModel, count: int) -> list[list[PromptPair]]:
    """Facts with their counterfactuals, the relations in turn."""
    by_relation: list[list[list[PromptPair]]] = []
    for name in RELATIONS:
        known = load_task(f"facts/{name}", model, seed=0, known=1, size=60).every
        every = load_task(f"facts/{name}", model, seed=0, known=None, size=None).every
        groups = [counterfactuals_among(model, pair.prompt, pair.answers, every) for pair in known]
        shuffled = [Random(number).sample(group, len(group)) for number, group in enumerate(groups)]
        by_relation.append(
            [group[: LEARNED_WITH + JUDGED_WITH] for group in shuffled if len(group) >= LEAST + JUDGED_WITH]
        )
    turns = max(map(len, by_relation))
    return [groups[turn] for turn in range(turns) for groups in by_relation if turn < len(groups)][:count]


def measured_cost(model: ws.ResidualModel) -> dict[str, Any]:
    """A quick graph of 20 tokens, 500 nodes, all edges."""
    started, used = time.perf_counter(), time.process_time()
    settings = GraphSettings(nodes=NODES, node_threshold=1.0, edge_threshold=1.0, exact=0)
    found = drawn_graph(model, LONG, settings)
    return {
        "tokens": len(found.question.tokens.ids[0]),
        "nodes": len(found.rows),
        "edges": len(found.edges),
        "seconds": time.perf_counter() - started,
        "processor_seconds": time.process_time() - used,
        "peak_bytes": peak_bytes(),
        "rounding": found.linear_residual,
    }


def drawn_graph(model: ws.ResidualModel, pair: PromptPair, settings: GraphSettings) -> Any:
    """The graph of one pair."""
    return graph(
        model,
        pair.prompt,
        pair.answers,
        counterfactual=pair.counterfactual,
        distractor=pair.distractors,
        settings=settings,
    )


def an_neurons(model: ws.ResidualModel) -> dict[str, Any]:
    """The neurons with the largest slopes and relevance of the a / an prompt."""
    question = Question.of(model, AN.prompt, AN.answers, AN.distractors, None)
    axis = NodeAxis.of(model, question.tokens.width)
    baseline = counterfactual_baseline(question, AN.counterfactual)
    found: dict[str, Any] = {}
    for name, scores in (
        ("slope", node_slopes(question, axis, baseline, steps=1, rules=None)),
        ("mask", node_slopes(question, axis, baseline)),
    ):
        order = scores.abs().argsort(descending=True).tolist()
        neurons = [place for place in order[:200] if axis.node(place).kind == "neuron"][:5]
        found[name] = [[str(axis.node(place)), float(scores[place])] for place in neurons]
    return found


def predicted(model: ws.ResidualModel, pair: PromptPair) -> dict[str, Any]:
    """Slopes against exact effects of single nodes: half the strongest, half random."""
    question = Question.of(model, pair.prompt, pair.answers, pair.distractors, None)
    axis = NodeAxis.of(model, question.tokens.width)
    baseline = counterfactual_baseline(question, pair.counterfactual)
    scores = {
        "gradient": node_slopes(question, axis, baseline, steps=1, rules=None),
        "linear rules": node_slopes(question, axis, baseline, steps=1, rules=LINEAR),
        "shared gate": node_slopes(question, axis, baseline),
    }
    strongest = scores["gradient"].abs().argsort(descending=True)[: EFFECT_NODES // 2].tolist()
    moved = scores["gradient"].nonzero()[:, 0]
    some = moved[torch.randperm(len(moved), generator=torch.Generator().manual_seed(0))[: EFFECT_NODES // 2]].tolist()
    nodes = sorted({*strongest, *some})
    effects = single_effects(question, axis, baseline, nodes)
    return {
        "prompt": pair.prompt,
        "nodes": [str(axis.node(place)) for place in nodes],
        "effects": effects.tolist(),
        **{name: row[nodes].tolist() for name, row in scores.items()},
    }


def learned(model: ws.ResidualModel, fact: Sequence[PromptPair]) -> dict[str, Any]:
    """A learned set of one fact under all its counterfactuals, and the quick graph."""
    first = fact[0]
    used = time.process_time()
    settings = GraphSettings(nodes=NODES, verify=True, exact=0)
    found = graph(
        model,
        first.prompt,
        first.answers,
        further=fact[:-JUDGED_WITH],
        held_out=fact[-JUDGED_WITH:],
        settings=settings,
    )
    seconds = time.process_time() - used
    quick = drawn_graph(model, first, GraphSettings(exact=0))
    return {
        "prompt": first.prompt,
        "learned": [[proof.nodes, proof.faithfulness, proof.keeps_top] for proof in found.proofs],
        "others": [[proof.nodes, proof.faithfulness, proof.keeps_top] for proof in found.held_out],
        "quick": [[proof.nodes, proof.faithfulness, proof.keeps_top] for proof in quick.proofs],
        "processor_seconds": seconds,
    }


def agreement(model: ws.ResidualModel) -> dict[str, Any]:
    """Heads and neurons of subject-verb agreement: the size chosen on validation prompts, judged on test prompts."""
    task = load_task("sv-agreement", model, seed=0, known=10, size=160)
    used = time.process_time()
    training = TaskNodes(model, task.split("train"))
    rankings = {"shared gate": training.slopes().mean(0).abs(), "learned": training.learn(target=150)}
    seconds = time.process_time() - used
    found: dict[str, Any] = {
        "seconds": seconds,
        "n": [len(task.split(part)) for part in ("train", "validation", "test")],
    }
    for name, ranking in rankings.items():
        order = ranking.argsort(descending=True)
        sets = torch.zeros(len(UNITS), len(order), dtype=torch.bool)
        for row, size in enumerate(UNITS):
            sets[row, order[:size]] = True
        for part in ("validation", "test"):
            proofs = TaskNodes(model, task.split(part)).prove(sets)
            found[f"{name}, {part}"] = [[proof.faithfulness, proof.completeness] for proof in proofs]
    return found


def page(
    cost: dict[str, Any],
    an: dict[str, Any],
    effects: Sequence[dict[str, Any]],
    sets: Sequence[dict[str, Any]],
    task: dict[str, Any],
) -> str:
    """The whole page."""
    parts = [
        "# Graphs of single prompts on SmolLM2-135M-Instruct (Q4_1)",
        "Made by `python benchmarks/graphs.py OUT --write`, float32, CPU. The [guide](../guides/graph.md) says what is "
        "drawn, and when it misleads.",
        "## Cost",
        f"A prompt of {cost['tokens']} tokens, {cost['nodes']:,} nodes and {cost['edges']:,} edges: "
        f"{cost['seconds']:.1f} s ({cost['processor_seconds']:.1f} s of processor time), with at most "
        f"{cost['peak_bytes'] / 1e9:.1f} GB in all. What nodes do and what the linear rules make of the stream that "
        f"they read differ by at most {cost['rounding']:.0e} of it.",
        "## What one node does",
        f"Exact effects of ablating single nodes to the counterfactual, and three estimates of them. "
        f"{len(effects)} facts, {EFFECT_NODES} nodes each, half of them the strongest by the gradient and half drawn "
        "from all others. Spearman's correlation, the median over facts and in brackets the lowest.",
        *_effects(effects),
        "## The \u201c an\u201d prompt",
        f"`{AN.prompt}`, against the same with `lemon`. The first five neurons by the gradient: "
        + ", ".join(f"`{name}` ({value:+.2f})" for name, value in an["slope"])
        + "; by the shared gate, which ranks sets: "
        + ", ".join(f"`{name}` ({value:+.2f})" for name, value in an["mask"])
        + ".",
        "## What sets of nodes hold",
        *_sets(sets),
        "## A task: subject-verb agreement",
        *_agreement(task),
    ]
    return "\n\n".join(parts) + "\n"


def _agreement(task: dict[str, Any]) -> list[str]:
    training, validation, test = task["n"]
    enough = [size for size, (kept, _) in zip(UNITS, task["learned, validation"], strict=True) if 0.9 <= kept <= 1.1]
    chosen = UNITS.index(min(enough)) if enough else None
    said = "no size is within .9 to 1.1 on validation prompts"
    if chosen is not None:
        kept, lost = task["learned, test"][chosen]
        said = (
            f"the smallest size within .9 to 1.1 on validation prompts is {UNITS[chosen]}: on test prompts it keeps "
            f"{kept:.2f}, and without it {lost:.2f} is lost"
        )
    rows = [
        f"| {name} | " + " | ".join(f"{kept:.2f}" for kept, _ in task[name]) + " |"
        for name in ("shared gate, validation", "shared gate, test", "learned, validation", "learned, test")
    ]
    return [
        f"`sv-agreement`, heads and neurons at all positions together, ablated to the counterfactual: {training} "
        f"prompts to learn on, {validation} and {test} others ({task['seconds']:.0f} s of processor time). Of the "
        f"learned ranking {said}. Faithfulness of the logit difference by size:",
        "\n".join(
            [
                f"| ranking, prompts | {' | '.join(map(str, UNITS))} |",
                f"|---|{'---|' * len(UNITS)}",
                *rows,
            ]
        ),
    ]


def _effects(effects: Sequence[dict[str, Any]]) -> list[str]:
    kinds = ("all", "heads", "neurons", "neurons of the first third", "of the second", "of the last")
    rows: list[str] = []
    layers = 30
    for kind in kinds:
        cells = [kind]
        for name in ("gradient", "linear rules", "shared gate"):
            found: list[float] = []
            for fact in effects:
                chosen = [n for n, node in enumerate(fact["nodes"]) if _is(kind, node, layers)]
                if len(chosen) > 9:
                    scores, exact = (np.array(fact[one])[chosen] for one in (name, "effects"))
                    found.append(float(np.asarray(spearmanr(scores, exact))[0]))
            cells.append(f"{np.median(found):.3f} [{min(found):.3f}]" if found else "\u2013")
        rows.append(f"| {' | '.join(cells)} |")
    head = "| nodes | gradient × difference | with linear rules | shared gate, five steps |\n|---|---|---|---|"
    return ["\n".join([head, *rows])]


def _is(kind: str, name: str, layers: int) -> bool:
    layer = int(name[1:].split(".")[0])
    if kind == "all":
        return True
    if kind == "heads":
        return name[0] == "a"
    if kind == "neurons":
        return name[0] == "m"
    part = {"neurons of the first third": 0, "of the second": 1, "of the last": 2}[kind]
    return name[0] == "m" and layer * 3 // layers == part


def _sets(sets: Sequence[dict[str, Any]]) -> list[str]:
    """Shares of facts whose sets are enough, and the table of all."""

    def enough(proof: Sequence[Any]) -> bool:
        return bool(proof[2]) and 0.9 <= proof[1] <= 1.1

    one = [enough(fact["learned"][0]) for fact in sets]
    every = [all(map(enough, fact["learned"])) for fact in sets]
    others = [proof[1] for fact in sets for proof in fact["others"]]
    tops = [bool(proof[2]) for fact in sets for proof in fact["others"]]
    quick = [fact["quick"][0] for fact in sets]
    sizes = [fact["learned"][0][0] for fact in sets]
    seconds = [fact["processor_seconds"] for fact in sets]

    def share(values: Sequence[bool]) -> str:
        between = interval_text(mean_interval(np.array(values, dtype=float), bounds=SHARE))
        return f"{sum(values)} of {len(values)} ([{between}])"

    def shown(proof: Sequence[Any]) -> str:
        return f"{proof[1]:.2f}{'' if proof[2] else '*'}"

    rows = [
        f"| {fact['prompt']} | {fact['learned'][0][0]} | {shown(fact['learned'][0])} | "
        f"{np.median([proof[1] for proof in fact['learned']]):.2f} | {', '.join(map(shown, fact['others']))} | "
        f"{fact['quick'][0][0]} | {shown(fact['quick'][0])} |"
        for fact in sets
    ]
    return [
        f"{len(sets)} facts of {len(RELATIONS)} relations that the model ranks first. Enough: alone the nodes have the "
        f"model's first choice and a faithfulness of .9 to 1.1. Learned with up to {LEARNED_WITH} counterfactuals "
        f"(`--verify` with `--nodes {NODES}`): the sets of {share(one)} facts are enough under the first "
        f"counterfactual, of {share(every)} under all of them; the median set has {np.median(sizes):.0f} nodes. Under "
        f"six counterfactuals "
        f"that were not used, the median faithfulness is {np.median(others):.2f} (quartiles "
        f"{np.quantile(others, 0.25):.2f} and {np.quantile(others, 0.75):.2f}), and {share(tops)} keep the first "
        f"choice. Learning takes {np.median(seconds):.0f} s of processor time a fact (median).",
        f"The quick graph of the same facts (500 nodes looked at, circuit-tracer's thresholds) keeps "
        f"{np.median([proof[1] for proof in quick]):.2f} with {np.median([proof[0] for proof in quick]):.0f} nodes "
        f"(medians); {share([enough(proof) for proof in quick])} are enough. It shows what is influential.",
        "\n".join(
            [
                "| prompt | nodes | faithfulness: the first | all, median | six others | quick: nodes | faithfulness |",
                "|---|---|---|---|---|---|---|",
                *rows,
            ]
        ),
        "With * the first choice is not the model's.",
    ]


if __name__ == "__main__":
    main()
