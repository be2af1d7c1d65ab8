"""The compressor measured, and bits as a measure, on SmolLM2-135M-Instruct (Q4_1) and on small models made here.

    python benchmarks/compression.py [--parts coded,…] [--text books] [--size 102400] [--windows 10] [--write]

Rows lie in docs/results/compression.jsonl as they come; a part whose rows are there is not run again, so that a run
that was stopped goes on. `--write` puts the tables into docs/results/compression.md and the picture into docs/images,
without running anything where `--parts none` is given. `--parts coded --size 1000000` takes some half an hour of one
idle core for each `--text`, `models` five minutes a form, `random-smollm2` (not run by default) hours for 1,000 files;
everything else minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("GOMP_SPINCOUNT", "10000")  # as the command does

import torch
from compression_measure import sequences, training
from compression_mixers import mixers
from compression_models import induction, models
from compression_parts import coded, contexts, kinds, throughput
from compression_round_trips import commands, random_files, texts
from compression_speed import general, rounding, speed, steps
from compression_tables import tables

import wheatstone as ws

Row = dict[str, Any]
RESULTS = Path(__file__).parents[1] / "docs/results/compression.jsonl"
TINY = Path(__file__).parents[1] / "tests"


def tiny() -> ws.ResidualModel:
    """The tests' random llama of 40 words, for what asks nothing of a model but to be one."""
    sys.path.insert(0, str(TINY))
    from tiny import make_tiny  # pyright: ignore[reportMissingImports,reportUnknownVariableType]

    return make_tiny("llama", torch.float32)  # pyright: ignore[reportUnknownVariableType]


def rows(part: str | None = None) -> list[Row]:
    """What is there, of one part or of all."""
    lines = RESULTS.read_text(encoding="utf-8").splitlines() if RESULTS.exists() else []
    found = [json.loads(line) for line in lines]
    return [row for row in found if part in (None, row["part"])]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "--parts",
        default="sequences,throughput,training,random,texts,commands,speed,steps,rounding,general,kinds,mixers,contexts,induction,models,coded",
        help="which to run",
    )
    parser.add_argument("--text", choices=("books", "docs"), default="books", help="what is coded")
    parser.add_argument("--size", type=int, default=102_400, help="its first bytes")
    parser.add_argument("--windows", type=int, default=10, help="windows drawn from each kind of text")
    parser.add_argument("--files", type=int, default=1000, help="random files")
    parser.add_argument("--write", action="store_true", help="write docs/results/compression.md and its picture")
    options = parser.parse_args()
    torch.set_num_threads(1)

    def done(part: str) -> set[str]:
        return {row["key"] for row in rows(part)}

    model = ws.load_model("smollm2-135m")
    parts: dict[str, tuple[str, Callable[[], Iterator[Row]]]] = {
        "sequences": ("smollm2-135m/", lambda: sequences(model)),
        "throughput": ("16/", lambda: throughput(model, 16, 8)),
        "training": ("0/", lambda: training(0)),
        "random": ("tiny-llama/", lambda: random_files(tiny(), options.files, set())),
        "random-smollm2": ("", lambda: random_files(model, options.files, done("random"))),
        "speed": ("", lambda: speed(done("speed"))),
        "steps": ("", lambda: steps(model, done("steps"))),
        "rounding": ("", lambda: rounding(model, done("rounding"))),
        "general": ("", lambda: general(done("general"))),
        "texts": ("tiny-llama/", lambda: texts(tiny(), model)),
        "mixers": ("", lambda: mixers(model, done("mixers"))),
        "contexts": ("", lambda: contexts(model, options.text, done("contexts"))),
        "commands": ("", lambda: commands("smollm2-135m", 5, done("commands"))),
        "kinds": ("", lambda: kinds(model, options.windows, done("kinds"))),
        "models": ("", lambda: models(model, done("models"))),
        "induction": ("smollm2-135m/", lambda: induction(model)),
        "coded": ("", lambda: coded(model, options.text, options.size, done("coded"))),
    }
    for part in options.parts.split(","):
        if part not in parts:
            continue
        start, run = parts[part]
        if start and any(key.startswith(start) for key in done(part)):  # the others leave out what is there themselves
            continue
        for row in run():
            with RESULTS.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"part": part.removesuffix("-smollm2"), **row}, ensure_ascii=False) + "\n")
            print(part, row["key"], flush=True)
    if options.write:
        tables(rows(), RESULTS.parents[1])


if __name__ == "__main__":
    main()
