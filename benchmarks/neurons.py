"""Neurons of SmolLM2: which say " an", which belong to one token, and how many of those hold up in text.

    python benchmarks/neurons.py [--write] [--pairs FILE] [--parts corpus,scan --scan FOLDER]

Five parts. The screen on the pear/apple prompt, beside every neuron of one layer patched exactly, and the same on many
prompts of the task a-an. The mutually exclusive pairs by both readings, beside a search on shuffled neurons. And texts
sampled from the model, on which the pairs' activations are compared with what the model predicts. `--write` puts the
tables into docs/results/neurons.md and the plots into docs/images. `--pairs` takes the pairs that
`wheatstone neuron pairs --top 100 --json` printed and makes the third part alone. The last two are made on their own:
`--parts corpus` asks the same of the pairs in the bundled texts, `--parts scan` measures how fast a scan reads beside
the plain forward pass, and how fast the scan in FOLDER answers. `--parts pairs` makes the section on pairs again.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("GOMP_SPINCOUNT", "10000")  # as the command does

from neuron_parts.an import an_neurons, an_on_many
from neuron_parts.pairs import LAST_PART, hold_up, in_corpus, pairs_of
from neuron_parts.scanning import scan_rate

import wheatstone as ws
from wheatstone.figures import render
from wheatstone.neurons import Pair

DOCS = Path(__file__).parent.parent / "docs"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--write", action="store_true", help="write docs/results/neurons.md and its picture")
    parser.add_argument("--pairs", type=Path, help="JSON of `wheatstone neuron pairs`: make the last part alone")
    parser.add_argument("--parts", default="", help="out of pairs, corpus and scan: make these sections alone")
    parser.add_argument("--share", type=float, default=0.012, help="of the bundled texts' windows, for --parts corpus")
    parser.add_argument("--scan", type=Path, help="a finished scan to put questions to, for --parts scan")
    options = parser.parse_args()
    model, page = ws.load_model("smollm2-135m"), DOCS / "results" / "neurons.md"
    if options.parts:
        made = {
            "pairs": lambda: pairs_section(model),
            "corpus": lambda: in_corpus(model, _read(options.pairs), options.share),
            "scan": lambda: scan_rate(model, options.scan),
        }
        for part in options.parts.split(","):
            lines = made[part]()
            print("\n".join(lines), flush=True)
            if options.write:
                page.write_text(with_section(page.read_text(encoding="utf-8"), lines), encoding="utf-8")
        return
    if options.pairs:
        best = _read(options.pairs)
        before = page.read_text(encoding="utf-8").partition(LAST_PART)[0].splitlines()
    else:
        before = [*an_neurons(model), *an_on_many(model)]
        best = list(pairs_of(model, before).best)
    parts, chart = hold_up(model, best)
    text = "\n".join([*before, *parts]) + "\n"
    print(text)
    if options.write:
        own = "".join(page.read_text(encoding="utf-8").partition("\n## Reading a corpus\n")[1:])  # made by --parts
        page.write_text(text + own, encoding="utf-8")
        render(chart, DOCS / "images" / "neuron-pairs.png")


def _read(pairs: Path) -> list[Pair]:
    """What `wheatstone neuron pairs --json` printed."""
    return [Pair(**row) for row in json.loads(pairs.read_text(encoding="utf-8"))["pairs"]]


def pairs_section(model: ws.ResidualModel) -> list[str]:
    """The section on pairs alone."""
    lines: list[str] = []
    pairs_of(model, lines)
    return lines


def with_section(page: str, lines: Sequence[str]) -> str:
    """A page with a section in place of the one with its heading, or at the end."""
    before, found, after = page.partition(lines[0] + "\n")
    rest = after.partition("\n## ")[1:] if found else ("", "")
    return before.rstrip() + "\n\n" + "\n".join(lines).rstrip() + "\n" + "".join(rest)


if __name__ == "__main__":
    main()
