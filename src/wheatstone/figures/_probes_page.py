"""The report of a run of `neuron probe`: its pictures as files, and one page."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from wheatstone._intervals import interval_text
from wheatstone.figures._page import PagePart, PageTable, captioned, drawn_of, made_of, page_of
from wheatstone.figures._probes import PROBE_FIGURES, ProbeData, describe_interference
from wheatstone.figures._report import Picture
from wheatstone.figures._view import Charts, View
from wheatstone.figures._words import clipped, count, decimal, percent

_CAPTIONS = {
    "sizes": "A curve that is high from the start is a concept that one neuron tells; one that rises is spread over "
    "several.",
    "layers": "Where a curve leaves the dashed line, the layer's neurons tell the concept on documents that the probe "
    "has not seen.",
    "interference": "Orange and blue are directions that are not orthogonal. Concepts whose labels exclude each other "
    "are opposed in any model.",
}


def _charts(data: ProbeData) -> Charts:
    return {
        name: partial(draw, data) for name, draw in PROBE_FIGURES.items() if name != "interference" or data.interference
    }


def found_probes(run: ProbeData) -> list[str]:
    """What was found, in sentences made of the run's numbers."""
    said: list[str] = []
    for concept in run.concepts[:3]:
        single, best = concept["best"]["single"], concept["best"]["ranking"]
        of = "" if best["k"] > 1 else f" ({best['neurons'][0]})"
        several = f", {count(best['k'], 'neuron')} of layer {best['layer']}{of} {_with_interval(best)}"
        rows = concept["rows"]["test"]
        said.append(
            f"{concept['concept']}: {single['neurons'][0]} alone has an F1 of {_with_interval(single)} on test "
            f"documents{'' if best['neurons'] == single['neurons'] else several}; saying yes to everything has "
            f"{decimal(concept['always_yes_f1'])} ({count(rows['with'] + rows['without'], 'row')} of "
            f"{count(concept['documents']['test'], 'document')})."
        )
    if len(run.concepts) > 3:
        said.append(f"{count(len(run.concepts), 'concept')} were probed; the table has all.")
    return said


def _page(run: ProbeData, drawn: Mapping[str, Picture], missing: Mapping[str, str]) -> str:
    pictures = captioned(drawn, _CAPTIONS)
    manifest, summary = run.manifest, run.summary
    parts = [
        PagePart("How many neurons does a concept take?", (), drawn_of(pictures, "sizes"), (_table(run),)),
        PagePart("At which layers?", (), drawn_of(pictures, "layers")),
        PagePart(
            "Is a neuron about one concept?",
            (
                "A neuron is counted as a detector of a concept where its activations differ significantly on training "
                "documents (5% false discoveries among its layer's neurons) and its AUROC on test documents is at "
                "least 0.75. Among the concepts probed here; of others nothing is known.",
                *(
                    f"{count(number, 'neuron')} of {count(int(concepts), 'concept')}."
                    for concepts, number in summary["neurons_by_concepts"].items()
                ),
            ),
            (),
            (_neurons(run),),
        ),
    ]
    if "interference" in pictures:
        parts.append(
            PagePart(
                "Which concepts share directions?", (describe_interference(run),), drawn_of(pictures, "interference")
            )
        )
    left = [f"{name}: {reason}" for name, reason in summary["refused"].items()]
    left += [f"{reason}: {number:,}" for reason, number in summary["skipped"].items()]
    if left:
        parts.append(PagePart("What was left out", tuple(left)))
    settings = {name: str(value) for name, value in manifest["settings"].items() if value not in ("", [])}
    details = settings | {"tokens run": f"{summary['tokens']:,}", "seed": str(manifest["seed"])}
    title = clipped(str(manifest["settings"]["task"]), 60)
    return page_of("neuron probe", title, found_probes(run), parts, made_of(manifest, details))


def _table(run: ProbeData) -> PageTable:
    rows = [
        (
            concept["concept"],
            decimal(concept["always_yes_f1"]),
            single["neurons"][0],
            _with_interval(single),
            f"layer {best['layer']}, k = {best['k']}",
            _with_interval(best),
            decimal(best["precision"]),
            decimal(best["recall"]),
            decimal(best["auroc"]),
        )
        for concept in run.concepts
        for single, best in [(concept["best"]["single"], concept["best"]["ranking"])]
    ]
    names = ("concept", "F1, all yes", "best neuron", "F1", "best probe", "F1", "precision", "recall", "AUROC")
    return PageTable(
        "Best by validation documents, evaluated on test documents; a single neuron is a threshold that was chosen "
        "on training documents; 95% intervals over documents. All probes are in "
        "probes.parquet.",
        tuple((name, name not in ("concept", "best neuron", "best probe")) for name in names),
        tuple(rows),
    )


def _neurons(run: ProbeData) -> PageTable:
    rows = [
        (
            concept["concept"],
            f"{sum(concept['significant'].values()):,}",
            f"{sum(concept['detectors'].values()):,}",
            f"{concept['significant_by_chance']:,}",
            concept["best"]["single"]["neurons"][0],
            percent(concept["explained"]),
            percent(concept["base"]),
        )
        for concept in run.concepts
    ]
    names = ("concept", "significant", "detectors", "by chance", "best neuron", "of its strongest", "of all test rows")
    return PageTable(
        "Neurons of all layers that differ significantly, those that are detectors, and how many of one layer are "
        "significant with the labels shuffled. Of the test rows on which the best neuron is most active (as many as "
        "have the concept, at most 50), the share with the concept, and its share of all test rows. "
        "neuron_tests.parquet has every neuron.",
        tuple((name, name not in ("concept", "best neuron")) for name in names),
        tuple(rows),
    )


def _with_interval(row: Mapping[str, Any]) -> str:
    between = interval_text((row["f1_low"], row["f1_high"]))
    return f"{decimal(row['f1'])} ({between})" if between else decimal(row["f1"])


VIEW = View(ProbeData.of_run, _charts, _page)
