"""Why heads look where they look, on SmolLM2-135M-Instruct (Q4_1): exactness, cost, and removals as predicted.

    python benchmarks/attention.py [--count 300] [--write]

Draws prompts of 20 tokens out of the bundled texts, and for each a head and a query position. For the key of the
highest weight: how far the pairs are from adding up to the score, how long the split takes, and how well the softmax
formula predicts what the model's own attention code gives without the three strongest pairs. Then, on the trained
induction model of benchmarks/induction.py, whether the split names the previous-token head; and the two stories of
attention_stories.py. `--write` puts the tables into docs/results/attention.md.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

os.environ.setdefault("GOMP_SPINCOUNT", "10000")  # as the command does

import numpy as np
import torch
from attention_stories import name_movers, subjects
from head_pages import TITLE
from induction import train_induction

import wheatstone as ws
from wheatstone.lenses import AttentionScore, Removal
from wheatstone.texts import bundled_texts

TOKENS = 20
"""Of a prompt."""
PAIRS = 3
"""That are removed together."""
REPEATS = 60
"""Prompts of the induction model."""
INDUCTION = f"""## The induction head's key

Two attention-only layers, trained until they continue repeated sequences (`benchmarks/induction.py`); n = {REPEATS}
prompts. The induction head looks for the token after the earlier copy of the present one. No head is named to the
split."""


def drawn(model: ws.ResidualModel, count: int, seed: int = 0) -> list[tuple[str, str, int]]:
    """Random prompts, heads and query positions; a first token sees itself alone and is left out."""
    draw = torch.Generator().manual_seed(seed)
    texts = [document.text for document in bundled_texts()]

    def below(limit: int) -> int:
        return int(torch.randint(limit, (), generator=draw))

    found: list[tuple[str, str, int]] = []
    while len(found) < count:
        text = texts[below(len(texts))]
        start = below(len(text))
        prompt = model.written(model.encode(text[start : start + 20 * TOKENS])[:TOKENS])
        length = len(model.encode(prompt))  # a cut inside a character may be tokenised in another way
        if length == TOKENS:
            head = f"a{below(model.graph.layers)}.h{below(model.graph.heads)}"
            found.append((prompt, head, 1 + below(length - 1)))
    return found


def split(model: ws.ResidualModel, prompt: str, head: str, query: int) -> tuple[AttentionScore, float]:
    """A score with everything that is read off it, and the seconds that a core worked for it."""
    begun = time.process_time()
    score = ws.attention_scores(model, prompt, head=head, query=query)
    for pairs in (score.pairs, score.against()):
        pairs.top()
    assert score.moved
    return score, time.process_time() - begun


def table(gaps: list[float], seconds: list[float], removed: list[Removal]) -> str:
    """The figures, with the issue's goals."""
    predicted, exact, before = (
        np.array([getattr(row, name) for row in removed]) for name in ("predicted", "exact", "weight")
    )
    of_weights = np.corrcoef(predicted, exact)[0, 1]
    of_changes = np.corrcoef(predicted - before, exact - before)[0, 1]
    return "\n".join(
        [
            "| figure | measured | goal |",
            "|---|---|---|",
            f"| largest gap between the sum of pairs and the score, logits | {max(gaps):.1g} | 1e-4 |",
            f"| core-seconds per head and query: median, slowest | {np.median(seconds):.2f}, {max(seconds):.2f} | 1 |",
            f"| r of predicted and exact attention without the three strongest pairs | {of_weights:.4f} | 0.9 |",
            f"| r of predicted and exact change of attention | {of_changes:.4f} | |",
            f"| largest gap between predicted and exact attention | {np.abs(predicted - exact).max():.1g} | |",
            f"| median change of attention | {np.median(np.abs(exact - before)):.2f} | |",
        ]
    )


def induction_table(count: int) -> str:
    """How often the strongest pair of an induction head has the previous-token head on the key's side."""
    trained = train_induction()
    previous, inducing = trained.roles()
    scores = [
        ws.attention_scores(trained.model, pair.prompt, head=head) for pair in trained.pairs(count) for head in inducing
    ]
    sums = {
        "the score": [score.pairs for score in scores],
        "the score less the mean of all other keys'": [score.against() for score in scores],
        "the score less the runner-up's": [score.difference for score in scores],
    }
    lines = [
        "| strongest pair of | previous-token head on the key's side | with the present token on the query's |",
        "|---|---|---|",
    ]
    for name, sums_of in sums.items():
        first = [pairs.top(1)[0] for pairs in sums_of if pairs is not None]
        of_key = [term for term in first if term.key_sender in previous]
        of_both = [term for term in of_key if term.query_sender == "input"]
        lines.append(f"| {name} | {len(of_key)} of {len(first)} | {len(of_both)} of {len(first)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=300, help="random (prompt, head, query)")
    parser.add_argument("--write", action="store_true", help="write docs/results/attention.md")
    options = parser.parse_args()
    model = ws.load_model("smollm2-135m")
    split(model, "The official language of France is", "a23.h4", -1)  # the first run loads what the others have
    gaps, seconds, removed = list[float](), list[float](), list[Removal]()
    for prompt, head, query in drawn(model, options.count):
        score, took = split(model, prompt, head, query)
        gaps.append(abs(score.pairs.total - score.score))
        seconds.append(took)
        removed.append(score.confirm(PAIRS, alone=False)[-1])
    lines = table(gaps, seconds, removed)
    induction = induction_table(REPEATS)
    stories = f"{name_movers(model)}\n\n{subjects(model)}"
    print(lines, induction, stories, sep="\n\n")
    if options.write:
        head = (
            "# Attention scores of SmolLM2-135M-Instruct (Q4_1)\n\n"
            f"Made by `python benchmarks/attention.py --write`; threads: {torch.get_num_threads()}, float32. "
            f"n = {options.count} random prompts of {TOKENS} tokens out of the bundled texts, with a random head and "
            "query position each; the key is the one of the highest weight. Core-seconds are of the split, its "
            "strongest pairs, their contrast with the other keys, and what the head moves. An exact run subtracts the "
            "pairs from that one score and runs the model's own attention code; that it agrees with the softmax "
            "formula says that the pairs are the score, and nothing about what else their senders do.\n\n"
        )
        out = Path(__file__).parent.parent / "docs" / "results" / "attention.md"
        _, title, pages = out.read_text(encoding="utf-8").partition(f"\n{TITLE}")  # of head_pages.py
        out.write_text(f"{head}{lines}\n\n{INDUCTION}\n\n{induction}\n\n{stories}\n{title}{pages}", encoding="utf-8")


if __name__ == "__main__":
    main()
