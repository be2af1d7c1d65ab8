"""Which parts of learning a ranking help on facts it was not learned on: each switched off in turn.

    python benchmarks/generalise.py [RELATION …] [--variants …]     # measures what is missing, a row at a time
    python benchmarks/generalise.py --write                         # docs/results/generalise.md of all rows so far

Only development relations: methods and settings are chosen here, so the test facts of other relations stay unseen. Gain
kept is (circuit − empty) / (model − empty) of Hit@10, each fact against up to four counterfactuals. Rows are kept in
docs/results/generalise.jsonl. A row takes some two minutes of one core.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import torch

from wheatstone import Experiment, ResidualModel, load_model, load_task
from wheatstone.circuits import SHARES, kept_over, sizes_of
from wheatstone.discovery import EdgeScores, attribute, learn_mask, learn_ranking
from wheatstone.tasks import PromptPair, other_wordings, several_counterfactuals

DEVELOPMENT = (
    "verb_past_tense",
    "antonym",
    "person_occupation",
    "city_country",
    "us_state_capital",
    "adjective_comparative",
)
VARIANTS = {
    "learned": "a ranking learned with four counterfactuals a fact and all templates",
    "one counterfactual": "the same with one fixed counterfactual a fact",
    "one template": "the same with the first template alone",
    "half the steps": "60 steps instead of 120",
    "gim start": "begun with the scores of `gim` instead of EAP-IG's",
    "no start": "begun without scores: all edges alike",
    "edge-pruning": "the mask of before: 40 steps of 5 facts, hard concrete gates, one size, one counterfactual",
    "eap-ig": "the scores that learning begins with",
}
MOST, COUNTERFACTUALS = 40, 4
RESULTS = Path(__file__).parent.parent / "docs" / "results"
ROWS = RESULTS / "generalise.jsonl"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("relations", nargs="*", help="all development relations by default")
    parser.add_argument("--variants", nargs="+", choices=tuple(VARIANTS), default=tuple(VARIANTS))
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", action="store_true", help="write the page and stop")
    options = parser.parse_args()
    if wrong := set(options.relations) - set(DEVELOPMENT):
        parser.error(f"expected development relations out of {', '.join(DEVELOPMENT)}; got {', '.join(sorted(wrong))}")
    if options.write:
        (RESULTS / "generalise.md").write_text(page(rows_so_far()), encoding="utf-8")
        return
    torch.set_num_threads(1)
    done = {(row["relation"], row["variant"], row["seed"]) for row in rows_so_far()}
    model = load_model(options.model)
    for relation in options.relations or DEVELOPMENT:
        for variant in options.variants:
            if (relation, variant, options.seed) not in done:
                row = measured(model, relation, variant, options.seed)
                print(json.dumps(row), flush=True)
                with ROWS.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(row) + "\n")


def rows_so_far() -> list[dict[str, Any]]:
    return [json.loads(line) for line in ROWS.read_text(encoding="utf-8").split("\n") if line] if ROWS.exists() else []


def measured(model: ResidualModel, relation: str, variant: str, seed: int) -> dict[str, Any]:
    """One variant on one relation: the gain kept by size, on training and test facts."""
    task = load_task(f"facts/{relation}", model, seed=seed, size=None, strict=False)
    train = task.train[:MOST]
    wordings, _ = other_wordings(f"facts/{relation}", task, model, most=MOST, seed=seed)
    experiment = Experiment(model, train)
    begun = time.process_time()
    scores = attribute(experiment, method="gim" if variant == "gim start" else "eap-ig")
    order = ranked(experiment, wordings, scores, variant, seed)
    seconds = time.process_time() - begun
    masks = order.top(sizes_of(model.graph))
    found: dict[str, Any] = {}
    templates = [task, *(load_task(f"facts/{relation}", model, seed=seed, size=None, template=number, strict=False)
                         for number in range(1, len(task.about.templates)))]  # fmt: skip
    splits = {"train": train} | {f"test {number}": one.test[:MOST] for number, one in enumerate(templates)}
    for name, pairs in splits.items():
        several = several_counterfactuals(model, pairs, most=COUNTERFACTUALS, seed=seed)
        kept = kept_over(experiment.over(several), masks)
        found[name] = {"n": len(pairs), "gain_kept": [kept.gain_kept(place) for place in range(len(SHARES))]}
    return {"relation": relation, "variant": variant, "seed": seed, "seconds": round(seconds, 1), "splits": found}


def ranked(
    experiment: Experiment, wordings: Sequence[PromptPair], scores: EdgeScores, variant: str, seed: int
) -> EdgeScores:
    """The variant's ranking."""
    if variant == "eap-ig":
        return scores
    graph, model, pairs = experiment.graph, experiment.model, experiment.encoded.pairs
    target = int(0.01 * graph.edges)
    if variant == "edge-pruning":
        learned = learn_mask(
            experiment, edges=target, steps=40, learning_rate=0.5, loss="hit", batch=5, scores=scores.values, seed=seed
        )
    else:
        most = 1 if variant == "one counterfactual" else COUNTERFACTUALS
        learned = learn_ranking(
            model,
            several_counterfactuals(
                model, pairs if variant == "one template" else (*pairs, *wordings), most=most, seed=seed
            ),
            scores=torch.ones_like(scores.values) if variant == "no start" else scores.values,
            edges=target,
            steps=60 if variant == "half the steps" else 120,
            seed=seed,
        )
    return EdgeScores(graph, learned.ranking().to(scores.values.dtype), variant, len(learned.steps))


def page(rows: Sequence[dict[str, Any]]) -> str:
    """The tables."""
    head = "| variant | " + " | ".join(f"{share:.2%}".replace(".00%", "%") for share in SHARES) + " |"
    parts = [
        "# Circuits on facts they were not found on: what helps",
        "Made by `python benchmarks/generalise.py` and `--write`, on SmolLM2-135M-Instruct (Q4_1) and development "
        f"relations, one thread ({platform.machine()}, {os.cpu_count()} cores). Share of the model's gain in Hit@10 "
        "over the empty circuit that circuits of each size keep, each fact against up to four counterfactuals. One "
        "seed a row: another seed differs by up to .13 at 1%, and with some 35 facts the standard error is about .08.",
        "\n".join(f"* **{name}**: {words}." for name, words in VARIANTS.items()),
    ]
    for relation in dict.fromkeys(row["relation"] for row in rows):
        mine = sorted(
            (row for row in rows if row["relation"] == relation), key=lambda row: list(VARIANTS).index(row["variant"])
        )
        n = mine[0]["splits"]
        lines = [head, "|---|" + "---|" * len(SHARES)]
        lines += [f"| {row['variant']}: test | {_cells(row['splits']['test 0'])} |" for row in mine]
        lines += [f"| {row['variant']}: training | {_cells(row['splits']['train'])} |" for row in mine]
        others = [row for row in mine if row["variant"] in ("learned", "one template", "eap-ig")]
        lines += [
            f"| {row['variant']}: test, template {name[5:]} | {_cells(of)} |"
            for row in others
            for name, of in row["splits"].items()
            if name.startswith("test ") and name != "test 0"
        ]
        seconds = ", ".join(f"{row['variant']} {row['seconds']:.0f}" for row in mine)
        parts += [
            f"## {relation}",
            f"{n['train']['n']} training and {n['test 0']['n']} test facts. Processor seconds: {seconds}.",
            "\n".join(lines),
        ]
    at = SHARES.index(0.01)
    whole = {row["relation"] for row in rows}
    means = [
        f"| {name} | {fmean(row['splits']['test 0']['gain_kept'][at] for row in mine):.2f} | {len(mine)} |"
        for name in VARIANTS
        if (mine := [row for row in rows if row["variant"] == name])
    ]
    parts += [
        "## All together, at 1% of the edges",
        "\n".join(["| variant | mean gain kept on test facts | relations |", "|---|---|---|", *means]),
        f"Relations measured: {', '.join(sorted(whole))}. The other bundled relations' test facts were not looked at.",
    ]
    return "\n\n".join(parts) + "\n"


def _cells(of: dict[str, Any]) -> str:
    return " | ".join("–" if value is None else f"{value:.2f}" for value in of["gain_kept"])


if __name__ == "__main__":
    main()
