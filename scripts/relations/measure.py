"""Counts the facts a model knows and writes docs/relations.md: measure.py [--most N] [NAME ...].

With --most, N facts spread evenly over a relation stand for all of it; the page says how many were asked.

A fact is known at k when one of its answers' first tokens is among the k most probable next tokens (ties count
against it). Relations that are not named keep the numbers they have on the page.
"""

from __future__ import annotations

import argparse
import json
import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch

import wheatstone as ws
from wheatstone.models import ResidualModel, Tokens

PAGE = Path(__file__).resolve().parents[2] / "docs/relations.md"
MODEL = "smollm2-135m"
BATCH = 32
INTRODUCTION = Path(__file__).with_name("page.md").read_text(encoding="utf-8")


def main() -> None:
    """Measures the named relations, or all, and writes the page."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--most", type=int, default=10**6, metavar="FACTS")
    parser.add_argument("names", nargs="*")
    request = parser.parse_args()
    relations = [
        json.loads(file.read_text("utf-8"))
        for file in sorted(files("wheatstone.tasks").joinpath("data/relations").iterdir(), key=lambda file: file.name)
        if file.name.endswith(".json")
    ]
    measured = _rows(PAGE.read_text("utf-8")) if PAGE.exists() else {}
    model = ws.load_model(MODEL)
    for relation in relations:
        if not request.names or relation["name"] in request.names:
            measured[relation["name"]] = _measure(model, relation, request.most)
            print(measured[relation["name"]], flush=True)
            # Written as it goes: what is measured stays measured.
            PAGE.write_text(_page(relations, measured), encoding="utf-8")
    PAGE.write_text(_page(relations, measured), encoding="utf-8")


def _measure(model: ResidualModel, relation: dict[str, Any], most: int) -> str:
    facts = relation["facts"][:: -(-len(relation["facts"]) // most)]
    cells = [
        _counts(model, [(t.format(subject=f["subject"]), f["answers"]) for f in facts]) for t in relation["templates"]
    ]
    back = [
        _counts(model, [(t.format(object=f["answers"][0]), [f["subject"]]) for f in facts])
        for t in relation.get("reverse_templates", ())
    ]
    return (
        f"| {relation['name']} | {len(relation['facts'])} | {len(facts)} | {' · '.join(cells)} | {' · '.join(back)} |"
    )


def _counts(model: ResidualModel, prompts: list[tuple[str, list[str]]]) -> str:
    encoded = [
        (model.encode(prompt), {model.continuation(f" {answer}")[0] for answer in answers})
        for prompt, answers in prompts
    ]
    encoded.sort(key=lambda pair: len(pair[0]))
    ranks: list[int] = []
    for start in range(0, len(encoded), BATCH):
        batch = encoded[start : start + BATCH]
        with torch.no_grad():
            logits = model.forward(Tokens.of([tokens for tokens, _ in batch])).logits
        ranks += [
            int((row >= max(row[token] for token in answers)).sum())
            for row, (_, answers) in zip(logits, batch, strict=True)
        ]
    return " / ".join(str(sum(rank <= k for rank in ranks)) for k in (1, 10))


def _rows(page: str) -> dict[str, str]:
    """The measured rows of a page, by relation."""
    return {name: row for row, name in re.findall(r"^(\| (\w+) \| \d+ \| \d+ \| \d+ / .*)$", page, re.MULTILINE)}


def _page(relations: list[dict[str, Any]], measured: dict[str, str]) -> str:
    facts = sum(len(relation["facts"]) for relation in relations)
    lines = [
        INTRODUCTION.format(relations=len(relations), facts=f"{facts:,}", model=MODEL),
        "| relation | facts | asked | known: rank 1 / rank ≤ 10, by template | reversed |",
        "|---|---|---|---|---|",
        *(measured[relation["name"]] for relation in relations if relation["name"] in measured),
        "",
        "## What each holds, and where it comes from",
        "",
        "| relation | kind | what | checked | sources (licence) |",
        "|---|---|---|---|---|",
        *(
            f"| {relation['name']} | {relation['kind']} | {relation['description']} | {relation['checked']} | "
            + "; ".join(f"{s['name']} {s['version']} ({s['licence']}; {s['url']})" for s in relation["sources"])
            + " |"
            for relation in relations
        ),
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
