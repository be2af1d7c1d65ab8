"""The circuit track of MIB, a benchmark of circuit discovery: submissions, and their scores before submitting.

    python benchmarks/mib.py submission --model M --task FILE --method eap-ig --out FOLDER [--tensors]
    python benchmarks/mib.py evaluate FOLDER --model M --task FILE [--split test] [--write]
    python benchmarks/mib.py auroc [--write]
    python benchmarks/mib.py check --mib CHECKOUT --eap-ig CHECKOUT [--cache DIR] [--write]

`submission` writes a score for every edge of MIB's graph, in which every head has a key and a value of its own;
MIB wants a folder for each task and model, such as `ioi_gpt2`. `evaluate` computes CPR and CMD of such a file, or of
nine circuits, as MIB's evaluation does. FILE has rows of MIB's data sets (JSON Lines or Parquet) or is any task of
Wheatstone; prompts begin with the start token. `auroc` does what MIB does on InterpBench on this repository's compiled
programs. `check` runs MIB's own code on tiny models, in the environment of `peers.py --setup`, and gives the largest
differences. `--write` adds the result to docs/results/mib.jsonl and writes docs/results/mib.md.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("GOMP_SPINCOUNT", "10000")  # as the command does

import torch
from mib_parts import tables
from mib_parts.choose import ungrouped
from mib_parts.files import read_circuits, read_scores, write_scores
from mib_parts.measure import Curve, counted, curves, faithfulness, scores
from mib_parts.prompts import prompts_of

from wheatstone import PromptPair, load_model
from wheatstone._home import home
from wheatstone.discovery import METHODS
from wheatstone.models import ResidualModel

Row = dict[str, Any]


def _subject(options: argparse.Namespace) -> tuple[ResidualModel, list[PromptPair]]:
    model = ungrouped(load_model(options.model, device=options.device, dtype=options.dtype))
    pairs = prompts_of(options.task, model, split=options.split, most=options.head)
    print(f"{model.id}: {model.graph.edges:,} edges, {len(pairs)} prompts", flush=True)
    return model, pairs


def submission(options: argparse.Namespace) -> list[Row]:
    """Scores of all edges, as a file of a submission."""
    model, pairs = _subject(options)
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / ("importances.pt" if options.tensors else "importances.json")
    write_scores(path, model, scores(model, pairs, options.method, steps=options.steps))
    print(f"wrote {path}")
    return []


def evaluate(options: argparse.Namespace) -> list[Row]:
    """CPR and CMD of a submission."""
    model, pairs = _subject(options)
    files = sorted(options.file.iterdir()) if options.file.is_dir() else [options.file]
    if len(files) == 1:
        found = curves(model, pairs, read_scores(files[0], model))
    else:
        masks = read_circuits(options.file, model)
        values = (*faithfulness(model, pairs, masks), 1.0)  # MIB adds the whole model so
        curve = Curve((*(counted(model.graph, mask) for mask in masks), model.graph.edges), values)
        found = {"score": curve, "size": curve}
    row: Row = {"model": model.id, "task": options.task, "split": options.split, "prompts": len(pairs)}
    row |= {"file": options.label or options.file.name, "edges": model.graph.edges}
    return [row | {"curves": {name: vars(curve) for name, curve in found.items()}}]


def auroc(_options: argparse.Namespace) -> list[Row]:
    """AUROC on compiled programs."""
    from mib_parts.known import of_programs

    return of_programs()


def check(options: argparse.Namespace) -> list[Row]:
    """Differences from MIB's own code."""
    from mib_parts.check import compare

    return compare(options.cache.absolute(), options.mib.absolute(), options.eap_ig.absolute(), options.reference)


WORK: dict[str, Callable[[argparse.Namespace], list[Row]]] = {
    "submission": submission,
    "evaluate": evaluate,
    "auroc": auroc,
    "check": check,
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="what", required=True)
    made = {name: verbs.add_parser(name, help=work.__doc__) for name, work in WORK.items()}
    made["evaluate"].add_argument("file", type=Path, help="a file of scores, or a folder of a submission")
    for name in ("submission", "evaluate"):
        verb = made[name]
        verb.add_argument("--model", required=True, help="as `wheatstone` takes it")
        verb.add_argument("--task", required=True, help="rows of MIB's data sets, or a task")
        split = "test" if name == "evaluate" else "train"
        verb.add_argument("--split", default=split, choices=("train", "validation", "test"), help="of a task")
        verb.add_argument("--head", type=int, help="only the first N prompts")
        verb.add_argument("--device", default="cpu")
        verb.add_argument("--dtype", default="float32", help="MIB has bfloat16 for all models but GPT-2")
    made["evaluate"].add_argument("--label", help="what the page calls the submission; the file's name by default")
    made["submission"].add_argument("--method", default="eap-ig", choices=tuple(METHODS))
    made["submission"].add_argument("--steps", type=int, help="of the method")
    made["submission"].add_argument("--out", type=Path, required=True, help="folder of the submission, e.g. ioi_gpt2")
    made["submission"].add_argument("--tensors", action="store_true", help="write importances.pt, a tenth of the size")
    made["check"].add_argument("--mib", type=Path, required=True, help="a checkout of MIB's circuit track")
    made["check"].add_argument("--eap-ig", type=Path, required=True, help="a checkout of EAP-IG")
    made["check"].add_argument("--cache", type=Path, default=home() / "peers", help="that of peers.py")
    made["check"].add_argument("--reference", type=Path, help="folder for what MIB finds: the tests'")
    for name in ("evaluate", "auroc", "check"):
        made[name].add_argument("--write", action="store_true", help="write docs/results/mib.md")
    return parser


def main() -> None:
    options = _parser().parse_args()
    rows = WORK[options.what](options)
    if not rows:
        return
    about = {"what": options.what, "date": time.strftime("%Y-%m-%d", time.gmtime()), "torch": torch.__version__}
    rows = [about | row for row in rows]
    print(tables.SECTIONS[options.what](rows))
    if options.write:
        tables.write(options.what, rows)


if __name__ == "__main__":
    main()
