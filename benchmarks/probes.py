"""Sparse probes of SmolLM2: every bundled concept, every layer; and superposition where it is known.

    python benchmarks/probes.py [--write] [--run FOLDER]

`--write` puts the tables into docs/results/probes.md and the pictures into docs/images. `--run` takes the folder of a
run of `wheatstone neuron probe --concept all --most 150` and makes the page of it, without the model.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

os.environ.setdefault("GOMP_SPINCOUNT", "10000")  # as the command does

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

import wheatstone as ws
from wheatstone.figures import PROBE_FIGURES, ProbeData, render
from wheatstone.neurons import CONCEPTS, ProbeSettings, bundled_concepts, find_planted, run_probes, train_planted
from wheatstone.runs import Run

DOCS = Path(__file__).parent.parent / "docs"
MOST = 150
KEPT = (1, 2, 8, 32, 128)
DENSITIES = (1.0, 0.3, 0.1, 0.05)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--write", action="store_true", help="write docs/results/probes.md and its pictures")
    parser.add_argument("--run", type=Path, help="a run of these concepts that is there already")
    options = parser.parse_args()
    if options.run:
        data, neurons = ProbeData.load(options.run), Run.open(options.run).table("neuron_tests")
    else:
        with tempfile.TemporaryDirectory() as folder:
            probed(Path(folder))
            data, neurons = ProbeData.load(Path(folder)), Run.open(folder).table("neuron_tests")
    text = (
        "\n".join(
            [*about(data), *told(data), *alone(data, neurons), *an(neurons), *shared(data), *planted(), *limits()]
        )
        + "\n"
    )
    print(text)
    if options.write:
        (DOCS / "results" / "probes.md").write_text(text, encoding="utf-8")
        for name, draw in PROBE_FIGURES.items():
            render(draw(data), DOCS / "images" / f"probes-{name}.png")


def probed(folder: Path) -> None:
    """The run."""
    used = time.process_time()
    settings = ProbeSettings(source="all", most=MOST)
    run_probes(ws.load_model("smollm2-135m"), bundled_concepts(list(CONCEPTS), most=MOST), settings).save(folder)
    print(f"{time.process_time() - used:.0f} s of processor time", flush=True)


def about(data: ProbeData) -> list[str]:
    """What was done."""
    rows = [sum(part.values()) for one in data.concepts for part in one["rows"].values()]
    timings = ", ".join(f"{stage} {seconds:.0f} s" for stage, seconds in data.manifest["timings"].items())
    refused = "; ".join(f"{name}: {why}" for name, why in data.summary["refused"].items())
    return [
        "# Sparse probes of SmolLM2-135M-Instruct (Q4_1)",
        "",
        "Made by `python benchmarks/probes.py --write`, which probes as "
        f"`wheatstone neuron probe --concept all --most {MOST}` does: {len(data.concepts)} concepts, all "
        f"{data.manifest['model']['layers']} layers, {data.summary['tokens']:,} tokens run once, {sum(rows):,} "
        "labelled "
        f"spans read at their last token. Wall-clock time on 2 cores shared with other work: {timings}. What each "
        "method and column means is in [the guide](../guides/neurons.md#which-neurons-tell-a-concept).",
        *(("", f"Not probed: {refused}.") if refused else ()),
        "",
        "Test rows and documents are few: read the intervals. The texts are old and public, most of the English is "
        "Django's documentation, and rules are spelling, not grammar.",
        "",
        "| concept | what has it, against what |",
        "|---|---|",
        *(f"| `{one['concept']}` | {CONCEPTS[one['concept']].rule} |" for one in data.concepts),
        "",
    ]


def told(data: ProbeData) -> list[str]:
    """F1 by number of neurons."""
    heads = " | ".join(f"k = {k}" for k in KEPT)
    lines = [
        "## How many neurons does a concept take?",
        "",
        "F1 on test documents. For each k the layer is the one with the best F1 on validation documents, in brackets. "
        "n: test rows with the concept and without, in test documents. All yes: F1 of saying yes to every row.",
        "",
        f"| concept | n | all yes | best neuron, 95% | {heads} | 95% at k = {KEPT[-1]} | AUROC there | l1 (k) | "
        "pursuit (k) |",
        "|---|---|---|---|" + "---|" * (len(KEPT) + 4),
    ]
    for one in data.concepts:
        name, test, best = one["concept"], one["rows"]["test"], one["best"]
        single = best["single"]
        by_size = [max(data.rows(name, method="ranking", k=k), key=lambda row: row["validation_f1"]) for k in KEPT]
        cells = " | ".join(f"{row['f1']:.2f} ({row['layer']})" for row in by_size)
        others = " | ".join(
            f"{best[way]['f1']:.2f} ({best[way]['k']})" if way in best else "–" for way in ("l1", "pursuit")
        )
        lines.append(
            f"| `{name}` | {test['with']} + {test['without']}, {one['documents']['test']} | {one['always_yes_f1']:.2f} "
            f"| `{single['neurons'][0]}` {single['f1']:.2f} ({_ends(single)}) | {cells} | {_ends(by_size[-1])} "
            f"| {by_size[-1]['auroc']:.2f} | {others} |"
        )
    clear = [one for one in data.concepts if (one["best"]["single"]["f1_low"] or 0) > one["always_yes_f1"]]
    several = [
        one
        for one in data.concepts
        if (one["best"]["ranking"]["f1_low"] or 0) > one["best"]["single"]["f1"] and one["best"]["ranking"]["k"] > 1
    ]
    return [
        *lines,
        "",
        f"One neuron alone, chosen on validation, is better than saying yes to everything (lower end of its interval) "
        f"for {len(clear)} of {len(data.concepts)} concepts: {_names(clear)}. The best probe by ranking has the "
        "lower end "
        f"of its interval above that neuron's F1 for {len(several)}: {_names(several)}.",
        "",
        "![F1 by number of neurons for every concept.](../images/probes-sizes.png)",
        "",
        "![F1 by layer for every concept.](../images/probes-layers.png)",
        "",
    ]


def alone(data: ProbeData, neurons: pa.Table) -> list[str]:
    """Neurons one by one: how many differ, how many detect, how many concepts each."""
    lines = [
        "## Is a neuron about one concept?",
        "",
        "Significant: q < 0.05 by Benjamini and Hochberg over the layer's 1,536 neurons, summed over layers. "
        "Detectors: "
        "of these, those with an AUROC of 0.75 or more on test documents. By chance: significant neurons of the best "
        "layer with labels shuffled, where that layer has so many. Of its top 50: of the 50 rows on which the best "
        "neuron is most active, the share with the concept, beside its share of the concept's rows.",
        "",
        "| concept | significant, all layers | detectors | best layer | by chance | best neuron | of its top 50 | "
        "of all |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for one in data.concepts:
        layer = str(one["best"]["ranking"]["layer"])
        lines.append(
            f"| `{one['concept']}` | {sum(one['significant'].values()):,} | {sum(one['detectors'].values()):,} "
            f"| {layer}: {one['significant'][layer]:,} | {one['significant_by_chance']} "
            f"| `{one['best']['single']['neurons'][0]}` | {one['explained']:.0%} | {one['base']:.0%} |"
        )
    told = {int(key): number for key, number in data.summary["neurons_by_concepts"].items()}
    detecting = sum(number for key, number in told.items() if key)
    told_of = "; ".join(f"{number:,} of {key}" for key, number in told.items())
    table = neurons.filter(neurons["detector"]).select(["concept", "layer", "index"]).to_pylist()
    singles = {one["concept"]: one["best"]["single"]["neurons"][0] for one in data.concepts}
    several: dict[str, list[str]] = {}
    for row in table:
        several.setdefault(f"m{row['layer']}.n{row['index']}", []).append(row["concept"])
    shared = [
        f"`{name}` also {', '.join(f'`{other}`' for other in several.get(name, []) if other != concept)}"
        for concept, name in singles.items()
        if len(several.get(name, [])) > 1
    ]
    return [
        *lines,
        "",
        f"Neurons by the number of concepts they detect, of {sum(told.values()):,}: {told_of}. Of the {detecting:,} "
        "that "
        f"detect any of these concepts, {sum(number for key, number in told.items() if key > 1):,} detect more than "
        "one. "
        f"Among the best single neurons, {len(shared)} detect a second concept"
        + (f" ({'; '.join(shared)})" if shared else "")
        + ". A neuron that detects one of these concepts may detect many others that were not tried.",
        "",
    ]


def an(neurons: pa.Table) -> list[str]:
    """Whether the neuron that says " an" tells that it comes."""
    (row,) = [
        row
        for row in neurons.filter(pc.field("concept") == "next-an").to_pylist()
        if (row["layer"], row["index"]) == (25, 1527)
    ]
    return [
        "`m25.n1527`, which [says ` an`](neurons.md) where the model knows what is coming, has an AUROC of "
        f"{row['auroc']:.2f} on `next-an` in training documents and {row['held_out_auroc']:.2f} in test documents "
        f"(q = {row['q']:.2g}). "
        "A likely reason, not tested here: the word before an article rarely settles which it is, and a concept of the "
        "next word can be read only as far as the model can predict it.",
        "",
    ]


def shared(data: ProbeData) -> list[str]:
    """Interference between concepts."""
    lines = [
        "## Do concepts share directions?",
        "",
        "Cosines between the directions in which a layer's neurons differ with each concept (`neurons`: in standard "
        "deviations; `residual`: in activations, through the output weights). Null: 95% quantile of |cosine| of "
        "directions found with shuffled labels, and of random directions. Beyond: pairs above the null of shuffled "
        "labels; 5% would be by chance.",
        "",
        "| layer | space | pairs | null, shuffled | null, random | beyond | largest |",
        "|---|---|---|---|---|---|---|",
    ]
    layers = data.manifest["model"]["layers"]
    for layer in sorted({0, layers // 4, layers // 2, 3 * layers // 4, layers - 1, data.crowded}):
        for space in ("neurons", "residual"):
            rows = [row for row in data.interference if (row["layer"], row["space"]) == (layer, space)]
            top = max(rows, key=lambda row: abs(row["cosine"]))
            beyond = sum(abs(row["cosine"]) > row["null"] for row in rows)
            lines.append(
                f"| {layer} | {space} | {len(rows)} | {top['null']:.2f} | {top['random']:.2f} | {beyond} "
                f"({beyond / len(rows):.0%}) | {top['first']} and {top['second']}: {top['cosine']:.2f} |"
            )
    return [
        *lines,
        "",
        "Word endings exclude each other by their rules, as languages do, and countries are distinguished from other "
        "names alone: such pairs are opposed or alike because the labels are. This table does not show superposition "
        "in the model; it shows how much of one concept's direction another's would pick up.",
        "",
        "![Cosines of all pairs of concepts at one layer.](../images/probes-interference.png)",
        "",
    ]


def planted() -> list[str]:
    """The toy model in which superposition is known."""
    lines = [
        "## Superposition where it is known",
        "",
        "`train_planted`: 20 features in 5 dimensions (Elhage et al. 2022), importance 0.7ⁱ, seed 0. Kept: "
        "features whose "
        "column of W is longer than a half. Found: features whose mean difference in the hidden activations tells "
        "them on "
        "held-out samples with an AUROC of 0.75 or more. Agreement: correlation of the cosines found with those of W's "
        "columns.",
        "",
        "| density of features | kept | found | the same | mean \\|cosine\\| found | of W | agreement |",
        "|---|---|---|---|---|---|---|",
    ]
    for density in DENSITIES:
        model = train_planted(density=density)
        found = find_planted(model)
        pairs = np.triu_indices(len(found.features), 1)
        here, known = found.cosines[pairs], found.known[pairs]
        agreement = f"{np.corrcoef(here, known)[0, 1]:.2f}" if len(found.features) > 5 else "–"
        lines.append(
            f"| {density} | {len(model.kept)} | {len(found.features)} | {len(set(model.kept) & set(found.features))} "
            f"| {np.abs(here).mean():.2f} | {np.abs(known).mean():.2f} | {agreement} |"
        )
    return [
        *lines,
        "",
        "Dense features have a dimension each and no interference; of sparse ones more are kept than there are "
        "dimensions, and the measure finds them and their cosines. In a language model neither the features nor their "
        "number is known, so the same cosines there are evidence of shared directions for the concepts asked about, no "
        "more.",
    ]


def limits() -> list[str]:
    """What it shows and what it does not."""
    return [
        "",
        "## What this shows, and what it cannot",
        "",
        "It shows which of these rules can be read off one neuron or a few, linearly, on documents that the probe "
        "has not "
        "seen. Most of the rules are spelling, which a token gives away at layer 0: a high F1 there says that neurons "
        "keep it apart, not that the model computed it. It does not show that the model uses these neurons: that takes "
        "patching (`neuron screen`). Layers, sizes and neurons are the best of many on few validation rows, so the "
        "best "
        "neuron named may be one of several as good. Languages have one or two test documents with the language: their "
        "intervals reach 0. A neuron is called a detector at an AUROC of 0.75, which leaves many errors, and rows "
        "of one "
        "document are taken as exchangeable. Other texts, other rules and other models are not covered.",
    ]


def _ends(row: Mapping[str, Any]) -> str:
    return "–" if row["f1_low"] is None else f"{row['f1_low']:.2f} to {row['f1_high']:.2f}"


def _names(concepts: list[Mapping[str, Any]]) -> str:
    return ", ".join(f"`{one['concept']}`" for one in concepts) or "none"


if __name__ == "__main__":
    main()
