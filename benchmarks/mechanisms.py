"""What SmolLM2's circuits do, part by part: competition, IOI, greater-than, hallucination, context, hops.

    python benchmarks/mechanisms.py [--parts competition ladder ioi years …] [--write]

Prints each part's tables. `--write` keeps them in docs/results/mechanisms.json, so that parts can be made one at a
time, writes docs/results/mechanisms.md from all that are kept, and pictures into docs/images. Each part takes one to
five minutes of one core.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("GOMP_SPINCOUNT", "10000")  # as the command does

import torch
from mechanism.circuits import competition, hops, ladder
from mechanism.facts import context, wrong
from mechanism.tables import Part
from mechanism.tasks import ioi, years

import wheatstone as ws

DOCS = Path(__file__).parents[1] / "docs"
KEPT, PAGE, IMAGES = DOCS / "results/mechanisms.json", DOCS / "results/mechanisms.md", DOCS / "images"


PARTS: dict[str, Callable[[ws.ResidualModel], Part]] = {
    "competition": competition,
    "ladder": ladder,
    "ioi": ioi,
    "years": years,
    "wrong": wrong,
    "context": context,
    "hops": hops,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), help="which parts")
    parser.add_argument("--write", action="store_true", help="keep the parts and write docs/results/mechanisms.md")
    options = parser.parse_args()
    model = ws.load_model("smollm2-135m")
    for part in options.parts:
        started, load = time.perf_counter(), os.getloadavg()[0]
        lines, pictures = PARTS[part](model)
        seconds = time.perf_counter() - started
        made = (
            f"_{part}: {seconds:.0f} s, {torch.get_num_threads()} threads of {os.cpu_count()} cores "
            f"({platform.machine()}), load {load:.1f} when it began._"
        )
        print("\n".join([*lines, made, ""]), flush=True)
        if options.write:
            for name, chart in pictures.items():
                chart.save(IMAGES / f"mechanisms-{name}.png", scale_factor=1.5)
            kept = json.loads(KEPT.read_text(encoding="utf-8")) if KEPT.exists() else {}
            kept[part] = [*lines, made, ""]
            KEPT.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
            PAGE.write_text(page(kept), encoding="utf-8")


def page(kept: dict[str, list[str]]) -> str:
    head = [
        "# What circuits do, measured on SmolLM2-135M-Instruct (Q4_1)",
        "",
        "Made by `python benchmarks/mechanisms.py --write`; float32, counterfactual ablation. "
        "[What it comes to](mechanisms-in-words.md) says in words what these tables show and what they do not.",
        "",
    ]
    return "\n".join(head + [line for part in PARTS if part in kept for line in kept[part]])


if __name__ == "__main__":
    main()
